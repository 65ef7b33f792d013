#include "job/slurm_env.hpp"

#include <algorithm>

#include "job/node_list.hpp"

namespace tarn::job {

namespace {

/// Steps that are none of srun's tasks have ids from here on: interactive, batch, extern, pending (slurm.h, SLURM_INTERACTIVE_STEP).
constexpr std::uint32_t kSpecialSteps = 0xfffffffa;
constexpr unsigned kHetGroupsMax = 128;  // Slurm's own MAX_HET_JOB_COMPS

std::string of_group(std::string_view name, unsigned group) {
  return std::string(name) + "_HET_GROUP_" + std::to_string(group);
}

std::vector<std::string> names_in(const std::string& list) {
  return expand_node_list(list).value_or(std::vector<std::string>{});
}

/// The nodes of all components of a het job, in their order, or of an ordinary one.
std::vector<std::string> nodes_of_job(const Environment& environment, const JobEnv& env) {
  std::vector<std::string> nodes;
  for (unsigned group = 0; group < env.het_groups; ++group)
    for (std::string& name : names_in(first_of(environment, {of_group("SLURM_JOB_NODELIST", group)})))
      if (std::find(nodes.begin(), nodes.end(), name) == nodes.end()) nodes.push_back(std::move(name));
  return nodes.empty() ? names_in(first_of(environment, {"SLURM_JOB_NODELIST", "SLURM_NODELIST"})) : nodes;
}

void read_step(const Environment& environment, JobEnv& env) {
  env.step_id = first_of(environment, {"SLURM_STEP_ID"});
  env.size = number_of<int>(environment, {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"});
  env.rank = number_of<int>(environment, {"SLURM_PROCID"});
  env.local_rank = number_of<int>(environment, {"SLURM_LOCALID"});
  env.nodes = names_in(first_of(environment, {"SLURM_STEP_NODELIST"}));
  env.tasks_per_node = expand_task_counts(first_of(environment, {"SLURM_STEP_TASKS_PER_NODE"})).value_or(std::vector<unsigned>{});
  const auto node = number_of<std::size_t>(environment, {"SLURM_NODEID"});
  if (node && *node < env.tasks_per_node.size()) env.local_size = static_cast<int>(env.tasks_per_node[*node]);
}

}  // namespace

bool is_step_task(const Environment& environment) {
  const auto step = number_of<std::uint32_t>(environment, {"SLURM_STEP_ID"});
  return step && *step < kSpecialSteps && environment.contains("SLURM_PROCID");
}

void read_slurm(const Environment& environment, JobEnv& env) {
  env.het_groups = std::min(number_of<unsigned>(environment, {"SLURM_HET_SIZE"}).value_or(0), kHetGroupsMax);
  env.job_id = first_of(environment, {env.het_groups > 0 ? "SLURM_JOB_ID_HET_GROUP_0" : "SLURM_JOB_ID", "SLURM_JOB_ID", "SLURM_JOBID"});
  if (env.job_id.empty()) return;
  env.place = env.launcher == Launcher::slurm ? SlurmPlace::step : SlurmPlace::batch;
  if (const std::string task = first_of(environment, {"SLURM_ARRAY_TASK_ID"}); !task.empty())
    env.array = {first_of(environment, {"SLURM_ARRAY_JOB_ID"}), task};
  env.restart_count = number_of<int>(environment, {"SLURM_RESTART_COUNT"}).value_or(0);
  env.cpus_per_task = number_of<unsigned>(environment, {"SLURM_CPUS_PER_TASK"});
  env.end_time_s = number_of<std::int64_t>(environment, {"SLURM_JOB_END_TIME"});
  if (env.place == SlurmPlace::step) read_step(environment, env);
  env.slurm_gpus =
      env.place == SlurmPlace::step ? first_of(environment, {"SLURM_STEP_GPUS", "SLURM_JOB_GPUS"}) : first_of(environment, {"SLURM_JOB_GPUS"});
  if (env.nodes.empty()) env.nodes = nodes_of_job(environment, env);
}

}  // namespace tarn::job
