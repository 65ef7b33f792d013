// store_impl.hpp - all parts of one rank's open store, in the order in which they depend on each other.
// Level 6 (mpi). open(), close() and destruction: the application's thread.
//
//   engine <- collectives, caller, service <- client, handlers, buckets, jobs <- distributed store <- sidecar
//
// close(): agreed on (until then everything is served), sidecar, jobs, barrier (nobody asks any more), drain, barrier (no message is left), disks,
// engine, communicators.
#pragma once

#include <mpi.h>

#include <memory>
#include <optional>
#include <string>

#include <tarn/options.hpp>
#include <tarn/store.hpp>

#include "base/file.hpp"
#include "http/sidecar.hpp"
#include "mpi/buckets.hpp"
#include "mpi/caller.hpp"
#include "mpi/calling_thread.hpp"
#include "mpi/collective_calls.hpp"
#include "mpi/comm.hpp"
#include "mpi/copies.hpp"
#include "mpi/distributed_store.hpp"
#include "mpi/doorbell.hpp"
#include "mpi/endpoint_file.hpp"
#include "mpi/engine.hpp"
#include "mpi/homes.hpp"
#include "mpi/jobs.hpp"
#include "mpi/layout.hpp"
#include "mpi/membership.hpp"
#include "mpi/mpi_collectives.hpp"
#include "mpi/neighbour_files.hpp"
#include "mpi/object_handlers.hpp"
#include "mpi/peer_client.hpp"
#include "mpi/peer_service.hpp"
#include "mpi/placed.hpp"
#include "mpi/presence.hpp"
#include "mpi/settle.hpp"
#include "mpi/shared_changes.hpp"
#include "mpi/store_fetcher.hpp"
#include "mpi/worker_pool.hpp"
#include "object/local_store.hpp"

namespace tarn {

class Store::Impl final : private mpi::Listener {
 public:
  struct Comms {
    mpi::Comm peers;  ///< messages between two ranks
    mpi::Comm application;
    mpi::Comm jobs;
    mpi::Comm role;  ///< ranks of this rank's role; used by the application, or by `tarn serve`
  };
  /// Collective, by a thread that may call MPI.
  /// @param ready  what has gone wrong on this rank before: everybody's outcome then.
  /// @param files  where this rank's disks are; lives as long as the store does.
  [[nodiscard]] static Result<std::unique_ptr<Impl>> open(MPI_Comm comm, const StoreOptions& options, mpi::ThreadLevel level, Result<void> ready = {},
                                                          base::FileSystem& files = base::posix_file_system());
  Impl(Comms comms, mpi::Members members, mpi::ThreadLevel level, base::FileSystem& files);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() override;

  /// Collective.
  [[nodiscard]] Result<void> close();
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] const mpi::CallingThread& calling_thread() const noexcept { return calling_thread_; }
  /// Expires when close() begins: for what the application may still hold then.
  [[nodiscard]] std::weak_ptr<const void> open_token() const noexcept { return open_token_; }

  [[nodiscard]] mpi::Engine& engine() noexcept { return engine_; }
  [[nodiscard]] mpi::Collectives& collectives() noexcept { return collectives_; }
  [[nodiscard]] mpi::DistributedStore& store() noexcept { return *store_; }
  [[nodiscard]] const mpi::DistributedStore& store() const noexcept { return *store_; }
  [[nodiscard]] mpi::Fetcher& fetcher() noexcept { return *fetcher_; }
  [[nodiscard]] RankId rank() const noexcept { return comms_.application.rank(); }
  [[nodiscard]] int size() const noexcept { return comms_.application.size(); }
  [[nodiscard]] std::string url() const { return sidecar_ ? sidecar_->url() : std::string(); }
  [[nodiscard]] const std::string& token() const noexcept { return secrets_.token; }
  [[nodiscard]] Result<DsortReport> dsort(const DsortSpec& spec, const DsortProgressFn& progress);
  [[nodiscard]] mpi::DsortContext dsort_context(mpi::Collectives& collectives);
  [[nodiscard]] Result<RebalanceReport> rebalance(const RebalanceOptions& options, const RebalanceProgressFn& progress);
  [[nodiscard]] mpi::SettleContext settle_context(mpi::Collectives& collectives);
  [[nodiscard]] bool settled() const noexcept { return layout_.settled(); }
  [[nodiscard]] Result<void> flush();
  [[nodiscard]] const mpi::Members& members() const noexcept { return members_; }
  /// Whether this rank takes part in what the application's ranks do, and calls nothing collective itself but close().
  [[nodiscard]] bool follows() const noexcept { return members_.mixed() && options_.role == RankRole::service; }
  /// Until close().
  [[nodiscard]] MPI_Comm role_communicator() const noexcept { return comms_.role.get(); }

 private:
  /// Collective: everything after the communicators. On error the object is only good for destruction.
  [[nodiscard]] Result<void> open();
  void on_message(MPI_Message message, int source, int tag, std::size_t size_bytes) override;
  void on_tick(mpi::Clock::time_point now) override;

  /// Collective. Before a call of all ranks; on a rank that follows, the whole of what comes before close().
  [[nodiscard]] Result<void> begin(mpi::CollectiveCall call);
  [[nodiscard]] Result<void> follow();
  [[nodiscard]] Result<void> flush_together();
  [[nodiscard]] Result<DsortReport> dsort_together(DsortSpec spec, const DsortProgressFn& progress);
  [[nodiscard]] Result<RebalanceReport> rebalance_together(RebalanceOptions options, const RebalanceProgressFn& progress);
  /// Collective. The application's specification on ranks that follow.
  [[nodiscard]] Result<void> share(DsortSpec& spec);
  [[nodiscard]] Result<void> claim_endpoint_file();
  [[nodiscard]] Result<void> open_disks(const placement::Rank& here);
  void make_parts();
  [[nodiscard]] Result<void> start_threads();
  /// Collective calls end from now on when a rank is lost.
  [[nodiscard]] Result<void> watch_ranks();
  [[nodiscard]] Result<void> serve();
  /// Waits until MPI has taken all that this rank has sent and all late answers are in. @return whether it came to that in time.
  [[nodiscard]] bool drain(std::chrono::milliseconds time);
  /// Before an end without close(): the others' collective calls would wait for this rank, service ranks' until the job ends.
  void say_farewell() noexcept;
  /// Runs what waits for threads that may wait for other ranks; this thread goes on turning the engine meanwhile.
  template <class Function>
  void beside_engine(Function function);
  /// Ends all threads; nothing waits for another rank.
  void stop() noexcept;

  const mpi::Members members_;
  const StoreOptions& options_;  // of members_
  base::FileSystem& files_;
  const mpi::CallingThread calling_thread_;
  Comms comms_;
  mpi::Doorbell doorbell_;
  mpi::Engine engine_;
  mpi::MpiCollectives collectives_;
  mpi::MpiCollectives job_collectives_;
  mpi::CollectiveCalls calls_;
  mpi::WorkerPool data_pool_;
  mpi::WorkerPool control_pool_;
  mpi::Caller caller_;
  mpi::PeerService service_;
  mpi::PeerClient client_;
  mpi::Presence presence_;
  mpi::Secrets secrets_;
  mpi::SharedChanges changes_;
  std::unique_ptr<object::LocalStore> local_;  // null: a rank without disks
  std::shared_ptr<const placement::StoreMap> map_;
  mpi::Layout layout_;
  // From make_parts() on:
  std::optional<mpi::ObjectHandlers> handlers_;  // with local_
  std::optional<mpi::NeighbourFiles> neighbours_;
  std::optional<mpi::StoreFetcher> fetcher_;
  std::optional<mpi::Homes> homes_;
  std::optional<mpi::Copies> copies_;
  std::optional<mpi::Placed> placed_;
  std::optional<mpi::Buckets> buckets_;
  std::optional<mpi::Jobs> jobs_;
  std::optional<mpi::DistributedStore> store_;
  std::unique_ptr<http::Sidecar> sidecar_;  // last: it calls all others
  std::shared_ptr<const void> open_token_ = std::make_shared<char>();
  bool opened_ = false;
  std::optional<mpi::EndpointFile> endpoint_file_;  // of the rank that writes it
  bool closed_ = false;
};

/// The way from a store to what it is made of.
struct StoreAccess {
  /// Null when it has been moved from.
  [[nodiscard]] static Store::Impl* impl(const Store& store) noexcept { return store.impl_.get(); }
};

}  // namespace tarn
