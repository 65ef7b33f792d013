// deadline.hpp - when the job's time is over.
// Level 2 (job). parse_end_time() is pure; job_deadline() may ask Slurm.
//
// Slurm says it in $SLURM_JOB_END_TIME from 23.02 on; before, `scontrol show job` has it. That is a request to the one controller of the
// whole machine: it is made only when somebody wants to know, by one rank for all, and its answer is not waited for without limit.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tarn/result.hpp>

#include "job/environment.hpp"
#include "job/job_env.hpp"

namespace tarn::job {

inline constexpr std::chrono::milliseconds kDeadlineAnswerMs{3000};

/// EndTime of the output of `scontrol --oneliner show job`, of several records (a het job) the earliest; nullopt: without limit, or not yet known.
/// @param text  with times in seconds since the epoch (SLURM_TIME_FORMAT=%s) or in Slurm's own form, which is local time.
/// @errors invalid: no EndTime in it, or in another form.
[[nodiscard]] Result<std::optional<std::int64_t>> parse_end_time(std::string_view text);

/// Seconds since the epoch. nullopt: not in a job of Slurm, or the job has no limit.
/// @param environment  of this process: $PATH, and what tells scontrol of its cluster.
/// @errors not_found: neither the variable nor scontrol is there; timeout: no answer within `limit`; io, invalid: no useful one.
/// @cost   nothing with Slurm 23.02 and later, else a process and a request to slurmctld: some 10 ms, `limit` at most. Not collective.
[[nodiscard]] Result<std::optional<std::int64_t>> job_deadline(const JobEnv& env, const Environment& environment,
                                                               std::chrono::milliseconds limit = kDeadlineAnswerMs);

}  // namespace tarn::job
