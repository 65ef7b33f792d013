#include "mpi/tools/job.hpp"

#include <mpi.h>
#include <unistd.h>

#include <tarn/open.hpp>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "base/error.hpp"
#include "job/job_env.hpp"
#include "mpi/open_when.hpp"

namespace tarn::tools {

namespace {

constexpr int kMessageBytesMax = 64 * 1024;

std::string described(const Error& error) {
  return error.rank >= 0 ? "rank " + std::to_string(error.rank) + ": " + error.message : error.message;
}

}  // namespace

namespace {

/// "2 6": how many processes each program of an Open MPI job has, in the order of their ranks (its OMPI_FIRST_RANKS is wrong in 4.1).
std::string programs_of_job() {
  return std::string(job::value_of(job::current_environment(), "OMPI_APP_CTX_NUM_PROCS"));
}

/// While MPI is there. Where only MPI knows that this program is not the job's first one, each of its ranks speaks.
bool is_later_program() {
  int* number = nullptr;
  int known = 0;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_APPNUM, static_cast<void*>(&number), &known);
  return known != 0 && *number > 0 && programs_of_job().empty();
}

}  // namespace

bool is_first_rank() {
  const int rank = job::read_job_env(job::current_environment()).rank.value_or(0);
  std::istringstream sizes(programs_of_job());
  int first = 0;
  for (int size = 0; sizes >> size && first < rank;) first += size;
  return first == rank;
}

MpiScope::MpiScope() {
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &thread_level_);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
}

MpiScope::~MpiScope() {
  MPI_Finalize();
}

Result<int> agree_in_job(const Crew& crew, Result<int> mine) {
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(crew.comm, &rank);
  MPI_Comm_size(crew.comm, &size);
  const int failed = mine ? size : rank;
  int first_failed = size;
  MPI_Allreduce(&failed, &first_failed, 1, MPI_INT, MPI_MIN, crew.comm);
  if (first_failed == size) return mine;
  int head[2] = {0, 0};  // code, length of the text
  std::string text;
  if (rank == first_failed) {
    text = described(mine.error());
    text.resize(std::min<std::size_t>(text.size(), kMessageBytesMax));
    head[0] = static_cast<int>(mine.error().code);
    head[1] = static_cast<int>(text.size());
  }
  MPI_Bcast(head, 2, MPI_INT, first_failed, crew.comm);
  text.resize(static_cast<std::size_t>(head[1]));
  MPI_Bcast(text.data(), head[1], MPI_CHAR, first_failed, crew.comm);
  return fail(static_cast<ErrorCode>(head[0]), crew.first ? text : std::string());
}

namespace {

/// Before MPI_Finalize, in which ranks wait for each other: mpirun kills the others as soon as one returns an error.
Result<int> say_once(std::string_view command, Result<int> outcome) {
  if (outcome) return outcome;
  if (const std::string& text = outcome.error().message; !text.empty()) {
    const std::string line = "tarn " + std::string(command) + ": " + text + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
  }
  return fail(outcome.error().code, "");
}

Result<int> open_and_run(const MpiScope& mpi, const StoreOptions& options, const Work& work, const std::function<Result<int>()>& check_first) {
  Result<void> ready;
  if (is_first_rank() && check_first)
    if (auto checked = check_first(); !checked) ready = fail(std::move(checked).error());
  if (mpi.thread_level() < MPI_THREAD_MULTIPLE)
    ready = fail(ErrorCode::unsupported, "this MPI gives no MPI_THREAD_MULTIPLE; use one that is built with it (Debian's Open MPI is)");
  auto opened = mpi::open_when(std::move(ready), MPI_COMM_WORLD, options);
  if (!opened) return fail(opened.error().code, is_first_rank() || is_later_program() ? described(opened.error()) : std::string());
  Store store = std::move(*opened);
  Crew crew{mpi::role_communicator(store), false, mpi::follows_application(store)};
  int rank = 0;
  MPI_Comm_rank(crew.comm, &rank);
  crew.first = rank == 0;
  auto outcome = agree_in_job(crew, work(store, crew));
  auto closed = store.close();
  if (!closed && outcome) outcome = fail(closed.error().code, crew.first ? described(closed.error()) : std::string());
  return outcome;
}

}  // namespace

Result<int> run_in_job(std::string_view command, const StoreOptions& options, const Work& work, const std::function<void()>& after_close,
                       const std::function<Result<int>()>& check_first) {
  const MpiScope mpi;
  auto outcome = say_once(command, open_and_run(mpi, options, work, check_first));
  if (outcome && after_close) after_close();
  return outcome;
}

Result<int> refuse_in_job(Error error) {
  const job::JobEnv env = job::read_job_env(job::current_environment());
  if (env.launcher == job::Launcher::hydra && env.size.value_or(1) > 1) {
    // MPICH's launcher waits for the other processes, whatever this one returns, and they wait for it in MPI_Init.
    const MpiScope mpi;
    static_cast<void>(mpi::open_when(fail(error), MPI_COMM_WORLD, {}));  // theirs fails by this
    return fail(error.code, is_first_rank() || is_later_program() ? std::move(error).message : std::string());
  }
  if (is_first_rank()) return fail(std::move(error));
  // The first rank's sentence would be lost if this one ended the job before. Without MPI there is nothing to wait for but time.
  ::sleep(1);
  const bool said = !programs_of_job().empty();
  return fail(error.code, said ? std::string() : std::move(error).message);
}

}  // namespace tarn::tools
