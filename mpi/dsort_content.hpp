// dsort_content.hpp - what samples are sorted by when that is the value of a member: read while they are indexed.
// Level 6 (mpi).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/dsort_job.hpp"
#include "plan/record.hpp"
#include "shard/shard_index.hpp"

namespace tarn::mpi {

/// How input shards are read: the member that the order content sorts by, and which members are kept.
[[nodiscard]] shard::IndexOptions input_options(const DsortJob& job);

/// Of what the samples of the output are counted by, if anything.
[[nodiscard]] shard::ContentWatch class_watch(const DsortSpec& spec);

/// Makes content keys, and counts samples that have none. One thread.
class ContentKeys {
 public:
  explicit ContentKeys(const DsortSpec& spec) noexcept : spec_(spec) {}

  /// @param where  the shard, for messages. @return nullopt: the sample is left out; empty with other orders.
  /// @errors invalid: names the sample.
  [[nodiscard]] Result<std::optional<std::string>> make(std::string_view sample, std::string_view where, std::optional<std::string_view> content);
  [[nodiscard]] std::uint64_t missing() const noexcept { return missing_; }

 private:
  const DsortSpec& spec_;
  std::uint64_t missing_ = 0;
};

/// The members of loose samples that are watched, fetched and verified. @return by sample; nullopt: it has none.
/// @errors invalid (too long), corrupt, and those of the fetcher. @cost one fetch for each 256 samples.
[[nodiscard]] Result<std::vector<std::optional<std::string>>> read_contents(const DsortJob& job,
                                                                            const std::vector<std::vector<plan::LooseMember>>& samples);

}  // namespace tarn::mpi
