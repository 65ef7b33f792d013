// dsort.hpp - the collective dsort: samples of many shards or small objects into new shards.
// Level 0. Value types; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tarn {

/// Which objects are read: all three are joined; none set means the whole bucket.
/// An object whose key ends in ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.lz4", ".tar.xz" or ".zip" is a shard; any other is a loose
/// member, named by its key.
struct DsortInput {
  std::string bucket;
  std::string prefix;
  std::string pattern;  ///< "in-{0000..0063}.tar", "in-%06d.tar" or "in-@0063.tar" (0 to 63)
  std::vector<std::string> names;
};

enum class DsortOrder : std::uint8_t {
  none,     ///< by source name, then position
  key,      ///< by sample key, byte by byte
  shuffle,  ///< by a keyed hash of (seed, key)
  md5,      ///< by the MD5 of the key
  content,  ///< by the value of a member, DsortSpec::content_extension; equal values by key
};

/// How DsortOrder::content reads a member. White space around the value is ignored.
enum class ContentType : std::uint8_t {
  integer,  ///< of 64 bits
  real,     ///< double; NaN comes last
  text,     ///< byte by byte
};

/// Where DsortOrder::content puts samples that have no such member.
enum class MissingContent : std::uint8_t { abort, first, last, drop };

/// What happens when two samples have the same key. With ignore and warn the first one, by source name and
/// position, is kept.
enum class DuplicatePolicy : std::uint8_t { ignore, warn, abort };

/// What happens when names of a bounded pattern are not there. A missing one of DsortInput::names is always an error.
enum class MissingPolicy : std::uint8_t { ignore, warn, abort };

struct DsortSpec {
  DsortInput input;
  std::string output_bucket;           ///< empty: the input's bucket
  std::string output_template;         ///< "train-%06d.tar" or "train-{0000..0999}.tar"; .tar.gz and .tar.zst are packed
  std::uint64_t shard_size_bytes = 0;  ///< target of tar bytes per shard; exactly one of
  std::uint64_t shard_samples = 0;     ///< these two is set
  DsortOrder order = DsortOrder::key;
  bool decreasing = false;        ///< with the orders key and content
  std::string content_extension;  ///< "cls", "meta.txt"; the member holds at most 4 KiB
  ContentType content_type = ContentType::text;
  MissingContent missing_content = MissingContent::abort;
  std::vector<std::string> keep_extensions;  ///< only these members go to the output; or
  std::vector<std::string> drop_extensions;  ///< all but these; at most one of the two is given
  std::string key_pattern;                   ///< only samples whose key this matches: POSIX extended, as `grep -E` has it
  std::uint64_t seed = 0;
  DuplicatePolicy duplicates = DuplicatePolicy::abort;
  MissingPolicy missing = MissingPolicy::warn;
  std::uint64_t memory_budget_bytes = 256ULL << 20;  ///< per rank, for data in flight
  bool index = false;                                ///< an index for NVIDIA DALI beside each shard: train-0000.idx for train-0000.tar
  bool manifest = false;                             ///< "<what all names begin with>manifest.json": shards, sizes, checksums, this specification
  std::string class_extension;                       ///< "cls": samples are counted by this member's value, in the report and the manifest
  bool dry_run = false;
};

/// What a dsort did, the same on every rank.
struct DsortReport {
  std::uint64_t input_objects = 0;
  std::uint64_t samples = 0;
  std::uint64_t members = 0;
  std::uint64_t skipped_members = 0;    ///< links, directories, hidden or meta names (WebDataset rule)
  std::uint64_t dropped_members = 0;    ///< that are not to be kept, of whatever sample
  std::uint64_t dropped_samples = 0;    ///< whose key the pattern does not match
  std::uint64_t duplicate_samples = 0;  ///< left out of the output
  std::uint64_t missing_content = 0;    ///< samples without the member that is sorted by; with drop they are left out
  std::uint64_t shards = 0;
  std::uint64_t resumed_shards = 0;  ///< of them: finished by an earlier run that was killed, and not made again
  std::uint64_t output_bytes = 0;
  std::map<std::string, std::uint64_t> classes;  ///< samples by the value of DsortSpec::class_extension
  double seconds = 0;
  double estimated_seconds = 0;  ///< of a dry run: what the whole dsort would take, from how long it took to read the input
  std::vector<std::string> warnings;
};

/// Where a running dsort is; bytes and totals are of the whole job.
struct DsortProgress {
  std::string_view phase;  ///< "index", "sort", "assemble", "publish"
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

using DsortProgressFn = std::function<void(const DsortProgress&)>;

}  // namespace tarn
