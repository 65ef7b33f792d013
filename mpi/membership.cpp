#include "mpi/membership.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/host.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/uuid.hpp"
#include "job/job_env.hpp"
#include "mpi/buckets.hpp"
#include "mpi/common_options.hpp"
#include "mpi/disk_sets.hpp"
#include "mpi/error.hpp"
#include "mpi/gather_distinct.hpp"
#include "mpi/wire.hpp"

namespace tarn::mpi {

using base::Decoder;
using base::Encoder;
using base::Uuid;

namespace {

/// What every rank tells the others first.
struct Identity {
  std::string host;
  RankId node_leader = 0;  // lowest rank that shares memory with it
  std::uint8_t wire_version = 0;
  RankOptions options;
  bool names_endpoint_file = false;
};

Encoder encode_identity(const Identity& identity) {
  const RankOptions& options = identity.options;
  Encoder encoder;
  encoder.text(identity.host).u32(static_cast<std::uint32_t>(identity.node_leader)).u8(identity.wire_version);
  encoder.u8(static_cast<std::uint8_t>(options.role)).u8(options.serves_http ? 1 : 0).u8(identity.names_endpoint_file ? 1 : 0);
  encoder.u8(options.node_id_from_rank ? 1 : 0).u8(options.anonymous ? 1 : 0).u8(static_cast<std::uint8_t>(options.redirect));
  encoder.i64(options.request_timeout.count());
  return encoder;
}

/// Another version's may go on in any way: it is read as far as its version.
Result<Identity> decode_identity(std::span<const std::byte> bytes) {
  Decoder decoder(bytes);
  Identity identity;
  identity.host = decoder.text();
  identity.node_leader = static_cast<RankId>(decoder.u32());
  identity.wire_version = decoder.u8();
  if (!decoder.failed() && identity.wire_version != kWireVersion) return identity;
  identity.options.role = static_cast<RankRole>(decoder.u8());
  identity.options.serves_http = decoder.u8() != 0;
  identity.names_endpoint_file = decoder.u8() != 0;
  identity.options.node_id_from_rank = decoder.u8() != 0;
  identity.options.anonymous = decoder.u8() != 0;
  identity.options.redirect = static_cast<RedirectPolicy>(decoder.u8());
  identity.options.request_timeout = std::chrono::milliseconds(decoder.i64());
  if (!decoder.complete()) return fail(malformed("a rank's identity"));
  return identity;
}

Result<void> compare(const Identity& first, const Identity& other, RankId rank) {
  if (other.wire_version == first.wire_version) return {};
  return fail(ErrorCode::invalid, "rank " + std::to_string(rank) + " runs another version of Tarn than rank 0 (peer protocol " +
                                      std::to_string(other.wire_version) + ", not " + std::to_string(first.wire_version) + ")");
}

/// A service rank where one names a file: rank 0 may be an application's that has never heard of it.
RankId endpoint_writer(const std::vector<Identity>& all) {
  for (const auto role : {RankRole::service, RankRole::application})
    for (std::size_t r = 0; r < all.size(); ++r)
      if (all[r].options.role == role && all[r].names_endpoint_file) return static_cast<RankId>(r);
  return -1;
}

}  // namespace

Result<void> check_launcher(MPI_Comm comm) {
  int relation = MPI_UNEQUAL;
  TARN_MPI(MPI_Comm_compare(comm, MPI_COMM_WORLD, &relation));
  if (relation != MPI_IDENT && relation != MPI_CONGRUENT) return {};
  int size = 0;
  TARN_MPI(MPI_Comm_size(comm, &size));
  const auto disagreement = job::launcher_disagreement(job::read_job_env(job::current_environment()), size);
  if (disagreement) return fail(ErrorCode::invalid, *disagreement);
  return {};
}

std::chrono::milliseconds request_timeout(const StoreOptions& options, int ranks) {
  if (options.request_timeout.count() > 0) return options.request_timeout;
  return std::chrono::milliseconds(static_cast<std::int64_t>(30'000 * (1 + std::log2(static_cast<double>(ranks)))));
}

Result<Members> exchange_identity(Collectives& collectives, const Comm& comm, const StoreOptions& options) {
  Identity mine;
  mine.host = base::host_name();
  mine.wire_version = kWireVersion;
  mine.options = options_of(options);
  mine.names_endpoint_file = options.sidecar.enabled && !options.sidecar.endpoint_file.empty();
  {
    TARN_TRY(const Comm node, comm.split_shared());
    int leader = comm.rank();
    TARN_MPI(MPI_Allreduce(MPI_IN_PLACE, &leader, 1, MPI_INT, MPI_MIN, node.get()));
    mine.node_leader = leader;
  }
  const Encoder encoder = encode_identity(mine);
  TARN_TRY(const auto gathered, collectives.all_gather(encoder.bytes()));

  std::vector<Identity> all;
  std::vector<RankOptions> said;
  for (std::size_t r = 0; r < gathered.size(); ++r) {
    TARN_TRY(auto identity, decode_identity(gathered[r]));
    all.push_back(std::move(identity));
    said.push_back(all.back().options);
    TARN_CHECK(compare(all.front(), all.back(), static_cast<RankId>(r)));
  }
  Members members;
  TARN_TRY(members.options, with_common_options(options, said));
  members.endpoint_writer = endpoint_writer(all);
  std::map<std::string, std::set<RankId>> leaders_of_host;
  for (const auto& identity : all) leaders_of_host[identity.host].insert(identity.node_leader);
  for (std::size_t r = 0; r < all.size(); ++r) {
    const auto id = static_cast<RankId>(r);
    if (said[r].role == RankRole::service) ++members.services;
    if (said[r].role == RankRole::application && members.first_application < 0) members.first_application = id;
    placement::Rank rank;
    rank.rank = id;
    rank.host = all[r].host;
    const auto leader = static_cast<std::size_t>(all[r].node_leader);
    rank.node = all[leader].host;
    // Containers with one host name that do not share memory.
    if (leaders_of_host[rank.node].size() > 1) rank.node += "-" + std::to_string(leader);
    if (members.options.node_id_from_rank) rank.node = "node-" + std::to_string(r);
    members.ranks.push_back(std::move(rank));
  }
  return members;
}

std::vector<std::string> substitute_directories(const StoreOptions& options, const placement::Rank& here) {
  std::vector<std::string> directories;
  for (const auto& directory : options.directories)
    directories.push_back(base::substitute(base::substitute(directory, "rank", std::to_string(here.rank)), "node", here.node));
  return directories;
}

namespace {

struct RankDisks {
  std::string url;
  std::vector<placement::Disk> disks;
  std::vector<Uuid> store_ids;  // of the disks; nil: new
};

void encode_uuid(Encoder& encoder, const Uuid& id) {
  encoder.raw(std::as_bytes(std::span(id.bytes)));
}

Uuid decode_uuid(Decoder& decoder) {
  Uuid id;
  const auto bytes = decoder.raw(id.bytes.size());
  std::transform(bytes.begin(), bytes.end(), id.bytes.begin(), [](std::byte b) { return static_cast<std::uint8_t>(b); });
  return id;
}

Encoder encode_disks(const object::LocalStore* local, std::string_view url) {
  Encoder encoder;
  encoder.text(url);
  if (local == nullptr) return encoder;
  for (const auto& disk : local->disks()) {
    encode_uuid(encoder, disk.id);
    encode_uuid(encoder, disk.store_id);
    encoder.u64(disk.weight).text(disk.directory);
  }
  return encoder;
}

Result<RankDisks> decode_disks(std::span<const std::byte> bytes, RankId rank) {
  Decoder decoder(bytes);
  RankDisks result;
  result.url = decoder.text();
  while (!decoder.failed() && !decoder.rest().empty()) {
    placement::Disk disk;
    disk.id = decode_uuid(decoder);
    result.store_ids.push_back(decode_uuid(decoder));
    disk.weight = decoder.u64();
    disk.directory = decoder.text();
    disk.rank = rank;
    disk.index = static_cast<std::uint32_t>(result.disks.size());
    result.disks.push_back(std::move(disk));
  }
  if (decoder.failed()) return fail(malformed("a rank's list of disks"));
  return result;
}

std::string where(const placement::Disk& disk) {
  return disk.directory + " of rank " + std::to_string(disk.rank);
}

/// The id that the stamped disks agree on; nil when all are new.
Result<Uuid> common_store_id(const std::vector<RankDisks>& all) {
  Uuid id;
  std::string first;
  for (const auto& rank : all) {
    for (std::size_t i = 0; i < rank.disks.size(); ++i) {
      const auto& theirs = rank.store_ids[i];
      if (theirs.is_nil()) continue;
      if (id.is_nil()) {
        id = theirs;
        first = where(rank.disks[i]);
      } else if (theirs != id) {
        return fail(ErrorCode::invalid, "disks of two stores: " + first + " belongs to store " + id.to_string() + ", " + where(rank.disks[i]) +
                                            " to store " + theirs.to_string() + "; give directories of one store, or new ones");
      }
    }
  }
  return id;
}

}  // namespace

Result<placement::StoreMap> exchange_disks(Collectives& collectives, object::LocalStore* local, std::vector<placement::Rank> ranks,
                                           std::string_view url) {
  const Encoder mine = encode_disks(local, url);
  TARN_TRY(const auto gathered, collectives.all_gather(mine.bytes()));
  std::vector<RankDisks> all;
  placement::StoreMap map;
  for (std::size_t r = 0; r < gathered.size(); ++r) {
    TARN_TRY(auto disks, decode_disks(gathered[r], static_cast<RankId>(r)));
    ranks[r].url = disks.url;
    map.disks.insert(map.disks.end(), disks.disks.begin(), disks.disks.end());
    all.push_back(std::move(disks));
  }
  if (map.disks.empty())
    return fail(
        ErrorCode::invalid,
        "no rank has a directory, so there is nothing to store objects in; give at least one rank StoreOptions::directories (tarn serve --dir)");
  std::sort(map.disks.begin(), map.disks.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (std::size_t i = 1; i < map.disks.size(); ++i)
    if (map.disks[i].id == map.disks[i - 1].id)
      return fail(ErrorCode::invalid,
                  "the same disk twice: " + where(map.disks[i - 1]) + " and " + where(map.disks[i]) + "; one is a copy of the other, take one away");
  TARN_TRY(map.store_id, common_store_id(all));
  if (map.store_id.is_nil()) {
    const Uuid fresh = Uuid::random();  // of rank 0, for all
    TARN_TRY(const auto bytes, collectives.broadcast(0, std::as_bytes(std::span(fresh.bytes))));
    Decoder decoder(bytes);
    map.store_id = decode_uuid(decoder);
  }
  map.ranks = std::move(ranks);
  TARN_TRY(const auto known, exchange_known_disks(collectives, local));
  const auto present = present_disks(map);
  if (collectives.rank() == 0) warn_about_missing_disks(volume::without(known, present));
  TARN_CHECK(collectives.agree(local != nullptr ? local->adopt(map.store_id, volume::merged(present, known)) : Result<void>()));
  return map;
}

Result<std::vector<BucketInfo>> exchange_buckets(Collectives& collectives, const object::LocalStore* local) {
  Encoder mine;
  if (local != nullptr)
    for (const auto& bucket : local->buckets()) encode_bucket(mine, bucket);
  TARN_TRY(const auto lists, gather_distinct(collectives, mine.bytes()));
  std::vector<BucketInfo> all;
  for (const auto& bytes : lists) {
    Decoder decoder(bytes);
    while (!decoder.failed() && !decoder.rest().empty()) {
      all.push_back(decode_bucket(decoder));
    }
    if (decoder.failed()) return fail(malformed("a list of buckets"));
  }
  return all;
}

}  // namespace tarn::mpi
