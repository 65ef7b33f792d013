// node_list.hpp - Slurm's compressed lists: nodes "nid[001-003,7],gpu1" and counts "2(x3),1".
// Level 2 (job). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

namespace tarn::job {

/// "nid[001-003,7],gpu1" -> nid001 nid002 nid003 nid7 gpu1, in that order. A name may have several brackets
/// ("r[0-1]n[1-2]"), the last varying fastest; zeros in front are kept as wide as the range's first number.
/// @errors invalid: unbalanced brackets, an empty name or range, a range that goes down, more than 100,000 names.
/// @source man scontrol, "show hostnames"
[[nodiscard]] Result<std::vector<std::string>> expand_node_list(std::string_view list);

/// "2(x3),1" -> 2 2 2 1: SLURM_STEP_TASKS_PER_NODE. @errors invalid, as above.
[[nodiscard]] Result<std::vector<unsigned>> expand_task_counts(std::string_view counts);

}  // namespace tarn::job
