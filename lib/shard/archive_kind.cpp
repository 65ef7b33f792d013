#include "shard/archive_kind.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace tarn::shard {

namespace {

// The first of a kind is the one that is written.
constexpr std::array<std::pair<std::string_view, ArchiveKind>, 9> kExtensions{{{".tar", ArchiveKind::tar},
                                                                               {".tar.gz", ArchiveKind::tar_gz},
                                                                               {".tgz", ArchiveKind::tar_gz},
                                                                               {".tar.zst", ArchiveKind::tar_zst},
                                                                               {".tzst", ArchiveKind::tar_zst},
                                                                               {".tar.lz4", ArchiveKind::tar_lz4},
                                                                               {".tar.xz", ArchiveKind::tar_xz},
                                                                               {".txz", ArchiveKind::tar_xz},
                                                                               {".zip", ArchiveKind::zip}}};

bool ends_with(std::string_view name, std::string_view extension) noexcept {
  if (name.size() < extension.size()) return false;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(extension.begin(), extension.end(), name.end() - static_cast<std::ptrdiff_t>(extension.size()),
                    [&](char a, char b) { return a == lower(b); });
}

}  // namespace

std::optional<ArchiveKind> archive_kind(std::string_view name) noexcept {
  for (const auto& [extension, kind] : kExtensions)
    if (ends_with(name, extension)) return kind;
  return std::nullopt;
}

bool is_archive_extension(std::string_view text) noexcept {
  return std::any_of(kExtensions.begin(), kExtensions.end(), [&](const auto& row) { return row.first == text; });
}

std::string_view archive_extension(ArchiveKind kind) noexcept {
  return std::find_if(kExtensions.begin(), kExtensions.end(), [&](const auto& row) { return row.second == kind; })->first;
}

}  // namespace tarn::shard
