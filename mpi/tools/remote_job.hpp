// remote_job.hpp - waiting for work that a store does on request (a dsort, a rebalance); ^C aborts it.
// Level 7 (tools). Main thread.
#pragma once

#include <string>

#include <tarn/result.hpp>

#include "base/json.hpp"
#include "http/client.hpp"

namespace tarn::tools {

/// Polls until the job has ended. @return its report. @errors the job's own; aborted.
[[nodiscard]] Result<base::Json> wait_for_job(http::Client& client, const std::string& command, const std::string& id);

}  // namespace tarn::tools
