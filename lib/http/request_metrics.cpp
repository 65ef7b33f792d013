#include "http/request_metrics.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace tarn::http {

namespace {

const std::vector<double>& latency_bounds_s() {
  static const std::vector<double> bounds{0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30};
  return bounds;
}

std::uint64_t resident_bytes() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"), std::fclose);
  unsigned long total = 0, resident = 0;
  if (file == nullptr || std::fscanf(file.get(), "%lu %lu", &total, &resident) != 2) return 0;
  return static_cast<std::uint64_t>(resident) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

std::string_view to_string(Operation operation) noexcept {
  static constexpr std::array<std::string_view, kOperations> kNames{"get_object",   "head_object",   "put_object",  "delete_object",
                                                                    "list_objects", "create_bucket", "head_bucket", "delete_bucket",
                                                                    "list_buckets", "sort",          "admin",       "other"};
  return kNames[static_cast<std::size_t>(operation)];
}

RequestMetrics::RequestMetrics(base::Metrics& metrics)
    : metrics_(metrics),
      bytes_in_(metrics.counter("tarn_http_received_bytes_total", "Bytes of request bodies")),
      bytes_out_(metrics.counter("tarn_http_sent_bytes_total", "Bytes of response bodies")),
      redirects_(metrics.counter("tarn_http_redirects_total", "Requests sent on to the owner with a 307")),
      proxied_(metrics.counter("tarn_http_proxied_total", "Requests for objects of other ranks answered by this one")),
      connections_(metrics.gauge("tarn_http_connections", "Open connections")) {}

void RequestMetrics::count(const Request& request) {
  const auto index = static_cast<std::size_t>(request.operation);
  auto& by_status = requests_[index];
  auto found = by_status.find(request.status);
  if (found == by_status.end()) {
    const base::Labels labels{{"operation", std::string(to_string(request.operation))}, {"status", std::to_string(request.status)}};
    found = by_status.emplace(request.status, metrics_.counter("tarn_http_requests_total", "Requests answered", labels)).first;
  }
  found->second.add();
  if (!seconds_[index])
    seconds_[index] = metrics_.histogram("tarn_http_request_seconds", "From a request's head to the end of its response", latency_bounds_s(),
                                         {{"operation", std::string(to_string(request.operation))}});
  seconds_[index]->observe(request.seconds);
  if (request.bytes_in > 0) bytes_in_.add(static_cast<double>(request.bytes_in));
  if (request.bytes_out > 0) bytes_out_.add(static_cast<double>(request.bytes_out));
}

ProcessMetrics::ProcessMetrics(base::Metrics& metrics)
    : memory_(metrics.gauge("process_resident_memory_bytes", "Memory of this process that is in RAM")),
      cpu_(metrics.counter("process_cpu_seconds_total", "CPU time of this process, user and system")) {}

void ProcessMetrics::update() {
  memory_.set(static_cast<double>(resident_bytes()));
  const std::lock_guard lock(mutex_);
  const double now_s = cpu_seconds();
  if (now_s > counted_cpu_s_) cpu_.add(now_s - counted_cpu_s_);
  counted_cpu_s_ = now_s;
}

}  // namespace tarn::http
