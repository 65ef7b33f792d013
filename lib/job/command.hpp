// command.hpp - the output of a short command that may hang: never waited for without limit.
// Level 2 (job). Any thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

#include "job/environment.hpp"

namespace tarn::job {

/// Runs `words[0]`, found by $PATH, with the other words as its arguments and an environment of its own; what it writes to standard
/// error goes nowhere. After `limit` it is killed, and it alone: its children are not waited for.
/// @return its standard output, of which at most 1 MiB is read.
/// @errors not_found: there is no such command; timeout; io: it ended with another status than 0, or cannot be started.
/// @cost   the process is made by posix_spawn, without a copy of this one's memory, so it can be called after MPI_Init.
[[nodiscard]] Result<std::string> output_of(const std::vector<std::string>& words, const Environment& environment, std::chrono::milliseconds limit);

}  // namespace tarn::job
