// remote.hpp - what client commands share: the option --endpoint-file, walking listings, running work in parallel.
// Level 7 (tools).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "http/client.hpp"
#include "mpi/tools/command_line.hpp"

namespace tarn::tools {

/// Adds --endpoint-file. `path` must live as long as the options.
void add_endpoint_option(CommandLine& line, std::string& path);
/// Reads the endpoint file (flag, $TARN_ENDPOINT_FILE, ./endpoint.json).
[[nodiscard]] Result<std::unique_ptr<http::Client>> connect(const std::string& endpoint_file);

/// Calls `visit` for each key with the prefix, in order, page by page, until it fails.
[[nodiscard]] Result<void> for_each_key(http::Client& client, const std::string& bucket, const ListOptions& options,
                                        const std::function<Result<void>(const ListPage&)>& visit);

/// Runs work(0) ... work(count - 1) on `threads` threads, in about that order. After a failure no more is started.
/// @return the first error.
[[nodiscard]] Result<void> run_parallel(std::size_t count, unsigned threads, const std::function<Result<void>(std::size_t)>& work);

inline constexpr unsigned kJobsDefault = 8;
inline constexpr unsigned kJobsMax = 256;
/// Adds --jobs. @see check_jobs
void add_jobs_option(CommandLine& line, unsigned& jobs);
[[nodiscard]] Result<void> check_jobs(unsigned jobs);

}  // namespace tarn::tools
