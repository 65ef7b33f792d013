// preflight.hpp - what is odd about a set of shards before anybody trains on them: what readers pass over in silence, and what they trip over.
// Level 2 (shard). One thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <tarn/result.hpp>

#include "shard/archive_kind.hpp"
#include "shard/tar_stream.hpp"

namespace tarn::shard {

enum class FindingKind : std::uint8_t {
  damage,                ///< a reader raises, or loses samples without a word
  duplicate_extensions,  ///< twice the same extension in a sample: a reader raises
  keys_apart,            ///< a key that comes again in its shard: two samples of one name
  keys_elsewhere,        ///< a key that another shard has as well
  meta_members,          ///< `__x__`: ignored
  no_extension,          ///< no dot in the name, or only in front: ignored
  not_files,             ///< directories, links, devices: ignored
  odd_names,             ///< not UTF-8, white space or control characters, absolute, "..", an empty extension
};
inline constexpr std::size_t kFindingKinds = 8;
/// "keys_apart"
[[nodiscard]] std::string_view finding_name(FindingKind kind) noexcept;
/// Whether a reader trips over it, or gives other samples than there are.
[[nodiscard]] bool is_serious(FindingKind kind) noexcept;

struct Finding {
  std::uint64_t count = 0;
  std::vector<std::string> examples;  ///< "shard: member", the first three
};

class Preflight {
 public:
  /// Looks through one shard. Damage is a finding; what was read before it counts.
  /// @errors those of `read`. @cost reads every byte once; memory: 24 bytes for each sample of all shards.
  [[nodiscard]] Result<void> add_shard(ArchiveKind kind, const std::string& name, std::uint64_t size_bytes, const ArchiveReadFn& read);

  [[nodiscard]] const Finding& finding(FindingKind kind) const { return findings_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] bool serious() const noexcept;
  [[nodiscard]] std::uint64_t shards() const noexcept { return shards_; }
  [[nodiscard]] std::uint64_t samples() const noexcept { return samples_; }
  [[nodiscard]] std::uint64_t members() const noexcept { return members_; }  ///< of samples

 private:
  class Pass;
  void note(FindingKind kind, const std::string& shard, std::string_view what);

  std::array<Finding, kFindingKinds> findings_;
  std::unordered_map<std::uint64_t, std::uint64_t> seen_;  // hash of a key -> the last shard that has it
  std::uint64_t shards_ = 0, samples_ = 0, members_ = 0;
};

}  // namespace tarn::shard
