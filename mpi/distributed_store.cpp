#include "mpi/distributed_store.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/bucket_options.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "mpi/extents.hpp"
#include "mpi/mirror_reader.hpp"
#include "mpi/mirror_writer.hpp"
#include "mpi/rank_stats.hpp"
#include "object/listing.hpp"

namespace tarn::mpi {

namespace {
constexpr int kMovedAttempts = 5;
constexpr auto kHeldPause = std::chrono::milliseconds(2);  // between two looks at a name that is being copied
}  // namespace

DistributedStore::DistributedStore(Parts parts) : parts_(std::move(parts)), disk_metrics_(metrics_, parts_.local) {}

void DistributedStore::add_to(PeerService& service) {
  if (parts_.local == nullptr) return;
  service.on(Op::stats, RunOn::data, [this](Request request) {
    base::Encoder message = begin_message();
    encode(message, local_stats(*parts_.local, parts_.copies.layout().under_replicated()));
    request.responder().reply(std::move(message));
  });
}

object::Location DistributedStore::locate(std::string_view bucket, std::string_view key) const {
  object::Location where;
  const auto options = parts_.buckets.options(bucket);
  if (!options || is_plain(*options)) {  // without an allocation
    const Home home = home_of(parts_.map->disks[parts_.copies.placement().home_disk(bucket, key)]);
    return {home.rank, parts_.homes.is_here(home), parts_.homes.is_on_this_node(home), !parts_.homes.is_here(home)};
  }
  const auto homes = parts_.copies.holders({std::string(bucket), std::string(key)}, options->mirror);
  where.owner = homes.front().rank;
  where.here = where.owner == parts_.rank;
  where.waits = true;
  where.same_node = std::any_of(homes.begin(), homes.end(), [&](Home home) { return parts_.homes.is_on_this_node(home); });
  return where;
}

std::optional<VerifySendfile> DistributedStore::verify_sendfile(std::string_view bucket) const {
  const auto options = parts_.buckets.options(bucket);
  switch (options ? options->checksum : ChecksumPolicy::store) {
    case ChecksumPolicy::never:
      return VerifySendfile::never;
    case ChecksumPolicy::first:
      return VerifySendfile::first;
    case ChecksumPolicy::always:
      return VerifySendfile::always;
    case ChecksumPolicy::store:
      break;
  }
  return std::nullopt;
}

Result<BucketOptions> DistributedStore::check(const ObjectName& name) const {
  const auto options = parts_.buckets.options(name.bucket);
  TARN_CHECK(options ? base::check_key(name.key) : base::check_name(name));
  if (!options) return fail(ErrorCode::bucket_not_found, "there is no bucket " + name.bucket);
  return *options;
}

Result<std::vector<Home>> DistributedStore::readable(const ObjectName& name, const BucketOptions& bucket) {
  if (uses_pointers(bucket) && parts_.copies.layout().settled()) return parts_.placed.readable(name);
  return parts_.copies.readable(name, bucket.mirror, uses_pointers(bucket) ? Copies::Ask::all : Copies::Ask::in_order);
}

Result<RankId> DistributedStore::owner(const ObjectName& name) {
  const auto options = parts_.buckets.options(name.bucket);
  if (!options || !uses_pointers(*options)) return parts_.copies.home(name).rank;
  const auto homes = readable(name, *options);
  if (homes) return homes->front().rank;
  if (homes.error().code != ErrorCode::not_found) return fail(homes.error());
  TARN_TRY(const Home target, parts_.placed.target(name, options->placement));
  return target.rank;
}

Result<Target> DistributedStore::choose_target(const ObjectName& name, BucketOptions& bucket, const PutOptions& options) {
  if (bucket.mirror > 1 && options.placement)
    return fail(ErrorCode::unsupported, name.bucket + "/" + name.key + ": PutOptions::placement in a bucket with mirror=" +
                                            std::to_string(bucket.mirror) + "; copies are placed by hash");
  TARN_TRY(const Home target, parts_.placed.target(name, options.placement.value_or(bucket.placement)));
  if (options.placement && *options.placement != bucket.placement && !uses_pointers(bucket)) {
    TARN_CHECK(parts_.buckets.scatter(name.bucket));
    bucket.scattered = true;
  }
  return Target{target, options.placement && options.placement->kind != PlacementPolicy::Kind::hash};
}

template <class At>
auto DistributedStore::from_copies(const ObjectName& name, const BucketOptions& bucket, At at) -> std::invoke_result_t<At, Home> {
  if (is_plain(bucket)) return at(parts_.copies.home(name));
  for (int attempt = 1;; ++attempt) {
    const bool stays = parts_.copies.layout().settled() && !uses_pointers(bucket);
    TARN_TRY(const auto homes, readable(name, bucket));
    auto got = try_copies(name, homes, at);
    // It was somewhere, and a rebalance or another put has moved it since: then it is somewhere else.
    if (got || stays || got.error().code != ErrorCode::not_found || attempt == kMovedAttempts) return got;
  }
}

template <class At>
auto DistributedStore::try_copies(const ObjectName& name, const std::vector<Home>& homes, At at) -> std::invoke_result_t<At, Home> {
  std::optional<Error> worst;
  std::vector<Home> damaged;
  for (const Home home : homes) {
    auto got = at(home);
    if (got) {
      for (const Home other : damaged) mend_copy(parts_.homes, home, other, name);
      return got;
    }
    const ErrorCode code = got.error().code;
    if (code == ErrorCode::out_of_range || code == ErrorCode::bucket_not_found || code == ErrorCode::aborted) return got;
    if (code == ErrorCode::corrupt) damaged.push_back(home);
    if (!worst || worst->code == ErrorCode::not_found) worst = got.error();
  }
  return fail(std::move(*worst));
}

Result<std::unique_ptr<object::ObjectReader>> DistributedStore::open(const ObjectName& name) {
  TARN_TRY(const auto bucket, check(name));
  if (is_plain(bucket)) return parts_.homes.open(parts_.copies.home(name), name);
  return from_copies(name, bucket, [&](Home home) -> Result<std::unique_ptr<object::ObjectReader>> {
    TARN_TRY(auto reader, parts_.homes.open(home, name));
    if (bucket.mirror == 1) return reader;
    auto others = parts_.copies.holders(name, bucket.mirror);
    std::erase(others, home);
    return std::make_unique<MirrorReader>(parts_.homes, name, std::move(reader), home, std::move(others));
  });
}

Result<std::vector<std::byte>> DistributedStore::get(const ObjectName& name) {
  TARN_TRY(const auto bucket, check(name));
  return from_copies(name, bucket, [&](Home home) { return parts_.homes.get(home, name); });
}

Result<std::size_t> DistributedStore::read(const ObjectName& name, std::uint64_t offset, std::span<std::byte> target) {
  TARN_TRY(const auto bucket, check(name));
  return from_copies(name, bucket, [&](Home home) { return parts_.homes.read(home, name, offset, target); });
}

Result<std::vector<std::byte>> DistributedStore::get(const ObjectName& name, ByteRange range) {
  if (range.length <= limits::kPeerTransferBytes) {  // one round trip, also when the object turns out to be shorter
    std::vector<std::byte> bytes(static_cast<std::size_t>(range.length));
    TARN_TRY(const std::size_t size, read(name, range.offset, bytes));
    bytes.resize(size);
    return bytes;
  }
  TARN_TRY(const auto reader, open(name));
  TARN_TRY(const std::size_t length, clip(reader->info(), range.offset, range.length));
  std::vector<std::byte> bytes(length);
  TARN_TRY(const std::size_t size, reader->read(range.offset, bytes));
  bytes.resize(size);
  return bytes;
}

Result<ObjectInfo> DistributedStore::put(const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options) {
  TARN_TRY(auto bucket, check(name));
  if (is_plain(bucket) && !options.placement) return parts_.homes.put(parts_.copies.home(name), name, bytes, options);
  TARN_TRY(const Target target, choose_target(name, bucket, options));
  if (uses_pointers(bucket)) return parts_.placed.put(target, name, bytes, options);
  if (bytes.size() > limits::kSoloObjectBytesMin) {
    TARN_TRY(const auto writer, create(name, options, bytes.size()));
    TARN_CHECK(writer->write(bytes));
    return writer->commit();
  }
  const auto homes = parts_.copies.holders(name, bucket.mirror);
  return write_copies(name, homes.size(),
                      [&](std::size_t i, const object::CopyTerms& terms) { return parts_.homes.put(homes[i], name, bytes, options, terms); });
}

Result<std::unique_ptr<ObjectWriter>> DistributedStore::create(const ObjectName& name, const PutOptions& options, std::uint64_t size_hint) {
  TARN_TRY(auto bucket, check(name));
  if (is_plain(bucket) && !options.placement) return parts_.homes.create(parts_.copies.home(name), name, options, size_hint);
  TARN_TRY(const Target target, choose_target(name, bucket, options));
  if (uses_pointers(bucket)) return parts_.placed.create(target, name, options, size_hint);
  std::vector<std::unique_ptr<object::CopyWriter>> writers;
  for (const Home home : parts_.copies.holders(name, bucket.mirror)) {
    TARN_TRY(auto writer, parts_.homes.create(home, name, options, size_hint));
    writers.push_back(std::move(writer));
  }
  return std::make_unique<MirrorWriter>(name, std::move(writers));
}

Result<object::StoredObject> DistributedStore::find(const ObjectName& name) {
  TARN_TRY(const auto bucket, check(name));
  return from_copies(name, bucket, [&](Home home) { return parts_.homes.find(home, name); });
}

Result<ObjectInfo> DistributedStore::head(const ObjectName& name) {
  TARN_TRY(auto stored, find(name));
  return std::move(stored.info);
}

Result<void> DistributedStore::remove(const ObjectName& name, const std::optional<Checksum>& version) {
  TARN_TRY(const auto bucket, check(name));
  if (is_plain(bucket)) return parts_.homes.remove(parts_.copies.home(name), name, version);
  return remove_copies(name, bucket, version);
}

/// Every copy of any version that may ever be read again. @errors not_found: there is none.
Result<std::vector<FoundCopy>> DistributedStore::find_copies(const ObjectName& name, const BucketOptions& bucket) {
  std::vector<RankId> ranks;
  // A put of a placed object that was interrupted may have left an older version anywhere.
  const bool at_holders = parts_.copies.layout().settled() && !uses_pointers(bucket);
  if (at_holders) {
    for (const Home home : parts_.copies.holders(name, bucket.mirror))
      if (std::find(ranks.begin(), ranks.end(), home.rank) == ranks.end()) ranks.push_back(home.rank);
  } else {
    ranks = parts_.copies.storage_ranks();
  }
  TARN_TRY(auto found, parts_.copies.survey(ranks, name));
  if (found.empty() && !at_holders) {  // it may have been taken from a rank that was late to one that was early
    TARN_TRY(found, parts_.copies.survey(ranks, name));
  }
  if (found.empty()) return fail(ErrorCode::not_found, "no object named " + name.bucket + "/" + name.key);
  return found;
}

Result<void> DistributedStore::remove_copies(const ObjectName& name, const BucketOptions& bucket, const std::optional<Checksum>& version) {
  TARN_TRY(auto found, find_copies(name, bucket));
  const auto newest = std::max_element(found.begin(), found.end(),
                                       [](const auto& a, const auto& b) { return a.stored.info.modified_ns < b.stored.info.modified_ns; });
  const ObjectInfo removed = newest->stored.info;
  if (version && removed.checksum != *version)
    return fail(ErrorCode::aborted, name.bucket + "/" + name.key + " is another version than the one to be removed; it stays");
  // The first holder orders the changes: a new version that it gets from now on is later, and is not removed below.
  const Home first = parts_.copies.home(name);
  std::stable_partition(found.begin(), found.end(), [&](const FoundCopy& copy) { return copy.home == first; });
  TARN_CHECK(remove_found(name, bucket, std::move(found), removed.modified_ns));
  return uses_pointers(bucket) ? parts_.placed.forget(name, removed.modified_ns) : Result<void>();
}

/// A rebalance may bring a copy meanwhile to where there was none: until there is none. Where it is at work the removal waits.
Result<void> DistributedStore::remove_found(const ObjectName& name, const BucketOptions& bucket, std::vector<FoundCopy> found,
                                            std::int64_t not_after_ns) {
  const auto deadline = Clock::now() + parts_.homes.client().caller().timeout();
  for (;;) {
    Result<void> outcome;
    bool busy = false;
    for (const FoundCopy& copy : found) {
      const auto done = parts_.homes.remove_copy(copy.home, name, not_after_ns);
      const bool held = !done && done.error().code == ErrorCode::busy;
      busy |= held;
      if (!done && outcome && (!held || Clock::now() >= deadline)) outcome = fail(done.error());
    }
    if (!outcome) return outcome;
    if (busy) std::this_thread::sleep_for(kHeldPause);
    auto left = find_copies(name, bucket);
    if (!left && left.error().code == ErrorCode::not_found) return {};
    if (!left) return fail(left.error());
    found = std::move(*left);
    std::erase_if(found, [&](const FoundCopy& copy) { return copy.stored.info.modified_ns > not_after_ns; });
    if (found.empty()) return {};
  }
}

Result<void> DistributedStore::create_bucket(std::string_view bucket, const BucketOptions& options) {
  using Kind = PlacementPolicy::Kind;
  TARN_CHECK(base::check_bucket_options(options));
  const std::size_t ranks = parts_.copies.storage_ranks().size();
  if (options.mirror > ranks)
    return fail(ErrorCode::invalid, "bucket " + std::string(bucket) + ": mirror=" + std::to_string(options.mirror) +
                                        " needs as many ranks with disks, and this store has " + std::to_string(ranks) +
                                        "; ask for fewer copies or start more ranks");
  const auto& storage = parts_.copies.storage_ranks();
  if (options.placement.kind == Kind::rank && !std::binary_search(storage.begin(), storage.end(), options.placement.rank))
    return fail(ErrorCode::invalid, "bucket " + std::string(bucket) + ": placement " + to_string(options.placement) + ", but that rank " +
                                        (options.placement.rank < static_cast<RankId>(parts_.map->ranks.size()) ? "has no disk" : "does not exist") +
                                        "; the ranks with disks are among " + std::to_string(storage.front()) + " to " +
                                        std::to_string(storage.back()));
  return parts_.buckets.create(bucket, options);
}

Result<ListPage> DistributedStore::list(std::string_view bucket, const ListOptions& options) {
  if (!has_bucket(bucket)) {
    TARN_CHECK(base::check_bucket_name(bucket));
    return fail(ErrorCode::bucket_not_found, "there is no bucket " + std::string(bucket));
  }
  std::vector<ListPage> pages;
  const auto ask = [&](RankId peer) {
    base::Encoder message = begin_message();
    message.text(bucket);
    encode(message, options);
    return parts_.homes.client().caller().start(peer, Op::list, std::move(message));
  };
  TARN_CHECK(for_each_rank(parts_.homes.client().caller(), parts_.copies.storage_ranks(), parts_.rank, ask,
                           [&](RankId, std::span<const std::byte> body) -> Result<void> {
                             base::Decoder decoder(body);
                             pages.push_back(decode_page(decoder));
                             return decoder.complete() ? Result<void>() : Result<void>(fail(malformed("a listing")));
                           }));
  if (parts_.local != nullptr) {
    TARN_TRY(auto page, parts_.local->list(bucket, options));
    pages.push_back(std::move(page));
  }
  return object::merge_pages(std::move(pages), options.max_keys);
}

Result<StoreStats> DistributedStore::stats() {
  StoreStats total = empty_stats(*parts_.map);
  total.settled = parts_.copies.layout().settled();
  total.running_work = parts_.jobs.running();
  const auto ask = [&](RankId peer) { return parts_.homes.client().caller().start(peer, Op::stats, begin_message()); };
  TARN_CHECK(for_each_rank(parts_.homes.client().caller(), parts_.copies.storage_ranks(), parts_.rank, ask,
                           [&](RankId peer, std::span<const std::byte> body) -> Result<void> {
                             base::Decoder decoder(body);
                             const auto stats = decode_rank_stats(decoder);
                             if (!decoder.complete()) return fail(malformed("a rank's counters"));
                             add(total, peer, stats);
                             return {};
                           }));
  if (parts_.local != nullptr) add(total, parts_.rank, local_stats(*parts_.local, parts_.copies.layout().under_replicated()));
  return total;
}

std::vector<std::string> DistributedStore::troubles() const {
  std::vector<std::string> all;
  if (parts_.local == nullptr) return all;
  for (const auto& disk : parts_.local->disks())
    if (!disk.trouble.empty()) all.push_back(disk.trouble);
  return all;
}

}  // namespace tarn::mpi
