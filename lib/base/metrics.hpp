// metrics.hpp - counters, gauges and histograms of one store, in Prometheus' text form.
// Level 1 (base). Any thread; an update is one atomic operation. prometheus-cpp stays behind this file.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tarn::base {

class Counter {
 public:
  void add(double value = 1);

 private:
  friend class Metrics;
  void* impl_ = nullptr;
};

class Gauge {
 public:
  void set(double value);
  void add(double value);

 private:
  friend class Metrics;
  void* impl_ = nullptr;
};

class Histogram {
 public:
  void observe(double value);

 private:
  friend class Metrics;
  void* impl_ = nullptr;
};

using Labels = std::map<std::string, std::string>;

/// Owns what it hands out; handles are small values that must not outlive it.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// Same name and labels: the same counter. Names as "tarn_http_requests_total".
  [[nodiscard]] Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
  [[nodiscard]] Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  [[nodiscard]] Histogram histogram(const std::string& name, const std::string& help, const std::vector<double>& bounds, const Labels& labels = {});

  /// Text exposition format 0.0.4.
  [[nodiscard]] std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn::base
