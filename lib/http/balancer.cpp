#include "http/balancer.hpp"

#include <algorithm>

namespace tarn::http {

namespace {

constexpr std::chrono::milliseconds kPeriod{50};

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
    measure(std::chrono::duration<double>(now - last).count());
    last = now;
  }
}

void Balancer::measure(double seconds) {
  double cpu = 0, work = 0;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const double cpu_now = workers_[i]->cpu_seconds(), work_now = workers_[i]->work.units();
    cpu += cpu_now - cpu_seconds_[i];
    work += work_now - work_[i];
    cpu_seconds_[i] = cpu_now;
    work_[i] = work_now;
  }
  const unsigned before = active_.count();
  if (active_.update(cpu / seconds, work / seconds) != before) spread();
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
