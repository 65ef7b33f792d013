#include "mpi/tools/doctor_checks.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "http/sidecar.hpp"
#include "job/deadline.hpp"
#include "job/scratch.hpp"

namespace tarn::tools {

namespace {

constexpr std::uint64_t kFilesWanted = 4096;  // connections, volumes, MPI: per rank
constexpr std::uint64_t kFilesNeeded = 512;
constexpr std::uint64_t kRankMemoryBytes = 512 * limits::MiB;   // a rank at work: a dsort's budget and buffers
constexpr std::uint64_t kSharedMemoryBytes = 16 * limits::MiB;  // per rank, of Open MPI's shared memory transport
constexpr std::uint64_t kFreeBytesWanted = limits::GiB;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<std::uint64_t> number_in(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

/// MemAvailable of /proc/meminfo, cut by the limit of this process's control group.
std::uint64_t available_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::uint64_t available = 0;
  std::string name;
  std::string unit;
  for (std::uint64_t kib = 0; file >> name >> kib; std::getline(file, unit))
    if (name == "MemAvailable:") available = kib * 1024;
  if (const auto limit = number_in(first_line("/sys/fs/cgroup/memory.max"))) {
    const std::uint64_t used = number_in(first_line("/sys/fs/cgroup/memory.current")).value_or(0);
    available = std::min(available, *limit > used ? *limit - used : 0);
  }
  return available;
}

/// The directory, or what of it exists already.
std::string existing_part(const std::string& directory) {
  std::filesystem::path path(directory);
  std::error_code ignored;
  while (!path.empty() && path != path.root_path() && !std::filesystem::exists(path, ignored)) path = path.parent_path();
  return path.empty() ? "." : path.string();
}

Finding judge_directory(const std::string& directory) {
  const std::string existing = existing_part(directory);
  const auto facts = job::probe_directory(existing);
  const std::string text = directory + ": " + facts.file_system.name + ", " + base::format_size(facts.space.capacity_bytes) + ", " +
                           base::format_size(facts.space.free_bytes) + " free";
  if (!facts.exists) return {Verdict::fail, "directory", directory + ": " + existing + " is not a directory", "name another one with --dir"};
  if (!facts.writable)
    return {Verdict::fail, "directory", directory + ": no permission to write in " + existing, "change its permissions, or name another one"};
  if (const auto warning = job::directory_warning(directory, facts); !warning.empty()) return {Verdict::warn, "directory", text, warning};
  if (facts.space.free_bytes < kFreeBytesWanted)
    return {Verdict::warn, "directory", text, "make room, or name a directory on a larger disk with --dir"};
  return {Verdict::ok, "directory", text, ""};
}

/// As --dir has it, with {rank} and {node}.
Finding judge_named_directory(const std::string& name, const DoctorQuestion& question) {
  if (question.local_ranks > 1 && name.find("{rank}") == std::string::npos)
    return {Verdict::fail, "directory", name + ": the same for the " + std::to_string(question.local_ranks) + " ranks of this node",
            "write {rank} into its name, as in --dir " + name + "/rank-{rank}"};
  return judge_directory(base::substitute(base::substitute(name, "rank", std::to_string(question.rank)), "node", question.node));
}

/// "array task 4710_3, step 0, 4 nodes, GPUs 0 1, restarted once"
std::string describe_job(const job::JobEnv& env) {
  std::string text = (env.array ? "array task " : "job ") + job::job_name(env);
  if (env.het_groups > 0) text += " of " + std::to_string(env.het_groups) + " components";
  text += env.place == job::SlurmPlace::step ? ", step " + env.step_id : ", outside of its steps";
  text += ", " + std::to_string(env.nodes.size()) + (env.nodes.size() == 1 ? " node" : " nodes");
  if (!env.gpus.empty()) text += env.gpus.size() == 1 ? ", GPU" : ", GPUs";
  for (const std::string& gpu : env.gpus) text += " " + gpu;
  if (env.restart_count > 0) text += ", restarted " + (env.restart_count == 1 ? std::string("once") : std::to_string(env.restart_count) + " times");
  return text;
}

/// "in 2 h 5 min"
std::string from_now(std::int64_t time_s) {
  const std::int64_t minutes = (time_s - static_cast<std::int64_t>(std::time(nullptr))) / 60;
  if (minutes < 0) return "in the past";
  return "in " + (minutes >= 60 ? std::to_string(minutes / 60) + " h " : std::string()) + std::to_string(minutes % 60) + " min";
}

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  return verdict == Verdict::ok ? "OK" : verdict == Verdict::warn ? "WARN" : "FAIL";
}

Findings check_job(const job::JobEnv& env, int mpi_size) {
  Findings findings;
  std::string text =
      "started by " + std::string(to_string(env.launcher)) + ", MPI sees " + std::to_string(mpi_size) + (mpi_size == 1 ? " rank" : " ranks");
  if (env.launcher == job::Launcher::none) text = "started by hand, as one rank (use mpirun or srun for more)";
  if (const auto disagreement = job::launcher_disagreement(env, mpi_size))
    findings.push_back({Verdict::fail, "launcher", text, *disagreement});
  else
    findings.push_back({Verdict::ok, "launcher", text, ""});
  if (env.in_slurm()) findings.push_back({Verdict::ok, "Slurm", describe_job(env), ""});
  return findings;
}

Findings check_deadline(const job::JobEnv& env) {
  if (!env.in_slurm()) return {};
  const auto deadline = job::job_deadline(env, job::current_environment());
  if (!deadline)
    return {{Verdict::warn, "deadline", "not known: " + deadline.error().message,
             "Slurm before 23.02 says it by `scontrol show job` only; the store does not need it"}};
  if (!*deadline) return {{Verdict::ok, "deadline", "the job has no time limit", ""}};
  return {{Verdict::ok, "deadline", "the job ends at " + base::format_iso_time(**deadline * 1'000'000'000) + ", " + from_now(**deadline), ""}};
}

Findings check_directories(const DoctorQuestion& question) {
  Findings findings;
  for (const std::string& directory : question.directories) findings.push_back(judge_named_directory(directory, question));
  if (!findings.empty()) return findings;
  const auto choice = job::choose_scratch(job::current_environment(), job::probe_directory);
  for (const auto& candidate : choice.candidates)
    if (candidate.facts.exists && !candidate.verdict.empty())
      findings.push_back({Verdict::ok, "scratch", candidate.path + " (" + candidate.source + ") is not taken: it " + candidate.verdict, ""});
  if (!choice.chosen) {
    findings.push_back({Verdict::fail, "scratch", "no directory for the store's disks", choice.refusal});
    return findings;
  }
  const auto& chosen = choice.candidates[*choice.chosen];
  Finding finding = judge_directory(chosen.path);
  finding.topic = "scratch";
  finding.detail = job::describe(chosen);
  findings.push_back(std::move(finding));
  return findings;
}

Findings check_port(const DoctorQuestion& question) {
  SidecarOptions options;
  options.bind = question.bind;
  options.port = question.port;
  const auto sidecar = http::Sidecar::bind(options, 0);
  if (!sidecar) return {{Verdict::fail, "port", sidecar.error().message, "choose with --bind (address or interface) and --port (0: any free one)"}};
  return {{Verdict::ok, "port", "can listen at " + (*sidecar)->url(), ""}};
}

Findings check_limits(const DoctorQuestion&) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const std::string text = std::to_string(files.rlim_cur) + " open files per process (hard limit " +
                           (files.rlim_max == RLIM_INFINITY ? "none" : std::to_string(files.rlim_max)) + ")";
  if (files.rlim_cur >= kFilesWanted) return {{Verdict::ok, "limits", text, ""}};
  const std::string remedy = "`ulimit -n " + std::to_string(std::min<std::uint64_t>(files.rlim_max, 65536)) + "` before mpirun";
  return {{files.rlim_cur >= kFilesNeeded ? Verdict::warn : Verdict::fail, "limits", text, remedy}};
}

Findings check_memory(const DoctorQuestion& question) {
  Findings findings;
  const auto ranks = static_cast<std::uint64_t>(question.local_ranks);
  const std::uint64_t available = available_memory_bytes();
  const bool enough = available >= ranks * kRankMemoryBytes;
  findings.push_back({enough ? Verdict::ok : Verdict::warn, "memory",
                      base::format_size(available) + " available for " + std::to_string(ranks) + (ranks == 1 ? " rank" : " ranks") + " of this node",
                      enough ? "" : "dsort wants up to 512 MiB per rank: fewer ranks per node, or `tarn dsort --memory 64MiB`"});
  const auto shared = job::probe_directory("/dev/shm");
  if (question.local_ranks > 1) {
    const bool room = shared.exists && shared.writable && shared.space.free_bytes >= ranks * kSharedMemoryBytes;
    findings.push_back({room ? Verdict::ok : Verdict::warn, "/dev/shm",
                        shared.exists ? base::format_size(shared.space.free_bytes) + " free" : std::string("is missing"),
                        room ? "" : "ranks of a node talk through it: enlarge it (docker run --shm-size=1g), or OMPI_MCA_btl=self,tcp"});
  }
  return findings;
}

Findings check_processors(const DoctorQuestion& question) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int cores = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const std::string text = std::to_string(cores) + " usable by this rank, " + std::to_string(question.local_ranks) +
                           (question.local_ranks == 1 ? " rank" : " ranks") + " on this node";
  if (cores >= 2 || question.local_ranks == 1) return {{Verdict::ok, "cores", text, ""}};
  return {{Verdict::warn, "cores", text, "give a rank 2 cores or more: `mpirun --bind-to none`, `srun -c 2`"}};
}

}  // namespace tarn::tools
