#include "mpi/tools/job.hpp"

#include <mpi.h>

#include <tarn/open.hpp>

#include <algorithm>
#include <iostream>

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

Result<int> run_in_job(const StoreOptions& options, const std::function<Result<int>(Store&)>& work, const std::function<void()>& after_close) {
  const MpiScope mpi;
  if (mpi.thread_level() < MPI_THREAD_MULTIPLE)
    return agree_in_job(fail(ErrorCode::unsupported, "this MPI gives no MPI_THREAD_MULTIPLE; use one that is built with it (Debian's Open MPI is)"));
  auto opened = tarn::open(MPI_COMM_WORLD, options);
  if (!opened) return agree_in_job(fail(std::move(opened).error()));
  Store store = std::move(*opened);
  auto outcome = agree_in_job(work(store));
  if (auto closed = store.close(); !closed && outcome) outcome = agree_in_job(fail(std::move(closed).error()));
  if (outcome && after_close) after_close();
  return outcome;
}

}  // namespace tarn::tools
