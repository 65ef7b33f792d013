// peer_client.hpp - reads and writes objects that another rank owns.
// Level 6 (mpi). Any thread; calls block, most for one round trip. Errors come back with the rank they come from.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "mpi/caller.hpp"
#include "mpi/fetcher.hpp"
#include "mpi/wire.hpp"
#include "object/copy_terms.hpp"
#include "object/local_store.hpp"
#include "object/object_service.hpp"

namespace tarn::mpi {

/// Where an object is to be found: a disk of a rank.
struct Home {
  RankId rank = 0;
  std::uint32_t disk = 0;

  friend bool operator==(const Home&, const Home&) = default;
};

/// The owner's answer to Op::open: the bytes themselves when there are few, else a session to read them from.
struct OpenedObject {
  object::StoredObject stored;
  std::vector<std::byte> bytes;
  std::uint64_t session = 0;  ///< 0: all is in bytes
};

class PeerClient {
 public:
  explicit PeerClient(Caller& caller) : caller_(caller) {}

  /// @errors not_found, bucket_not_found; of every call: timeout, rank_lost.
  [[nodiscard]] Result<object::StoredObject> find(Home home, const ObjectName& name);
  /// Whole object, its checksum verified here. @cost one round trip up to 64 KiB; else one more, and pieces
  /// of kPeerTransferBytes, kPeerTransfersInFlight at a time. @errors also corrupt, io.
  [[nodiscard]] Result<std::vector<std::byte>> get(Home home, const ObjectName& name);
  /// Part of an object. @return bytes written to target. @errors also out_of_range, corrupt, io.
  [[nodiscard]] Result<std::size_t> read(Home home, const ObjectName& name, std::uint64_t offset, std::span<std::byte> target);
  [[nodiscard]] Result<std::unique_ptr<object::ObjectReader>> open_reader(Home home, const ObjectName& name);
  [[nodiscard]] Result<ObjectInfo> put(Home home, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options,
                                       const object::CopyTerms& terms = {});
  [[nodiscard]] Result<std::unique_ptr<object::CopyWriter>> create(Home home, const ObjectName& name, const PutOptions& options,
                                                                   std::uint64_t size_hint);
  [[nodiscard]] Result<void> remove(Home home, const ObjectName& name, const std::optional<Checksum>& version);
  /// As LocalStore::remove_copy.
  [[nodiscard]] Result<bool> remove_copy(Home home, const ObjectName& name, std::int64_t not_after_ns);
  /// One message's worth of extents, at most kFetchBatchBytesMax; finish with Caller::finish().
  [[nodiscard]] std::shared_ptr<Call> start_fetch(RankId rank, std::span<const WireExtent> extents, std::span<std::byte> target);

  // For readers and writers: sessions that are to be kept alive.
  void keep(RankId rank, std::uint64_t session);
  void forget(RankId rank, std::uint64_t session) noexcept;
  /// forget(), and ends it with Op::close or Op::put_abort, without waiting for the answer.
  void end(RankId rank, std::uint64_t session, Op op) noexcept;
  [[nodiscard]] Result<OpenedObject> open(Home home, const ObjectName& name);
  using ArrivedFn = std::function<void(std::span<const std::byte>)>;
  /// Reads object bytes [offset, offset + target.size()), all inside of the object, from a session.
  /// @param arrived  called with each piece, in order, while others are still on their way; not after an error.
  [[nodiscard]] Result<void> read_session(RankId rank, std::uint64_t session, std::uint64_t offset, std::span<std::byte> target,
                                          const ArrivedFn& arrived = {});
  [[nodiscard]] Caller& caller() noexcept { return caller_; }

  /// No more touches: the store is closing.
  void stop_touching() noexcept { touching_.store(false); }
  /// Touches the sessions when it is time. Engine's thread.
  void on_tick(Clock::time_point now);

 private:
  Caller& caller_;
  std::atomic<bool> touching_{true};
  std::mutex mutex_;  // guards sessions_
  std::map<RankId, std::set<std::uint64_t>> sessions_;
  Clock::time_point next_touch_{};  // of the engine's thread
};

/// u32 disk, name: how a request for an object begins.
[[nodiscard]] base::Encoder begin_object_message(std::uint32_t disk, const ObjectName& name);

}  // namespace tarn::mpi
