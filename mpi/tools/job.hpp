// job.hpp - a store opened by the ranks of this very job: MPI's beginning and end, errors said once.
// Level 7 (tools). Main thread only. The only place of the tool that initialises MPI.
#pragma once

#include <mpi.h>

#include <functional>
#include <string_view>

#include <tarn/options.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

namespace tarn::tools {

/// Whether this is the first of the processes that the launcher was told to start with this command line, before and without MPI: from the
/// launcher's environment. In a job of several programs only Open MPI says so; under others it is the first of all.
[[nodiscard]] bool is_first_rank();

/// MPI_Init_thread ... MPI_Finalize around a scope. With less than MPI_THREAD_MULTIPLE the job is told why it cannot go on.
class MpiScope {
 public:
  MpiScope();
  ~MpiScope();
  MpiScope(const MpiScope&) = delete;
  MpiScope& operator=(const MpiScope&) = delete;
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  [[nodiscard]] int thread_level() const noexcept { return thread_level_; }

 private:
  int rank_ = 0, size_ = 1, thread_level_ = 0;
};

/// The ranks that run this command with an open store: all of the job, or those of one role beside an application.
struct Crew {
  MPI_Comm comm = MPI_COMM_NULL;
  bool first = false;    ///< the one that speaks
  bool follows = false;  ///< these are service ranks, and an application uses the store: its close() ends it
};

/// Collective over MPI_COMM_WORLD: makes sure that the first rank finds nothing wrong by `check_first`, opens a store, runs
/// `work` on every rank, closes the store, and calls `after_close` before MPI_Finalize when all went well. An error is said by the first rank, as
/// of `command`, before any rank ends. In a job of several programs the others only have to open the store and to close it.
/// @return the outcome of the first rank that failed, on every rank, without its text.
using Work = std::function<Result<int>(Store&, const Crew&)>;
[[nodiscard]] Result<int> run_in_job(std::string_view command, const StoreOptions& options, const Work& work,
                                     const std::function<void()>& after_close = {}, const std::function<Result<int>()>& check_first = {});

/// Collective: the first failing rank's error on every rank, its text on the first only.
[[nodiscard]] Result<int> agree_in_job(const Crew& crew, Result<int> mine);

/// For wrong options, which each rank finds for itself before MPI begins: the error with its text on the first rank only,
/// and the others leave after it. Where nobody ends them meanwhile, since the first rank of the job runs another program, they say it too.
[[nodiscard]] Result<int> refuse_in_job(Error error);

}  // namespace tarn::tools
