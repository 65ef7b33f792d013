// slurm_env.hpp - the part of JobEnv that Slurm's variables say.
// Level 2 (job). Pure.
#pragma once

#include "job/environment.hpp"
#include "job/job_env.hpp"

namespace tarn::job {

/// Whether these are the variables of a task of a step. The processes of mpirun may have inherited them from its daemons.
[[nodiscard]] bool is_step_task(const Environment& environment);

/// Fills in what Slurm says. `env.launcher` is known, and what another launcher than srun says of ranks.
void read_slurm(const Environment& environment, JobEnv& env);

}  // namespace tarn::job
