#include "plan/record_table.hpp"

#include <algorithm>

namespace tarn::plan {

Result<void> RecordTable::append(std::vector<std::byte> records) {
  if (records.empty()) return {};
  blocks_.push_back(std::move(records));
  const std::span<const std::byte> block = blocks_.back();
  base::Decoder from(block);
  while (!from.rest().empty()) {
    const std::size_t offset = block.size() - from.rest().size();
    const RecordHead head = read_head(from);
    if (from.failed()) return fail(ErrorCode::internal, "dsort: a packed record is cut off");
    const std::size_t length = block.size() - from.rest().size() - offset;
    entries_.push_back({order_.place(head).prefix, static_cast<std::uint32_t>(blocks_.size() - 1), static_cast<std::uint32_t>(length), offset});
  }
  return {};
}

base::Decoder RecordTable::decoder(const Entry& entry) const {
  return base::Decoder(std::span(blocks_[entry.block]).subspan(entry.offset, entry.length));
}

void RecordTable::sort() {
  std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    base::Decoder from_a = decoder(a);
    base::Decoder from_b = decoder(b);
    return order_.compare(read_head(from_a), read_head(from_b)) < 0;
  });
}

RecordHead RecordTable::head(std::size_t index) const {
  base::Decoder from = decoder(entries_[index]);
  return read_head(from);
}

std::span<const std::byte> RecordTable::bytes(std::size_t index) const {
  const Entry& entry = entries_[index];
  return std::span(blocks_[entry.block]).subspan(entry.offset, entry.length);
}

std::vector<SampledPlace> RecordTable::sample(std::size_t count) const {
  std::vector<SampledPlace> samples;
  count = std::min(count, size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = size() / count * i + size() % count * i / count;
    const std::size_t end = size() / count * (i + 1) + size() % count * (i + 1) / count;
    const Place place = order_.place(head(begin));
    samples.push_back({place.prefix, place.position, std::string(place.content), std::string(place.key), end - begin});
  }
  return samples;
}

std::vector<std::size_t> RecordTable::cut(std::span<const SampledPlace> splitters, std::size_t parts) const {
  std::vector<std::size_t> begins{0};
  for (const auto& splitter : splitters) {
    std::size_t low = begins.back();
    std::size_t high = size();
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (order_.compare(order_.place(head(middle)), splitter.place()) < 0)
        low = middle + 1;
      else
        high = middle;
    }
    begins.push_back(low);
  }
  begins.resize(parts + 1, size());
  begins.back() = size();
  return begins;
}

void RecordTable::remove(std::span<const std::size_t> indices) {
  std::size_t kept = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (next < indices.size() && indices[next] == i)
      ++next;
    else
      entries_[kept++] = entries_[i];
  }
  entries_.resize(kept);
}

}  // namespace tarn::plan
