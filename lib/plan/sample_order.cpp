#include "plan/sample_order.hpp"

#include <algorithm>
#include <numeric>

#include "base/hash.hpp"
#include "base/md5.hpp"

namespace tarn::plan {

namespace {

/// The first 8 bytes as a number that compares as the text does; shorter texts are filled with zeros.
std::uint64_t text_prefix(std::string_view text) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0U);
  return value;
}

/// string_view compares as unsigned bytes.
std::strong_ordering compare_keys(std::string_view a, std::string_view b) noexcept {
  return a.compare(b) <=> 0;
}

}  // namespace

Place SampleOrder::place(const RecordHead& head) const noexcept {
  switch (kind_) {
    case DsortOrder::none:
      return {head.source, head.loose ? 0 : head.position, {}, head.key};
    case DsortOrder::shuffle:
      return {base::xxh3_64(head.key, seed_), 0, {}, head.key};
    case DsortOrder::md5: {
      const auto digest = base::md5(head.key);
      const std::string_view text(reinterpret_cast<const char*>(digest.data()), digest.size());
      return {text_prefix(text), text_prefix(text.substr(8)), {}, head.key};
    }
    case DsortOrder::content:  // decreasing is in the content key already
      return {text_prefix(head.content), 0, head.content, head.key};
    case DsortOrder::key:
      break;
  }
  const std::uint64_t prefix = text_prefix(head.key);
  return {decreasing_ ? ~prefix : prefix, 0, {}, head.key};
}

std::strong_ordering SampleOrder::compare(const Place& a, const Place& b) const noexcept {
  if (a.prefix != b.prefix) return a.prefix <=> b.prefix;
  if (a.position != b.position) return a.position <=> b.position;
  if (const auto contents = compare_keys(a.content, b.content); contents != std::strong_ordering::equal) return contents;
  return decreasing_ && kind_ == DsortOrder::key ? compare_keys(b.key, a.key) : compare_keys(a.key, b.key);
}

std::strong_ordering SampleOrder::compare(const RecordHead& a, const RecordHead& b) const noexcept {
  const auto places = compare(place(a), place(b));
  if (places != std::strong_ordering::equal) return places;
  if (a.source != b.source) return a.source <=> b.source;
  return a.position <=> b.position;
}

std::vector<SampledPlace> choose_splitters(const SampleOrder& order, std::vector<SampledPlace> samples, std::size_t parts) {
  std::vector<SampledPlace> splitters;
  if (samples.empty() || parts < 2) return splitters;
  std::sort(samples.begin(), samples.end(), [&](const auto& a, const auto& b) { return order.compare(a.place(), b.place()) < 0; });
  const auto total =
      std::accumulate(samples.begin(), samples.end(), std::uint64_t{0}, [](std::uint64_t sum, const auto& sample) { return sum + sample.weight; });
  std::uint64_t passed = 0;
  std::size_t at = 0;
  for (std::size_t part = 1; part < parts; ++part) {
    const std::uint64_t wanted = total / parts * part + total % parts * part / parts;
    while (at + 1 < samples.size() && passed + samples[at].weight <= wanted) passed += samples[at++].weight;
    splitters.push_back(samples[at]);
  }
  return splitters;
}

}  // namespace tarn::plan
