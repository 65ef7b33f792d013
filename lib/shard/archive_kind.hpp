// archive_kind.hpp - which objects are shards, by the end of their names.
// Level 2 (shard). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tarn::shard {

enum class ArchiveKind : std::uint8_t {
  tar,      ///< .tar
  tar_gz,   ///< .tar.gz, .tgz
  tar_zst,  ///< .tar.zst, .tzst
  tar_lz4,  ///< .tar.lz4
  tar_xz,   ///< .tar.xz, .txz
  zip,      ///< .zip
};

/// nullopt: the object is a member by itself. Upper case counts as well: "A.TAR".
[[nodiscard]] std::optional<ArchiveKind> archive_kind(std::string_view name) noexcept;

/// Whether it is one of the ends above, with its first dot.
[[nodiscard]] bool is_archive_extension(std::string_view text) noexcept;

/// ".tar.gz"
[[nodiscard]] std::string_view archive_extension(ArchiveKind kind) noexcept;

/// Whether shards can be written so.
[[nodiscard]] constexpr bool is_output_kind(ArchiveKind kind) noexcept {
  return kind == ArchiveKind::tar || kind == ArchiveKind::tar_gz || kind == ArchiveKind::tar_zst;
}

}  // namespace tarn::shard
