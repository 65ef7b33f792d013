#include "mpi/tools/remote_job.hpp"

#include <algorithm>
#include <csignal>
#include <ctime>

#include "base/error.hpp"
#include "mpi/tools/progress.hpp"

namespace tarn::tools {

namespace {

volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) {
  interrupted = 1;
}

Error job_error(const base::Json& status, const std::string& id) {
  const base::Json* error = status.is_object() ? status.get_object().if_contains("error") : nullptr;
  if (error == nullptr) return Error(ErrorCode::internal, "job " + id + " failed and does not say why");
  return Error(base::error_code_of(base::json_string(*error, "code").value_or("internal")),
               base::json_string(*error, "message").value_or("job " + id + " failed"));
}

}  // namespace

Result<base::Json> wait_for_job(http::Client& client, const std::string& command, const std::string& id) {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, nullptr);
  Progress progress(command, 0, Progress::Unit::steps);
  long wait_ms = 20;
  for (;;) {
    TARN_TRY(const base::Json status, client.sort_status(id));
    const std::string state = base::json_string(status, "state").value_or("");
    if (state == "finished") {
      const base::Json* report = status.get_object().if_contains("report");
      return report == nullptr ? base::Json(base::JsonObject{}) : *report;
    }
    if (state == "failed") return fail(job_error(status, id));
    if (state == "aborted") return fail(ErrorCode::aborted, "job " + id + " was aborted");
    if (state != "running") return fail(ErrorCode::internal, "job " + id + " is in the unknown state '" + state + "'");
    const std::string phase = base::json_string(status, "phase").value_or("");
    progress.set(command + " " + phase, base::json_u64(status, "done").value_or(0), base::json_u64(status, "total").value_or(0),
                 Progress::unit_of_phase(phase));
    const timespec pause{wait_ms / 1000, wait_ms % 1000 * 1'000'000};
    ::nanosleep(&pause, nullptr);  // a signal ends it early
    wait_ms = std::min(wait_ms * 3 / 2, 500L);
    if (interrupted != 0) {
      TARN_CHECK(client.abort_sort(id));
      return fail(ErrorCode::aborted, "job " + id + " is being aborted");
    }
  }
}

}  // namespace tarn::tools
