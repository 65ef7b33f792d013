#include "mpi/dsort_content.hpp"

#include <algorithm>
#include <span>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "mpi/fetcher.hpp"
#include "plan/content_key.hpp"
#include "shard/member.hpp"

namespace tarn::mpi {

namespace {

constexpr std::size_t kSamplesPerFetch = 256;

std::string sorted_by(const DsortSpec& spec) {
  return shard::split_member_name("x." + spec.content_extension)->extension;
}

/// A member whose bytes are on their way into a buffer.
struct Wanted {
  std::size_t sample = 0;
  const plan::LooseMember* member = nullptr;
  std::size_t begin = 0;  // in the buffer
};

/// @param first, end  of the samples.
Result<void> read_some(const DsortJob& job, const std::string& extension, const std::vector<std::vector<plan::LooseMember>>& samples,
                       std::size_t first, std::size_t end, std::vector<std::optional<std::string>>& contents) {
  std::vector<Wanted> wanted;
  std::size_t bytes = 0;
  for (std::size_t i = first; i < end; ++i)
    for (const auto& member : samples[i]) {
      if (shard::split_member_name(member.name)->extension != extension) continue;
      if (member.size_bytes > plan::kContentBytesMax)
        return fail(ErrorCode::invalid, "dsort: object '" + std::string(member.name) + "' of " + std::to_string(member.size_bytes) +
                                            " bytes is too long to sort by; the limit is " + std::to_string(plan::kContentBytesMax));
      wanted.push_back({i, &member, bytes});
      bytes += member.size_bytes;
    }
  std::vector<std::byte> buffer(bytes);
  std::vector<FetchRequest> requests;
  for (const Wanted& one : wanted) {
    std::byte* target = buffer.data() + one.begin;
    for (const auto& extent : one.member->extents) {
      requests.push_back({one.member->rank, one.member->disk, extent.volume, extent.offset, extent.length_bytes, target});
      target += extent.length_bytes;
    }
  }
  TARN_CHECK(job.context.fetcher.fetch(requests));
  for (const Wanted& one : wanted) {
    const auto data = std::span<const std::byte>(buffer).subspan(one.begin, one.member->size_bytes);
    if (base::xxh3_128(data) != one.member->checksum)
      return fail(ErrorCode::corrupt, "dsort: the bytes of object '" + std::string(one.member->name) +
                                          "' are not what they were when it was listed; was it replaced, or is a disk failing?");
    contents[one.sample].emplace(reinterpret_cast<const char*>(data.data()), data.size());
  }
  return {};
}

}  // namespace

shard::IndexOptions input_options(const DsortJob& job) {
  shard::IndexOptions options;
  if (job.spec.order == DsortOrder::content) options.watch = {sorted_by(job.spec), plan::kContentBytesMax};
  if (job.selection.selects_members())
    options.keeps = [&selection = job.selection](const std::string& extension) { return selection.keeps_member(extension); };
  return options;
}

shard::ContentWatch class_watch(const DsortSpec& spec) {
  if (spec.class_extension.empty()) return {};
  return {shard::split_member_name("x." + spec.class_extension)->extension, plan::kContentBytesMax, true};
}

Result<std::optional<std::string>> ContentKeys::make(std::string_view sample, std::string_view where, std::optional<std::string_view> content) {
  if (spec_.order != DsortOrder::content) return std::string();
  if (!content) ++missing_;
  auto key = plan::content_key(spec_, content);
  if (key) return key;
  return fail(key.error().code, "dsort: sample '" + std::string(sample.substr(0, 300)) + "' of " + std::string(where) +
                                    " cannot be sorted by its '." + spec_.content_extension + "': " + key.error().message);
}

Result<std::vector<std::optional<std::string>>> read_contents(const DsortJob& job, const std::vector<std::vector<plan::LooseMember>>& samples) {
  std::vector<std::optional<std::string>> contents(samples.size());
  if (job.spec.order != DsortOrder::content) return contents;
  const std::string extension = sorted_by(job.spec);
  for (std::size_t first = 0; first < samples.size(); first += kSamplesPerFetch)
    TARN_CHECK(read_some(job, extension, samples, first, std::min(first + kSamplesPerFetch, samples.size()), contents));
  return contents;
}

}  // namespace tarn::mpi
