// doctor_checks.hpp - what `tarn doctor` looks at on one node. Each check says OK, WARN or FAIL, and the remedy.
// Level 7 (tools). No MPI here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "job/job_env.hpp"

namespace tarn::tools {

enum class Verdict : std::uint8_t { ok, warn, fail };

struct Finding {
  Verdict verdict = Verdict::ok;
  std::string topic;   ///< "open files"
  std::string detail;  ///< what was found
  std::string remedy;  ///< empty when there is nothing to do
};
using Findings = std::vector<Finding>;

[[nodiscard]] std::string_view to_string(Verdict verdict) noexcept;

/// What a rank of `tarn serve` would be given.
struct DoctorQuestion {
  std::vector<std::string> directories;  ///< empty: where one would be looked for
  std::string bind = "127.0.0.1";
  std::uint16_t port = 0;
  int rank = 0;
  std::string node = "node";  ///< what {node} stands for
  int local_ranks = 1;        ///< ranks on this node
};

[[nodiscard]] Findings check_job(const job::JobEnv& env, int mpi_size);
/// Of one rank for all: it may ask Slurm's controller.
[[nodiscard]] Findings check_deadline(const job::JobEnv& env);
[[nodiscard]] Findings check_directories(const DoctorQuestion& question);
[[nodiscard]] Findings check_port(const DoctorQuestion& question);
[[nodiscard]] Findings check_limits(const DoctorQuestion& question);
[[nodiscard]] Findings check_memory(const DoctorQuestion& question);
[[nodiscard]] Findings check_processors(const DoctorQuestion& question);

}  // namespace tarn::tools
