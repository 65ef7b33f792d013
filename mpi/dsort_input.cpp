#include "mpi/dsort_input.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>

#include "base/error.hpp"
#include "base/text.hpp"
#include "mpi/dsort_by_products.hpp"
#include "mpi/dsort_exchange.hpp"
#include "mpi/dsort_finished.hpp"
#include "plan/record.hpp"
#include "shard/archive_kind.hpp"
#include "shard/member.hpp"
#include "shard/tar_format.hpp"

namespace tarn::mpi {

namespace {

using object::StoredObject;

/// What one rank finds among its own objects.
class OwnInputs {
 public:
  explicit OwnInputs(DsortJob& job) : job_(job), bucket_(job.spec.input.bucket), placed_(job.context.placed && job.context.placed(bucket_)) {}

  Result<void> find() {
    const DsortInput& input = job_.spec.input;
    if (!input.pattern.empty()) {
      TARN_TRY(pattern_, shard::NameTemplate::parse(input.pattern));
    }
    if (job_.context.store == nullptr) return {};
    const object::LocalStore& store = *job_.context.store;
    if (!store.has_bucket(bucket_)) return fail(ErrorCode::bucket_not_found, "dsort: there is no bucket '" + bucket_ + "'");
    names_.insert(input.names.begin(), input.names.end());
    TARN_CHECK(find_names(store));
    if (pattern_ || !input.prefix.empty() || names_.empty()) TARN_CHECK(scan(store));
    return check_output(store);
  }

  std::vector<DsortSource> shards;
  LooseObjects loose;
  std::vector<std::string> named;  ///< DsortInputs::named
  std::uint64_t skipped = 0, dropped = 0, bytes = 0, objects = 0, tar_bytes = 0;
  std::vector<std::uint64_t> pattern_indices;  ///< that are there

 private:
  /// Of a mirrored object the first holder takes it. Where objects are placed, each has one copy.
  [[nodiscard]] bool is_mine(const StoredObject& object) const {
    if (placed_) return true;
    const auto& disk = job_.home(bucket_, object.info.key);
    return disk.rank == job_.rank() && disk.index == object.disk;
  }

  Result<void> find_names(const object::LocalStore& store) {
    for (const auto& name : names_) {
      if (placed_) {
        TARN_TRY(const auto here, store.find_all({bucket_, name}));
        for (const auto& object : here) take(object);
      }
      const auto& disk = job_.home(bucket_, name);
      if (disk.rank != job_.rank()) continue;
      if (placed_) {
        TARN_TRY(const auto known, job_.context.store->pointers().find(disk.index, {bucket_, name}));
        if (known.pointer || known.own_ns) continue;
      }
      const auto object = store.find(disk.index, {bucket_, name});
      if (!object) return fail(object.error().code, "dsort: input object '" + bucket_ + "/" + name + "': " + object.error().message);
      take(*object);
    }
    return {};
  }

  Result<void> scan(const object::LocalStore& store) {
    const DsortInput& input = job_.spec.input;
    const bool whole_bucket = !pattern_ && input.prefix.empty();
    const auto visit = [&](const StoredObject& object) {
      const std::string& key = object.info.key;
      if (!is_mine(object)) return true;
      const auto index = pattern_ ? pattern_->index_of(key) : std::nullopt;
      if (index) pattern_indices.push_back(*index);
      const bool wanted = whole_bucket || index || (!input.prefix.empty() && key.starts_with(input.prefix));
      if (wanted && !names_.contains(key)) take(object);  // those of the list have been taken
      return true;
    };
    std::string prefix;
    if (pattern_ && !input.prefix.empty()) {  // what both begin with
      const auto [end, other] = std::mismatch(pattern_->prefix().begin(), pattern_->prefix().end(), input.prefix.begin(), input.prefix.end());
      prefix.assign(pattern_->prefix().begin(), end);
    } else {
      prefix = pattern_ ? pattern_->prefix() : input.prefix;
    }
    return store.for_each(bucket_, prefix, visit);
  }

  void take(const StoredObject& object) {
    ++objects;
    bytes += object.info.size_bytes;
    if (const auto kind = shard::archive_kind(object.info.key)) {
      tar_bytes += object.info.size_bytes;  // one that is packed becomes no smaller
      shards.push_back({object.info.key, job_.rank(), object.disk, object.info.size_bytes, object.extents, *kind});
      return;
    }
    const auto parts = shard::split_member_name(object.info.key);
    if (!parts || !job_.selection.keeps_member(parts->extension)) {
      ++(parts ? dropped : skipped);
      return;
    }
    plan::LooseMember member{object.info.key, object.info.size_bytes, object.info.checksum, job_.rank(), object.disk, {}};
    for (const auto& extent : object.extents) member.extents.push_back({extent.volume, extent.offset, extent.length_bytes});
    tar_bytes += plan::loose_tar_bytes(member);
    loose.begins.push_back(loose.packed.size());
    plan::append_loose_member(loose.packed, member);
  }

  /// No object may have a name that the output could use: old and new shards would be mixed up.
  [[nodiscard]] Result<void> check_output(const object::LocalStore& store) {
    if (!store.has_bucket(job_.output_bucket)) return {};
    TARN_TRY(const auto finished, FinishedShards::find(job_.context.store));
    std::string taken;
    TARN_CHECK(store.for_each(job_.output_bucket, job_.output.prefix(), [&](const StoredObject& object) {
      if (!job_.output.index_of(object.info.key) && !is_by_product(job_, object.info.key)) return true;
      if (finished.may_be_named(object.disk, object.info.checksum))
        named.push_back(object.info.key);
      else
        taken = object.info.key;
      return taken.empty();
    }));
    return taken.empty() ? Result<void>() : name_taken(job_, taken);
  }

  DsortJob& job_;
  const std::string& bucket_;
  const bool placed_;
  std::set<std::string> names_;
  std::optional<shard::NameTemplate> pattern_;
};

std::vector<std::byte> pack(const std::vector<DsortSource>& sources) {
  base::Encoder to;
  for (const auto& source : sources) {
    to.text(source.name).varint(source.disk).varint(source.size_bytes).u8(static_cast<std::uint8_t>(source.kind)).varint(source.extents.size());
    for (const auto& extent : source.extents) to.varint(extent.volume).varint(extent.offset).varint(extent.length_bytes);
  }
  return std::move(to).take();
}

Result<void> unpack(std::span<const std::byte> bytes, RankId rank, std::vector<DsortSource>& sources) {
  base::Decoder from(bytes);
  while (!from.rest().empty()) {
    DsortSource source;
    source.name = from.text();
    source.rank = rank;
    source.disk = static_cast<std::uint32_t>(from.varint());
    source.size_bytes = from.varint();
    source.kind = static_cast<shard::ArchiveKind>(from.u8());
    for (std::uint64_t n = from.varint(); n > 0 && !from.failed(); --n) {
      object::StoredExtent extent;
      extent.volume = from.varint();
      extent.offset = from.varint();
      extent.length_bytes = from.varint();
      source.extents.push_back(extent);
    }
    if (from.failed()) return fail(ErrorCode::internal, "dsort: the list of rank " + std::to_string(rank) + "'s shards is cut off");
    sources.push_back(std::move(source));
  }
  return {};
}

Result<void> gather_sources(DsortJob& job, const std::vector<DsortSource>& own, DsortInputs& inputs) {
  TARN_TRY(const auto all, all_gather_in_rounds(job.collectives(), pack(own)));
  for (std::size_t rank = 0; rank < all.size(); ++rank) TARN_CHECK(unpack(all[rank], static_cast<RankId>(rank), inputs.sources));
  std::sort(inputs.sources.begin(), inputs.sources.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (std::size_t i = 0; i < inputs.sources.size(); ++i)
    if (inputs.sources[i].rank == job.rank()) inputs.mine.push_back(i);
  return {};
}

/// Of a bounded pattern: the first name that is not there, by looking at this rank's share of the names.
std::uint64_t first_missing(const DsortJob& job, const shard::NameTemplate& pattern, std::vector<std::uint64_t>& found) {
  constexpr std::uint64_t kNamesMax = 1'000'000;  // an example is worth no more
  std::sort(found.begin(), found.end());
  for (std::uint64_t i = 0; i < std::min(*pattern.capacity(), kNamesMax); ++i)
    if (job.home(job.spec.input.bucket, pattern.name(i)).rank == job.rank() && !std::binary_search(found.begin(), found.end(), i)) return i;
  return UINT64_MAX;
}

Result<void> check_missing(DsortJob& job, std::vector<std::uint64_t>& found) {
  const std::string& text = job.spec.input.pattern;
  if (text.empty() || job.spec.missing == MissingPolicy::ignore) return {};
  TARN_TRY(const auto pattern, shard::NameTemplate::parse(text));
  std::array<std::uint64_t, 1> count{found.size()};
  TARN_CHECK(job.collectives().all_reduce_sum(count));
  if (!pattern.capacity() || count[0] >= *pattern.capacity()) return {};
  std::array<std::uint64_t, 1> first{~first_missing(job, pattern, found)};  // the smallest, by its complement
  TARN_CHECK(job.collectives().all_reduce_max(first));
  std::string message = std::to_string(*pattern.capacity() - count[0]) + " of the " + std::to_string(*pattern.capacity()) + " objects of '" + text +
                        "' are not in bucket '" + job.spec.input.bucket + "'";
  if (~first[0] != UINT64_MAX) message += ", the first is '" + pattern.name(~first[0]) + "'";
  if (job.spec.missing == MissingPolicy::abort) return fail(ErrorCode::not_found, "dsort: " + message);
  job.report.warnings.push_back(message);
  return {};
}

/// Before anything is read: inputs that need more shards than the template has names even if a tenth of their
/// bytes were headers and padding that fall away. The exact check follows when the samples are known.
Result<void> check_capacity(const DsortJob& job, std::uint64_t tar_bytes) {
  const auto capacity = job.output.capacity();
  if (!capacity || job.spec.shard_size_bytes == 0) return {};
  const std::uint64_t shards = tar_bytes / 10 * 9 / job.spec.shard_size_bytes;
  if (shards <= *capacity) return {};
  return fail(ErrorCode::invalid, "dsort: the output template '" + job.output.text() + "' has " + std::to_string(*capacity) + " names, but about " +
                                      std::to_string(tar_bytes / job.spec.shard_size_bytes + 1) + " shards of " +
                                      base::format_size(job.spec.shard_size_bytes) + " are needed; widen it or use larger shards");
}

}  // namespace

tl::unexpected<Error> name_taken(const DsortJob& job, std::string_view key) {
  return fail(ErrorCode::exists, "dsort: the output bucket '" + job.output_bucket + "' has an object '" + std::string(key) + "' that '" +
                                     job.output.text() + "' names; remove such objects or choose another name");
}

Result<DsortInputs> list_inputs(DsortJob& job) {
  OwnInputs own(job);
  TARN_CHECK(job.collectives().agree(own.find()));
  std::array<std::uint64_t, 3> sums{own.objects, own.tar_bytes, 0};
  TARN_CHECK(job.collectives().all_reduce_sum(sums));
  job.report.input_objects = sums[0];
  TARN_CHECK(check_missing(job, own.pattern_indices));
  if (sums[0] == 0) return fail(ErrorCode::not_found, "dsort: bucket '" + job.spec.input.bucket + "' has no object that the input describes");
  TARN_CHECK(check_capacity(job, sums[1]));
  DsortInputs inputs;
  TARN_CHECK(gather_sources(job, own.shards, inputs));
  inputs.loose = std::move(own.loose);
  inputs.skipped = own.skipped;
  inputs.dropped = own.dropped;
  inputs.bytes = own.bytes;
  inputs.named = std::move(own.named);
  return inputs;
}

}  // namespace tarn::mpi
