#include "mpi/distributed_store.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "mpi/extents.hpp"
#include "mpi/list_merge.hpp"
#include "mpi/peer_reader.hpp"
#include "mpi/rank_stats.hpp"

namespace tarn::mpi {

DistributedStore::DistributedStore(Parts parts) : parts_(std::move(parts)), placement_(*parts_.map), disk_metrics_(metrics_, parts_.local) {
  for (const auto& disk : parts_.map->disks) storage_ranks_.push_back(disk.rank);
  std::sort(storage_ranks_.begin(), storage_ranks_.end());
  storage_ranks_.erase(std::unique(storage_ranks_.begin(), storage_ranks_.end()), storage_ranks_.end());
}

void DistributedStore::add_to(PeerService& service) {
  if (parts_.local == nullptr) return;
  service.on(Op::stats, RunOn::data, [this](Request request) {
    base::Encoder message = begin_message();
    encode(message, local_stats(*parts_.local));
    request.responder().reply(std::move(message));
  });
}

Home DistributedStore::home(const ObjectName& name) const {
  const auto& disk = parts_.map->disks[placement_.home_disk(name.bucket, name.key)];
  return {disk.rank, disk.index};
}

object::Location DistributedStore::locate(std::string_view bucket, std::string_view key) const {
  const auto& disk = parts_.map->disks[placement_.home_disk(bucket, key)];
  return {disk.rank, disk.rank == parts_.rank, disk.rank == parts_.rank || parts_.neighbours.reaches(disk.rank)};
}

Result<void> DistributedStore::check(const ObjectName& name) const {
  if (has_bucket(name.bucket)) return base::check_key(name.key);
  TARN_CHECK(base::check_name(name));
  return fail(ErrorCode::bucket_not_found, "there is no bucket " + name.bucket);
}

Result<std::unique_ptr<object::ObjectReader>> DistributedStore::open_neighbour(Home home, const ObjectName& name) {
  if (!parts_.neighbours.reaches(home.rank)) return std::unique_ptr<object::ObjectReader>();
  TARN_TRY(const auto stored, parts_.client.find(home, name));
  auto extents = parts_.neighbours.open(home.rank, stored);
  if (!extents) return std::unique_ptr<object::ObjectReader>();  // overwritten meanwhile, or another file system
  return std::make_unique<NeighbourReader>(home.rank, name, stored.info, std::move(*extents), parts_.neighbours.verified(home.rank, stored),
                                           [this, home, stored] { parts_.neighbours.set_verified(home.rank, stored); });
}

Result<std::unique_ptr<object::ObjectReader>> DistributedStore::open_at(Home home, const ObjectName& name) {
  if (is_here(home)) return parts_.local->open_reader(home.disk, name);
  TARN_TRY(auto neighbour, open_neighbour(home, name));
  if (neighbour) return neighbour;
  return parts_.client.open_reader(home, name);
}

Result<std::unique_ptr<object::ObjectReader>> DistributedStore::open(const ObjectName& name) {
  TARN_CHECK(check(name));
  return open_at(home(name), name);
}

Result<std::vector<std::byte>> DistributedStore::get(const ObjectName& name) {
  TARN_CHECK(check(name));
  const Home at = home(name);
  if (is_here(at)) return parts_.local->get(at.disk, name);
  TARN_TRY(const auto neighbour, open_neighbour(at, name));
  if (!neighbour) return parts_.client.get(at, name);
  std::vector<std::byte> bytes(static_cast<std::size_t>(neighbour->info().size_bytes));
  TARN_CHECK(neighbour->read(0, bytes));  // from 0 to the end: verified
  return bytes;
}

Result<std::size_t> DistributedStore::read(const ObjectName& name, std::uint64_t offset, std::span<std::byte> target) {
  TARN_CHECK(check(name));
  const Home at = home(name);
  if (is_here(at)) {
    TARN_TRY(const auto reader, parts_.local->open_reader(at.disk, name));
    TARN_TRY(const std::size_t size, clip(reader->info(), offset, target.size()));
    return reader->read(offset, target.first(size));
  }
  TARN_TRY(const auto neighbour, open_neighbour(at, name));
  if (!neighbour) return parts_.client.read(at, name, offset, target);
  return neighbour->read(offset, target);
}

Result<std::vector<std::byte>> DistributedStore::get(const ObjectName& name, ByteRange range) {
  TARN_CHECK(check(name));
  if (range.length <= limits::kPeerTransferBytes) {  // one round trip, also when the object turns out to be shorter
    std::vector<std::byte> bytes(static_cast<std::size_t>(range.length));
    TARN_TRY(const std::size_t size, read(name, range.offset, bytes));
    bytes.resize(size);
    return bytes;
  }
  TARN_TRY(const auto reader, open_at(home(name), name));
  TARN_TRY(const std::size_t length, clip(reader->info(), range.offset, range.length));
  std::vector<std::byte> bytes(length);
  TARN_TRY(const std::size_t size, reader->read(range.offset, bytes));
  bytes.resize(size);
  return bytes;
}

Result<ObjectInfo> DistributedStore::put(const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options) {
  TARN_CHECK(check(name));
  const Home at = home(name);
  if (is_here(at)) return parts_.local->put(at.disk, name, bytes, options);
  return parts_.client.put(at, name, bytes, options);
}

Result<std::unique_ptr<ObjectWriter>> DistributedStore::create(const ObjectName& name, const PutOptions& options, std::uint64_t size_hint) {
  TARN_CHECK(check(name));
  const Home at = home(name);
  if (is_here(at)) return parts_.local->create(at.disk, name, options, size_hint);
  return parts_.client.create(at, name, options, size_hint);
}

Result<object::StoredObject> DistributedStore::find(const ObjectName& name) {
  TARN_CHECK(check(name));
  const Home at = home(name);
  return is_here(at) ? parts_.local->find(at.disk, name) : parts_.client.find(at, name);
}

Result<ObjectInfo> DistributedStore::head(const ObjectName& name) {
  TARN_TRY(auto stored, find(name));
  return std::move(stored.info);
}

Result<void> DistributedStore::remove(const ObjectName& name, const std::optional<Checksum>& version) {
  TARN_CHECK(check(name));
  const Home at = home(name);
  return is_here(at) ? parts_.local->remove(at.disk, name, version) : parts_.client.remove(at, name, version);
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
    return parts_.client.caller().start(peer, Op::list, std::move(message));
  };
  TARN_CHECK(for_each_rank(parts_.client.caller(), storage_ranks_, parts_.rank, ask, [&](RankId, std::span<const std::byte> body) -> Result<void> {
    base::Decoder decoder(body);
    pages.push_back(decode_page(decoder));
    return decoder.complete() ? Result<void>() : Result<void>(fail(malformed("a listing")));
  }));
  if (parts_.local != nullptr) {
    TARN_TRY(auto page, parts_.local->list(bucket, options));
    pages.push_back(std::move(page));
  }
  return merge_pages(std::move(pages), options.max_keys);
}

Result<StoreStats> DistributedStore::stats() {
  StoreStats total = empty_stats(*parts_.map);
  const auto ask = [&](RankId peer) { return parts_.client.caller().start(peer, Op::stats, begin_message()); };
  TARN_CHECK(
      for_each_rank(parts_.client.caller(), storage_ranks_, parts_.rank, ask, [&](RankId peer, std::span<const std::byte> body) -> Result<void> {
        base::Decoder decoder(body);
        const auto stats = decode_rank_stats(decoder);
        if (!decoder.complete()) return fail(malformed("a rank's counters"));
        add(total, peer, stats);
        return {};
      }));
  if (parts_.local != nullptr) add(total, parts_.rank, local_stats(*parts_.local));
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
