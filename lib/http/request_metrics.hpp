// request_metrics.hpp - what each worker counts, and the process figures that are read when someone asks.
// Level 5 (http). RequestMetrics belongs to one thread; ProcessMetrics to any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/metrics.hpp"

namespace tarn::http {

enum class Operation : std::uint8_t {
  get_object,
  head_object,
  put_object,
  delete_object,
  list_objects,
  create_bucket,
  head_bucket,
  delete_bucket,
  list_buckets,
  sort,
  admin,
  other,
};
inline constexpr std::size_t kOperations = static_cast<std::size_t>(Operation::other) + 1;

[[nodiscard]] std::string_view to_string(Operation operation) noexcept;

/// One worker's handles to the store's counters: no lookup by name after the first request of a kind.
class RequestMetrics {
 public:
  explicit RequestMetrics(base::Metrics& metrics);

  struct Request {
    Operation operation = Operation::other;
    int status = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    double seconds = 0;
  };
  void count(const Request& request);
  void count_redirect() { redirects_.add(); }
  void count_proxied() { proxied_.add(); }
  void count_connection(int difference) { connections_.add(difference); }

 private:
  base::Metrics& metrics_;
  std::array<std::map<int, base::Counter>, kOperations> requests_;  // by status
  std::array<std::optional<base::Histogram>, kOperations> seconds_;
  base::Counter bytes_in_, bytes_out_, redirects_, proxied_;
  base::Gauge connections_;
};

/// Resident memory and CPU time of this process, set just before the metrics are written out.
class ProcessMetrics {
 public:
  explicit ProcessMetrics(base::Metrics& metrics);
  void update();

 private:
  std::mutex mutex_;  // guards counted_cpu_s_
  double counted_cpu_s_ = 0;
  base::Gauge memory_;
  base::Counter cpu_;
};

}  // namespace tarn::http
