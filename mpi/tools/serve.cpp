// serve.cpp - `tarn serve`: the ranks of this job are a store until a signal ends it; or beside an application, until that has closed it.
// Level 7 (tools). The main thread waits for signals; the store's own threads do the work.
#include <mpi.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "job/job_env.hpp"
#include "job/scratch.hpp"
#include "mpi/tools/command_line.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/job.hpp"
#include "mpi/tools/stop_signal.hpp"

namespace tarn::tools {

namespace {

struct ServeArguments {
  StoreOptions store;
  std::string ready_file;
};

Result<RedirectPolicy> parse_redirect(const std::string& text) {
  if (text == "auto") return RedirectPolicy::automatic;
  if (text == "always") return RedirectPolicy::always;
  if (text == "never") return RedirectPolicy::never;
  return fail(ErrorCode::invalid, "--redirect cannot be '" + text + "'; it is one of auto, always, never");
}

Result<VerifySendfile> parse_verify_sendfile(const std::string& text) {
  if (text == "never") return VerifySendfile::never;
  if (text == "first") return VerifySendfile::first;
  if (text == "always") return VerifySendfile::always;
  return fail(ErrorCode::invalid, "--verify-sendfile cannot be '" + text + "'; it is one of never, first, always");
}

Result<SpaceLimits> parse_space(const std::string& quota, const std::string& keep_free) {
  SpaceLimits space;
  if (!quota.empty()) {
    TARN_TRY(space.quota_bytes, base::parse_size(quota));
    if (space.quota_bytes < limits::kQuotaBytesMin) return fail(ErrorCode::invalid, "--quota " + quota + " is too small: give 16MiB or more");
  }
  if (keep_free.ends_with('%')) {
    const char* const end = keep_free.data() + keep_free.size() - 1;
    const auto [at, error] = std::from_chars(keep_free.data(), end, space.keep_free_percent);
    if (error != std::errc() || at != end || !(space.keep_free_percent >= 0 && space.keep_free_percent < 100))
      return fail(ErrorCode::invalid, "--keep-free " + keep_free + ": a percentage is at least 0% and less than 100%");
  } else if (!keep_free.empty()) {
    TARN_TRY(space.keep_free_bytes, base::parse_size(keep_free));
  }
  return space;
}

/// Without --dir: a directory of this job on the best scratch file system, which the first rank explains.
Result<std::string> default_directory() {
  const auto environment = job::current_environment();
  const auto choice = job::choose_scratch(environment, job::probe_directory);
  if (!choice.chosen) return fail(ErrorCode::not_found, choice.refusal);
  const std::string parent = choice.candidates[*choice.chosen].path + "/" + job::scratch_name(job::read_job_env(environment));
  TARN_CHECK(job::make_private_directory(parent));
  if (!is_first_rank()) return parent + "/rank-{rank}";
  for (const std::string& line : job::explain(choice)) std::cerr << "tarn serve: " + line + "\n";
  std::cerr << "tarn serve: disks are " + parent + "/rank-{rank}\n";
  return parent + "/rank-{rank}";
}

/// Directories on memory or network file systems are allowed, but not in silence.
void warn_about_directories(const StoreOptions& options) {
  for (const std::string& directory : options.directories) {
    std::filesystem::path path(base::substitute(directory, "rank", "0"));
    std::error_code ignored;
    while (!path.empty() && path != path.root_path() && !std::filesystem::exists(path, ignored)) path = path.parent_path();
    const std::string existing = path.empty() ? "." : path.string();
    const std::string warning = job::directory_warning(directory, job::probe_directory(existing));
    if (!warning.empty()) std::cerr << "tarn serve: warning: " + warning + "\n";
  }
}

Result<std::optional<ServeArguments>> parse_serve(const Arguments& arguments) {
  ServeArguments serve;
  SidecarOptions& sidecar = serve.store.sidecar;
  serve.store.role = RankRole::service;
  sidecar.enabled = true;
  sidecar.endpoint_file = "endpoint.json";
  unsigned port = 0;
  std::string redirect = "auto", verify_sendfile = "first", compaction, quota, keep_free;
  CommandLine line(
      "serve [--dir DIR]... [OPTION...]",
      "Makes the ranks of this MPI job one object store and serves it by HTTP until SIGTERM, SIGINT or SIGUSR1 comes to any rank (mpirun\n"
      "passes them on; Open MPI's mpirun itself returns 0 after SIGUSR1, 1 after the others). Each rank owns the directories\n"
      "that it is given; {rank} and {node} in their names are substituted. Directories of an earlier run are opened again. Without\n"
      "--dir a scratch directory is looked for ($TARN_DIR, $SLURM_TMPDIR, ..., see `tarn doctor`).",
      "mpirun -n 4 tarn serve --dir /scratch/tarn-{rank}\n"
      "mpirun -n 4 tarn serve --dir /nvme0/{rank} --dir /nvme1/{rank} --bind hsn0 --ready-file ready\n"
      "srun --mpi=pmix --overlap --ntasks-per-node=1 tarn serve --endpoint-file $HOME/endpoint.json &");
  line.options().add_options()("dir", po::value(&serve.store.directories)->value_name("DIR")->composing(),
                               "a disk of this rank; may be given several times; made when missing")(
      "port", po::value(&port)->value_name("BASE"), "rank r listens on BASE + r; 0: the system chooses (default)")(
      "bind", po::value(&sidecar.bind)->value_name("ADDR")->default_value("127.0.0.1"), "address, or network interface (hsn0)")(
      "endpoint-file", po::value(&sidecar.endpoint_file)->value_name("FILE")->default_value("endpoint.json"),
      "written by the first rank when every rank serves: addresses and secrets, mode 0600; removed at the end")(
      "ready-file", po::value(&serve.ready_file)->value_name("FILE"), "appears when the store can be used, goes away at the end")(
      "anonymous", po::bool_switch(&sidecar.anonymous), "ask no token of anybody")(
      "compaction-rate", po::value(&compaction)->value_name("BYTES"),
      "what each disk may copy in a second to give back the space of what was overwritten or removed (128MiB); 0: no compaction")(
      "redirect", po::value(&redirect)->value_name("WHEN"), "objects of other ranks: auto (default), always, never redirected")(
      "verify-sendfile", po::value(&verify_sendfile)->value_name("WHEN"),
      "large objects verified as they are sent: never, first (default: until the whole was read once since the start), always")(
      "quota", po::value(&quota)->value_name("SIZE"), "what each disk may occupy (500GB), at least 16MiB; puts beyond are refused")(
      "keep-free", po::value(&keep_free)->value_name("SIZE|PERCENT"), "what stays free in the disks' file systems, whoever fills them (20GB, 5%)")(
      "node-id-from-rank", po::bool_switch(&serve.store.node_id_from_rank), "every rank counts as a node of its own (tests, demonstrations)")(
      "threads", po::value(&sidecar.threads)->value_name("N")->default_value(2), "HTTP threads per rank");
  TARN_TRY(const bool go_on, line.parse(arguments, 0, 0));
  if (!go_on) return std::nullopt;
  if (port > 65535) return fail(ErrorCode::invalid, "--port " + std::to_string(port) + ": a port is at most 65535");
  if (sidecar.threads < 1 || sidecar.threads > 256) return fail(ErrorCode::invalid, "--threads must be 1 to 256");
  sidecar.port = static_cast<std::uint16_t>(port);
  TARN_TRY(sidecar.redirect, parse_redirect(redirect));
  TARN_TRY(sidecar.verify_sendfile, parse_verify_sendfile(verify_sendfile));
  if (!compaction.empty()) {
    TARN_TRY(serve.store.compaction_bytes_per_second, size_option("compaction-rate", compaction));
  }
  TARN_TRY(serve.store.space, parse_space(quota, keep_free));
  if (serve.store.directories.empty()) {
    TARN_TRY(serve.store.directories.emplace_back(), default_directory());
  }
  return serve;
}

/// What would be noticed only when the store is open.
Result<int> check_ready_file(const std::string& path) {
  if (path.empty()) return 0;
  std::string parent = std::filesystem::path(path).parent_path().string();
  if (parent.empty()) parent = ".";
  if (::access(parent.c_str(), W_OK | X_OK) == 0) return 0;
  const Error error = base::errno_error(errno, "write into directory", parent);
  return fail(error.code, "--ready-file " + path + " cannot be written: " + error.message);
}

Result<void> announce(Store& store, const ServeArguments& serve) {
  TARN_TRY(const StoreStats stats, store.stats());
  for (const auto& rank : stats.per_rank) {
    if (rank.url.empty() && rank.disks == 0) continue;  // a client
    std::cout << "rank " << rank.rank << " of " << stats.ranks << " on node " << rank.node << ": "
              << (rank.url.empty() ? "an application's rank" : rank.url) << ", " << rank.disks << (rank.disks == 1 ? " disk, " : " disks, ")
              << rank.objects << (rank.objects == 1 ? " object" : " objects") << "\n";
  }
  std::cout.flush();
  if (serve.ready_file.empty()) return {};
  const std::string text = std::filesystem::absolute(serve.store.sidecar.endpoint_file).string() + "\n";
  return base::write_text_file(base::posix_file_system(), serve.ready_file, text);
}

}  // namespace

Result<int> run_serve(const Arguments& arguments) {
  auto parsed = parse_serve(arguments);
  if (!parsed) return refuse_in_job(std::move(parsed).error());
  if (!*parsed) return 0;
  const ServeArguments& serve = **parsed;
  StopSignal::block();  // before MPI and the store start threads, which inherit it
  bool by_launcher = false;
  bool remove_ready = false;
  std::optional<IgnoredSignals> ignored;
  const auto remove_ready_file = [&] {
    if (std::exchange(remove_ready, false)) static_cast<void>(base::posix_file_system().remove(serve.ready_file));
  };
  const auto serve_until_stopped = [&](Store& store, const Crew& crew) -> Result<int> {
    if (crew.first) warn_about_directories(serve.store);
    remove_ready = crew.first && !serve.ready_file.empty();
    auto announced = agree_in_job(crew, [&]() -> Result<int> {
      if (crew.first) TARN_CHECK(announce(store, serve));
      return 0;
    }());
    if (crew.follows) {
      ignored.emplace(store.rank());
      if (announced || announced.error().message.empty()) return announced;
      std::cerr << "tarn serve: " + announced.error().message + "; the application has the store all the same\n";
      return fail(announced.error().code, "");
    }
    if (announced) by_launcher = StopSignal::wait(crew.comm);
    remove_ready_file();  // first of all: whoever sends the signal may not wait for long
    return announced;
  };
  const auto leave = [&] {
    remove_ready_file();  // the application may be long in coming to MPI_Finalize
    std::cout.flush();
    // Open MPI's mpirun, told to end, no longer answers MPI_Finalize: the ranks would wait in it for the SIGKILL that follows.
    if (by_launcher && job::read_job_env(job::current_environment()).launcher == job::Launcher::open_mpi) ::_exit(0);
  };
  auto outcome = run_in_job("serve", serve.store, serve_until_stopped, leave, [&] { return check_ready_file(serve.ready_file); });
  remove_ready_file();
  return outcome;
}

}  // namespace tarn::tools
