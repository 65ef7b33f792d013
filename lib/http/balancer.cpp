#include "http/balancer.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace tarn::http {

namespace {

constexpr std::chrono::milliseconds kPeriod{50};
constexpr std::chrono::milliseconds kLate{1};  // for a thread that only computes to come to the next event

}  // namespace

Balancer::Balancer(const std::vector<std::unique_ptr<Worker>>& workers)
    : workers_(workers), active_(static_cast<unsigned>(workers.size())), cpu_seconds_(workers.size()), work_(workers.size()) {}

Worker& Balancer::choose() const noexcept {
  const auto end = workers_.begin() + active_.count();
  return **std::min_element(workers_.begin(), end, [](const auto& a, const auto& b) { return a->load.load() < b->load.load(); });
}

Task<> Balancer::run() {
  Timer timer(workers_.front()->io.get_executor());
  auto last = std::chrono::steady_clock::now();
  while (workers_.size() > 1) {
    timer.expires_after(kPeriod);
    const auto [error] = co_await timer.async_wait(kAwait);
    if (error) co_return;
    const auto now = std::chrono::steady_clock::now();
    try {
      measure(std::chrono::duration<double>(now - last).count());
    } catch (const std::bad_alloc&) {  // the next period may have memory again
    }
    last = now;
  }
}

void Balancer::measure(double seconds) {
  double busy = 0, work = 0;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    busy += busy_share(i, seconds);
    const double work_now = workers_[i]->work.units();
    work += work_now - work_[i];
    work_[i] = work_now;
  }
  const unsigned before = active_.count();
  if (active_.update(busy, work / seconds) != before) spread();
}

/// CPU time alone would not see a thread that waits in pread() or sendfile() for a disk, or for its turn on a core.
double Balancer::busy_share(std::size_t index, double seconds) {
  Worker& worker = *workers_[index];
  const double before = std::exchange(cpu_seconds_[index], worker.cpu_seconds());
  if (index >= active_.count()) return 0;
  const bool late = worker.latency() > kLate;
  worker.probe();
  return late ? 1 : std::min(1.0, (cpu_seconds_[index] - before) / seconds);
}

/// Fills the active workers up to the same number of connections, from those that have more.
void Balancer::spread() const {
  std::vector<std::size_t> load;
  std::size_t total = 0;
  for (const auto& worker : workers_) total += load.emplace_back(worker->load.load());
  const std::size_t active = active_.count();
  const std::size_t share = (total + active - 1) / active;
  std::size_t to = 0;
  for (std::size_t from = 0; from < workers_.size(); ++from) {
    const std::size_t keep = from < active ? share : 0;
    while (load[from] > keep) {
      while (to < active && (to == from || load[to] >= share)) ++to;
      if (to == active) return;
      const std::size_t count = std::min(load[from] - keep, share - load[to]);
      load[from] -= count;
      load[to] += count;
      workers_[from]->give_away(load[from], *workers_[to]);
    }
  }
}

}  // namespace tarn::http
