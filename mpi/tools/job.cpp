#include "mpi/tools/job.hpp"

#include <mpi.h>
#include <unistd.h>

#include <tarn/open.hpp>

#include <algorithm>
#include <cstdio>

#include "base/error.hpp"
#include "job/job_env.hpp"

namespace tarn::tools {

namespace {

constexpr int kMessageBytesMax = 64 * 1024;

std::string described(const Error& error) {
  return error.rank >= 0 ? "rank " + std::to_string(error.rank) + ": " + error.message : error.message;
}

}  // namespace

bool is_first_rank() {
  return job::read_job_env(job::current_environment()).rank.value_or(0) == 0;
}

MpiScope::MpiScope() {
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &thread_level_);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
}

MpiScope::~MpiScope() {
  MPI_Finalize();
}

Result<int> agree_in_job(Result<int> mine) {
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const int failed = mine ? size : rank;
  int first_failed = size;
  MPI_Allreduce(&failed, &first_failed, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  if (first_failed == size) return mine;
  int head[2] = {0, 0};  // code, length of the text
  std::string text;
  if (rank == first_failed) {
    text = described(mine.error());
    text.resize(std::min<std::size_t>(text.size(), kMessageBytesMax));
    head[0] = static_cast<int>(mine.error().code);
    head[1] = static_cast<int>(text.size());
  }
  MPI_Bcast(head, 2, MPI_INT, first_failed, MPI_COMM_WORLD);
  text.resize(static_cast<std::size_t>(head[1]));
  MPI_Bcast(text.data(), head[1], MPI_CHAR, first_failed, MPI_COMM_WORLD);
  return fail(static_cast<ErrorCode>(head[0]), rank == 0 ? text : std::string());
}

namespace {

/// Rank 0 has spoken before any rank ends: mpirun kills the others as soon as one returns an error.
Result<int> say_once(std::string_view command, Result<int> outcome) {
  if (outcome) return outcome;
  if (const std::string& text = outcome.error().message; !text.empty()) {
    const std::string line = "tarn " + std::string(command) + ": " + text + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  return fail(outcome.error().code, "");
}

Result<int> open_and_run(const MpiScope& mpi, const StoreOptions& options, const std::function<Result<int>(Store&)>& work,
                         const std::function<Result<int>()>& check_first) {
  Result<int> can_run = mpi.rank() == 0 && check_first ? check_first() : 0;
  if (mpi.thread_level() < MPI_THREAD_MULTIPLE)
    can_run = fail(ErrorCode::unsupported, "this MPI gives no MPI_THREAD_MULTIPLE; use one that is built with it (Debian's Open MPI is)");
  if (auto agreed = agree_in_job(std::move(can_run)); !agreed) return agreed;
  auto opened = tarn::open(MPI_COMM_WORLD, options);
  if (!opened) return agree_in_job(fail(std::move(opened).error()));
  Store store = std::move(*opened);
  auto outcome = agree_in_job(work(store));
  if (auto closed = store.close(); !closed && outcome) outcome = agree_in_job(fail(std::move(closed).error()));
  return outcome;
}

}  // namespace

Result<int> run_in_job(std::string_view command, const StoreOptions& options, const std::function<Result<int>(Store&)>& work,
                       const std::function<void()>& after_close, const std::function<Result<int>()>& check_first) {
  const MpiScope mpi;
  auto outcome = say_once(command, open_and_run(mpi, options, work, check_first));
  if (outcome && after_close) after_close();
  return outcome;
}

Result<int> refuse_in_job(Error error) {
  if (is_first_rank()) return fail(std::move(error));
  // The first rank's sentence would be lost if this one ended the job before. Without MPI there is nothing to wait for but time.
  ::sleep(1);
  return fail(error.code, "");
}

}  // namespace tarn::tools
