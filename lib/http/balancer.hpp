// balancer.hpp - keeps the connections of a sidecar on as few of its I/O threads as do the work.
// Level 5 (http). Belongs to the first worker's thread.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "http/active_threads.hpp"
#include "http/worker.hpp"

namespace tarn::http {

class Balancer {
 public:
  explicit Balancer(const std::vector<std::unique_ptr<Worker>>& workers);

  /// For a new connection: the active worker that has the fewest.
  [[nodiscard]] Worker& choose() const noexcept;
  /// Measures twenty times a second, and moves connections when another number of threads is better. Until its timer is
  /// cancelled by the end of the io_context. A thread is busy while it computes, and while it waits for a disk or a core.
  Task<> run();

 private:
  void measure(double seconds);
  void spread() const;

  double busy_share(std::size_t worker, double seconds);

  const std::vector<std::unique_ptr<Worker>>& workers_;
  ActiveThreads active_;
  std::vector<double> cpu_seconds_, work_;  // of each worker, at the last measurement
};

}  // namespace tarn::http
