#include "mpi/membership.hpp"

#include <algorithm>
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
  std::map<std::string, std::string> options;  // that must be equal
};

std::map<std::string, std::string> common_options(const StoreOptions& options) {
  return {{"node_id_from_rank", options.node_id_from_rank ? "true" : "false"},
          {"request_timeout", std::to_string(options.request_timeout.count()) + " ms"},
          {"sidecar.anonymous", options.sidecar.anonymous ? "true" : "false"},
          {"sidecar.redirect", std::to_string(static_cast<int>(options.sidecar.redirect))}};
}

Encoder encode_identity(const Identity& identity) {
  Encoder encoder;
  encoder.text(identity.host).u32(static_cast<std::uint32_t>(identity.node_leader)).u8(identity.wire_version);
  for (const auto& [name, value] : identity.options) encoder.text(name).text(value);
  return encoder;
}

Result<Identity> decode_identity(std::span<const std::byte> bytes) {
  Decoder decoder(bytes);
  Identity identity;
  identity.host = decoder.text();
  identity.node_leader = static_cast<RankId>(decoder.u32());
  identity.wire_version = decoder.u8();
  while (!decoder.failed() && !decoder.rest().empty()) {
    std::string name(decoder.text());
    identity.options[std::move(name)] = decoder.text();
  }
  if (decoder.failed()) return fail(malformed("a rank's identity"));
  return identity;
}

Result<void> compare(const Identity& first, const Identity& other, RankId rank) {
  if (other.wire_version != first.wire_version)
    return fail(ErrorCode::invalid, "rank " + std::to_string(rank) + " runs another version of Tarn than rank 0 (peer protocol " +
                                        std::to_string(other.wire_version) + ", not " + std::to_string(first.wire_version) + ")");
  for (const auto& [name, value] : first.options) {
    const auto at = other.options.find(name);
    const std::string theirs = at == other.options.end() ? "nothing" : at->second;
    if (theirs != value)
      return fail(ErrorCode::invalid, "the ranks disagree on " + name + ": rank 0 says " + value + ", rank " + std::to_string(rank) + " says " +
                                          theirs + "; it must be the same on all");
  }
  return {};
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

Result<std::vector<placement::Rank>> exchange_identity(Collectives& collectives, const Comm& comm, const StoreOptions& options) {
  Identity mine;
  mine.host = base::host_name();
  mine.wire_version = kWireVersion;
  mine.options = common_options(options);
  {
    TARN_TRY(const Comm node, comm.split_shared());
    int leader = comm.rank();
    TARN_MPI(MPI_Allreduce(MPI_IN_PLACE, &leader, 1, MPI_INT, MPI_MIN, node.get()));
    mine.node_leader = leader;
  }
  const Encoder encoder = encode_identity(mine);
  TARN_TRY(const auto gathered, collectives.all_gather(encoder.bytes()));

  std::vector<Identity> all;
  for (std::size_t r = 0; r < gathered.size(); ++r) {
    TARN_TRY(auto identity, decode_identity(gathered[r]));
    all.push_back(std::move(identity));
    TARN_CHECK(compare(all.front(), all.back(), static_cast<RankId>(r)));
  }
  std::map<std::string, std::set<RankId>> leaders_of_host;
  for (const auto& identity : all) leaders_of_host[identity.host].insert(identity.node_leader);
  std::vector<placement::Rank> ranks;
  for (std::size_t r = 0; r < all.size(); ++r) {
    placement::Rank rank;
    rank.rank = static_cast<RankId>(r);
    rank.host = all[r].host;
    const auto leader = static_cast<std::size_t>(all[r].node_leader);
    rank.node = all[leader].host;
    // Containers with one host name that do not share memory.
    if (leaders_of_host[rank.node].size() > 1) rank.node += "-" + std::to_string(leader);
    if (options.node_id_from_rank) rank.node = "node-" + std::to_string(r);
    ranks.push_back(std::move(rank));
  }
  return ranks;
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
