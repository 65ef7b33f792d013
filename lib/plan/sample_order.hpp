// sample_order.hpp - where a sample stands among all samples: the same whatever rank asks.
// Level 4 (plan). Pure.
//
// Total order: order key, then sample key, then source name, then position in the source.
// A *place* is the part of it that comes before the source. With the orders key, shuffle and md5, samples with
// equal keys have equal places, so a sort that keeps equal places together on one rank finds duplicates there.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/dsort.hpp>

#include "plan/record.hpp"

namespace tarn::plan {

struct Place {
  /// Decides nearly always. key: the first 8 bytes of the key (inverted when decreasing); shuffle:
  /// XXH3-64(key, seed); md5: its first half; content: the first 8 bytes of that; none: the source.
  std::uint64_t prefix = 0;
  std::uint64_t position = 0;  ///< none: in the source; md5: the second half; else 0
  std::string_view content;    ///< of the order content alone
  std::string_view key;
};

class SampleOrder {
 public:
  SampleOrder(DsortOrder kind, bool decreasing, std::uint64_t seed) noexcept : kind_(kind), decreasing_(decreasing), seed_(seed) {}
  explicit SampleOrder(const DsortSpec& spec) noexcept : SampleOrder(spec.order, spec.decreasing, spec.seed) {}

  [[nodiscard]] Place place(const RecordHead& head) const noexcept;
  [[nodiscard]] std::strong_ordering compare(const Place& a, const Place& b) const noexcept;
  /// The total order. Never equal for two different samples.
  [[nodiscard]] std::strong_ordering compare(const RecordHead& a, const RecordHead& b) const noexcept;
  /// Whether samples of equal keys have equal places.
  [[nodiscard]] bool keys_stay_together() const noexcept { return kind_ != DsortOrder::none && kind_ != DsortOrder::content; }

 private:
  DsortOrder kind_;
  bool decreasing_;
  std::uint64_t seed_;
};

/// A place that was sampled from a rank's sorted records, standing for `weight` of them.
struct SampledPlace {
  std::uint64_t prefix = 0;
  std::uint64_t position = 0;
  std::string content;
  std::string key;
  std::uint64_t weight = 0;

  [[nodiscard]] Place place() const noexcept { return {prefix, position, content, key}; }
};

/// `parts` - 1 places that cut what the samples stand for into parts of about equal number; part p gets the
/// places p with splitter[p - 1] <= p < splitter[p]. Fewer samples than parts: some splitters are equal, and
/// the parts between them empty. With no samples at all there are no splitters: all belongs to part 0.
/// @cost sorts the samples.
[[nodiscard]] std::vector<SampledPlace> choose_splitters(const SampleOrder& order, std::vector<SampledPlace> samples, std::size_t parts);

}  // namespace tarn::plan
