#include "mpi/dsort_phase.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "mpi/guarded.hpp"

namespace tarn::mpi {

namespace {

constexpr std::chrono::milliseconds kTick{100};

/// The workers of one rank in one phase.
class Workers {
 public:
  /// Where the system has fewer threads to give, fewer do the work. @errors of outcome(): none to be had.
  Workers(std::size_t threads, std::size_t items, const PhaseItemFn& item) : items_(items), item_(item) {
    threads = std::min(threads, items);
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) {
      const std::lock_guard lock(mutex_);
      try {
        threads_.emplace_back([this, i] { run(i); });
        ++running_;
      } catch (...) {
        if (i == 0) outcome_ = fail(current_error("dsort: starting a thread"));
        break;
      }
    }
  }
  ~Workers() {
    control_.stop();
    for (auto& thread : threads_) thread.join();
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// @return whether all workers have ended.
  bool wait_for(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, time, [&] { return running_ == 0; });
  }
  void fail_with(Error error) {
    const std::lock_guard lock(mutex_);
    if (outcome_) outcome_ = fail(std::move(error));
    control_.stop();
  }
  [[nodiscard]] Result<void> outcome() {
    const std::lock_guard lock(mutex_);
    return outcome_;
  }
  PhaseControl& control() noexcept { return control_; }

 private:
  void run(std::size_t worker) noexcept {
    try {
      for (std::size_t i = next_.fetch_add(1); i < items_ && !control_.stopped(); i = next_.fetch_add(1))
        if (auto done = item_(i, worker, control_); !done && !control_.stopped()) fail_with(std::move(done).error());
    } catch (...) {
      fail_with(current_error("dsort"));
    }
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) ended_.notify_all();
  }

  const std::size_t items_;
  const PhaseItemFn& item_;
  PhaseControl control_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;  // guards running_ and outcome_
  std::condition_variable ended_;
  std::size_t running_ = 0;
  Result<void> outcome_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<void> run_phase(DsortJob& job, std::string_view name, std::uint64_t units, std::size_t items, const PhaseItemFn& item) {
  Collectives& collectives = job.collectives();
  std::array<std::uint64_t, 1> total{units};
  TARN_CHECK(collectives.all_reduce_sum(total));
  job.tell(name, 0, total[0]);
  Workers workers(job.threads, items, item);
  while (true) {
    const bool ended = workers.wait_for(kTick);
    if (job.abort.load()) workers.fail_with(Error(ErrorCode::aborted, "dsort: stopped on request"));
    std::array<std::uint64_t, 3> sums{workers.control().done(), ended ? 1U : 0U, workers.outcome() ? 0U : 1U};
    TARN_CHECK(collectives.all_reduce_sum(sums));
    if (sums[2] != 0) workers.control().stop();
    job.tell(name, std::min(sums[0], total[0]), total[0]);
    if (sums[1] == job.ranks()) break;
  }
  return collectives.agree(workers.outcome());
}

}  // namespace tarn::mpi
