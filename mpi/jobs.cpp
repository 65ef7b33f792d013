#include "mpi/jobs.hpp"

#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "mpi/guarded.hpp"
#include "mpi/run_on.hpp"
#include "plan/dsort_spec.hpp"

namespace tarn::mpi {

namespace {

constexpr std::size_t kJobsRemembered = 100;

Error no_job(std::string_view id) {
  return Error(ErrorCode::not_found, "there is no job " + std::string(id) + " (the last " + std::to_string(kJobsRemembered) + " are remembered)");
}

base::Encoder text_message(std::string_view text) {
  base::Encoder message = begin_message();
  message.text(text);
  return message;
}

void answer_text(Request& request, const Result<std::string>& text) {
  if (text) {
    request.responder().reply(text_message(*text));
  } else {
    request.responder().fail(text.error());
  }
}

std::string body_text(const Request& request) {
  return std::string(base::Decoder(request.body()).text());
}

/// {"rebalance": {"bytes_per_second": n}}, or the specification of a dsort.
template <class Work>
Result<Work> work_from_json(const base::Json& json) {
  const base::Json* rebalance = json.is_object() ? json.get_object().if_contains("rebalance") : nullptr;
  if (rebalance == nullptr) return plan::dsort_spec_from_json(json).map([](DsortSpec spec) { return Work(std::move(spec)); });
  if (!rebalance->is_object()) return fail(ErrorCode::invalid, "rebalance: its options are not a JSON object");
  RebalanceOptions options;
  for (const auto& field : rebalance->get_object()) {
    const auto rate = base::json_u64(*rebalance, "bytes_per_second");
    if (field.key() != "bytes_per_second" || !rate)
      return fail(ErrorCode::invalid, "rebalance: '" + std::string(field.key()) + "' is not understood; it takes \"bytes_per_second\", a number");
    options.bytes_per_second = *rate;
  }
  return Work(options);
}

}  // namespace

void Jobs::add_to(PeerService& service) {
  service.on(Op::sort_start, RunOn::control, [this](Request r) { answer_text(r, start_everywhere(body_text(r))); });
  service.on(Op::sort_status, RunOn::engine, [this](Request r) {
    const auto status = status_here(body_text(r));
    answer_text(r, status ? Result<std::string>(boost::json::serialize(*status)) : Result<std::string>(fail(status.error())));
  });
  service.on(Op::sort_abort, RunOn::engine, [this](Request r) {
    const auto outcome = abort_here(body_text(r));
    answer_text(r, outcome ? Result<std::string>(std::string()) : Result<std::string>(fail(outcome.error())));
  });
  service.on(Op::sort_run, RunOn::engine, [this](Request r) {
    base::Decoder decoder(r.body());
    const std::string id(decoder.text());
    const std::string spec(decoder.text());
    const auto outcome = decoder.complete() ? enqueue(id, spec) : Result<void>(fail(malformed("a sort")));
    answer_text(r, outcome ? Result<std::string>(id) : Result<std::string>(fail(outcome.error())));
  });
}

void Jobs::count_copies() {
  auto job = std::make_shared<Job>();
  job->id = "count";
  job->work = CountCopies{};
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(job));
  changed_.notify_all();
}

Result<void> Jobs::start_thread() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    return fail(ErrorCode::io, std::string("cannot start the thread for sorts: ") + error.what());
  }
  return {};
}

Result<std::string> Jobs::start(const base::Json& spec) {
  const std::string text = boost::json::serialize(spec);
  if (dsort_.collectives.rank() == 0) return run_on(control_, engine_, [this, text] { return start_everywhere(text); });
  TARN_TRY(const auto call, caller_.call(0, Op::sort_start, text_message(text)));
  return std::string(base::Decoder(call->body()).text());
}

Result<base::Json> Jobs::status(std::string_view id) {
  if (dsort_.collectives.rank() == 0) return status_here(id);
  TARN_TRY(const auto call, caller_.call(0, Op::sort_status, text_message(id)));
  return base::parse_json(base::Decoder(call->body()).text(), "a sort's status");
}

Result<void> Jobs::abort(std::string_view id) {
  if (dsort_.collectives.rank() == 0) return abort_here(id);
  TARN_CHECK(caller_.call(0, Op::sort_abort, text_message(id)));
  return {};
}

Result<std::string> Jobs::start_everywhere(const std::string& spec_text) {
  TARN_TRY(const auto json, base::parse_json(spec_text, "the sort's specification"));
  TARN_TRY(const auto work, work_from_json<decltype(Job::work)>(json));
  std::string id;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return fail(ErrorCode::aborted, "the store is closing");
    id = (std::holds_alternative<DsortSpec>(work) ? "srt-" : "reb-") + std::to_string(next_number_++);
  }
  std::vector<std::shared_ptr<Call>> calls;
  for (RankId peer = 1; peer < dsort_.collectives.size(); ++peer) {
    base::Encoder message = begin_message();
    message.text(id).text(spec_text);
    calls.push_back(caller_.start(peer, Op::sort_run, std::move(message)));
  }
  Result<void> outcome;
  for (const auto& call : calls)
    if (auto ended = caller_.finish(*call); !ended && outcome) outcome = std::move(ended);
  // A rank that has the job waits in it for all others, and one that did not answer in time may still get it: so the job
  // runs in any case, only to be stopped at once.
  TARN_CHECK(enqueue(id, spec_text));
  if (!outcome) {
    (void)abort_here(id);
    return fail(std::move(outcome).error());
  }
  return id;
}

Result<void> Jobs::enqueue(const std::string& id, const std::string& spec_text) {
  TARN_TRY(const auto json, base::parse_json(spec_text, "the sort's specification"));
  auto job = std::make_shared<Job>();
  job->id = id;
  TARN_TRY(job->work, work_from_json<decltype(Job::work)>(json));
  const std::lock_guard lock(mutex_);
  jobs_[id] = job;
  queue_.push_back(std::move(job));
  changed_.notify_all();
  return {};
}

Result<base::Json> Jobs::status_here(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return fail(no_job(id));
  const Job& job = *at->second;
  base::JsonObject status;
  status["id"] = job.id;
  static constexpr const char* kNames[] = {"running", "finished", "aborted", "failed"};
  status["state"] = kNames[static_cast<std::size_t>(job.state)];
  status["phase"] = job.phase;
  status["done"] = job.done;
  status["total"] = job.total;
  if (job.state == State::finished) status["report"] = job.report;
  if (job.state == State::failed || job.state == State::aborted) {
    base::JsonObject error;
    error["code"] = to_string(job.error.code);
    error["message"] = job.error.message;
    error["rank"] = job.error.rank;
    status["error"] = std::move(error);
  }
  return base::Json(std::move(status));
}

Result<void> Jobs::abort_here(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return fail(no_job(id));
  at->second->abort.store(true);
  // Each rank looks at its own flag. Those that do not hear of it in time stop with the others at the end of a step.
  if (dsort_.collectives.rank() == 0)
    for (RankId peer = 1; peer < dsort_.collectives.size(); ++peer) (void)caller_.start(peer, Op::sort_abort, text_message(id));
  return {};
}

void Jobs::run() noexcept {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;  // every rank runs every job, aborted ones too: they are collective
      job = queue_.front();
      queue_.pop_front();
      running_ = job;
    }
    bool noted = true;
    try {
      run_job(*job);
    } catch (...) {  // no memory for its outcome
      noted = false;
    }
    const std::lock_guard lock(mutex_);
    if (!noted) job->state = State::failed;
    running_.reset();
    end_job(job->id);
  }
}

void Jobs::end_job(const std::string& id) noexcept {
  try {
    ended_.push_back(id);
  } catch (const std::bad_alloc&) {  // forgotten at once instead of later
    jobs_.erase(id);
    return;
  }
  if (ended_.size() > kJobsRemembered) {
    jobs_.erase(ended_.front());
    ended_.pop_front();
  }
}

void Jobs::note_progress(Job& job, std::string_view phase, std::uint64_t done, std::uint64_t total) {
  const std::lock_guard lock(mutex_);
  job.phase = phase;
  job.done = done;
  job.total = total;
}

Result<base::Json> Jobs::do_work(Job& job, const DsortSpec& spec) {
  const auto progress = [&](const DsortProgress& now) { note_progress(job, now.phase, now.done, now.total); };
  return run_dsort(dsort_, spec, progress, job.abort).map([](const DsortReport& report) { return base::Json(plan::dsort_report_to_json(report)); });
}

Result<base::Json> Jobs::do_work(Job& job, const RebalanceOptions& options) {
  const auto progress = [&](const RebalanceReport& now) { note_progress(job, "rebalance", now.objects, 0); };
  return settle(settle_, options, progress, job.abort).map([](const RebalanceReport& report) {
    return base::Json(rebalance_report_to_json(report));
  });
}

Result<base::Json> Jobs::do_work(Job& job, const CountCopies&) {
  TARN_CHECK(count_missing_copies(settle_, job.abort));
  return base::Json();
}

std::string Jobs::running() {
  const std::lock_guard lock(mutex_);
  if (!running_) return {};
  static constexpr const char* kKinds[] = {"dsort", "rebalance", "counting copies"};
  const std::string kind = kKinds[running_->work.index()];
  return running_->phase == kind || running_->phase == "waiting" ? kind : kind + " " + running_->phase;
}

void Jobs::run_job(Job& job) {
  auto report = guarded("a job", [&] { return std::visit([&](const auto& work) { return do_work(job, work); }, job.work); });
  const std::lock_guard lock(mutex_);
  if (report) {
    job.state = State::finished;
    job.report = std::move(*report);
  } else {
    job.state = report.error().code == ErrorCode::aborted ? State::aborted : State::failed;
    job.error = report.error();
  }
}

void Jobs::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& [id, job] : jobs_) job->abort.store(true);
    for (const auto& job : queue_) job->abort.store(true);
    if (running_) running_->abort.store(true);
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace tarn::mpi
