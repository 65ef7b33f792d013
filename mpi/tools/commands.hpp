// commands.hpp - the commands of `tarn`, one file each.
// Level 7 (tools). Each runs on the main thread.
#pragma once

#include <string>
#include <vector>

#include <tarn/result.hpp>

namespace tarn::tools {

using Arguments = std::vector<std::string>;

[[nodiscard]] Result<int> run_serve(const Arguments& arguments);
[[nodiscard]] Result<int> run_put(const Arguments& arguments);
[[nodiscard]] Result<int> run_get(const Arguments& arguments);
[[nodiscard]] Result<int> run_cat(const Arguments& arguments);
[[nodiscard]] Result<int> run_ls(const Arguments& arguments);
[[nodiscard]] Result<int> run_rm(const Arguments& arguments);
[[nodiscard]] Result<int> run_bucket(const Arguments& arguments);
[[nodiscard]] Result<int> run_mb(const Arguments& arguments);
[[nodiscard]] Result<int> run_rb(const Arguments& arguments);
[[nodiscard]] Result<int> run_dsort(const Arguments& arguments);
[[nodiscard]] Result<int> run_rebalance(const Arguments& arguments);
[[nodiscard]] Result<int> run_repair(const Arguments& arguments);
[[nodiscard]] Result<int> run_status(const Arguments& arguments);
[[nodiscard]] Result<int> run_check(const Arguments& arguments);
[[nodiscard]] Result<int> run_shards(const Arguments& arguments);
[[nodiscard]] Result<int> run_index(const Arguments& arguments);
[[nodiscard]] Result<int> run_doctor(const Arguments& arguments);

}  // namespace tarn::tools
