// mpi_collectives.hpp - Collectives over a communicator of its own, by non-blocking MPI calls in the engine.
// Level 6 (mpi). One calling thread at a time; it waits while the engine's thread makes the calls.
//
// A call that fails on this rank alone (no memory, an error of MPI) leaves the others in theirs: they are told, and neither
// this communicator nor the store's others end a wait again. Nothing is thrown.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "mpi/collectives.hpp"
#include "mpi/comm.hpp"
#include "mpi/engine.hpp"
#include "mpi/presence.hpp"

namespace tarn::mpi {

class MpiCollectives final : public Collectives {
 public:
  /// `comm` is used by nobody else and outlives this, as does the engine.
  MpiCollectives(Engine& engine, const Comm& comm) : engine_(engine), comm_(comm) {}

  /// From now on a wait ends with rank_lost when a rank does not answer any more. When all ranks have started their engines.
  void end_with(Presence& presence) noexcept { presence_ = &presence; }

  /// Whether waits may last as long as the job: then no rank counts as lost for being silent, say in a debugger.
  void set_patient(bool patient) noexcept { patient_ = patient; }

  /// Whether a call has failed so that every further one does.
  [[nodiscard]] bool over() const noexcept { return lost_.has_value(); }

  [[nodiscard]] RankId rank() const noexcept override { return comm_.rank(); }
  [[nodiscard]] int size() const noexcept override { return comm_.size(); }
  [[nodiscard]] Result<void> barrier() override;
  [[nodiscard]] Result<void> agree(Result<void> mine) override;
  [[nodiscard]] Result<void> all_reduce_sum(std::span<std::uint64_t> values) override;
  [[nodiscard]] Result<void> all_reduce_max(std::span<std::uint64_t> values) override;
  [[nodiscard]] Result<std::uint64_t> exclusive_scan_sum(std::uint64_t value) override;
  [[nodiscard]] Result<std::vector<std::vector<std::byte>>> all_gather(std::span<const std::byte> mine) override;
  [[nodiscard]] Result<std::vector<std::byte>> broadcast(RankId root, std::span<const std::byte> bytes) override;
  [[nodiscard]] Result<std::vector<std::vector<std::byte>>> exchange(std::vector<std::vector<std::byte>> to_each) override;

 private:
  using Bytes = std::vector<std::byte>;

  /// Runs a public call. What it throws, std::bad_alloc above all, becomes its error, after give_up().
  template <class Call>
  [[nodiscard]] auto whole(Call call) -> decltype(call());
  /// This rank cannot end a call that the others may be in: tells them, and ends every further call. @return `why`.
  [[nodiscard]] Error give_up(Error why) noexcept;
  /// Waits for `done`. @errors aborted: the engine has stopped; rank_lost, and then every further call gives that too.
  [[nodiscard]] Result<void> wait(Event& done);
  /// Runs `post(&request)`, an MPI call that starts something, on the engine's thread and waits for its end. `memory` is what MPI
  /// reads and writes: it lives until MPI is done with it, also when this call gives up before.
  template <class Post>
  [[nodiscard]] Result<void> complete(const char* name, std::shared_ptr<void> memory, Post post);
  /// Runs `allocate`, which may throw. Where it is `large`, which all ranks know, they agree on the outcome.
  template <class Allocate>
  [[nodiscard]] Result<void> allocate_together(bool large, Allocate allocate);
  [[nodiscard]] Result<void> all_reduce(std::span<std::uint64_t> values, MPI_Op op);
  [[nodiscard]] Result<void> agree_now(Result<void> mine);
  [[nodiscard]] Result<Bytes> broadcast_now(RankId root, std::span<const std::byte> bytes);
  [[nodiscard]] Result<std::vector<Bytes>> all_gather_now(std::span<const std::byte> mine);
  [[nodiscard]] Result<std::vector<Bytes>> exchange_now(std::vector<Bytes> to_each);
  /// Root's bytes into the others' `bytes`, of the same size, which lie in `memory`.
  [[nodiscard]] Result<void> broadcast_into(RankId root, std::span<std::byte> bytes, const std::shared_ptr<void>& memory);
  /// A rank has first its own size and bytes, then those of the ranks after it that it has got; rank 0 in the end all.
  ///
  ///   0 <- 1   2 <- 3   4 <- 5   6          a rank with bit 0 set sends to the one below
  ///   0 <----- 2        4 <----- 6          then bit 1, ...
  ///   0 <-------------- 4
  ///
  /// MPI_Iallgatherv would do it in one call; in Open MPI each rank then sends to each other one, which is P^2 messages, and P
  /// connections for every rank before the store has served anything.
  struct Gather {
    std::vector<std::uint64_t> sizes;  // room for all ranks'
    Bytes bytes;                       // the same
  };
  [[nodiscard]] Result<void> gather_on_tree(const std::shared_ptr<Gather>& data);

  Engine& engine_;
  const Comm& comm_;
  Presence* presence_ = nullptr;  // null: waits without limit
  bool patient_ = false;
  std::optional<Error> lost_;  // of every further call
};

}  // namespace tarn::mpi
