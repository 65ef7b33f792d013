// record_table.hpp - one rank's share of the records: to be filled, sorted, cut into parts and sent on.
// Level 4 (plan). One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tarn/result.hpp>

#include "base/codec.hpp"
#include "plan/record.hpp"
#include "plan/sample_order.hpp"

namespace tarn::plan {

class RecordTable {
 public:
  explicit RecordTable(const SampleOrder& order) : order_(order) {}

  /// Takes packed records over. @errors internal: they are not whole records (a bug of ours or of the network).
  [[nodiscard]] Result<void> append(std::vector<std::byte> records);
  /// By the total order.
  void sort();

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] RecordHead head(std::size_t index) const;
  /// The packed record.
  [[nodiscard]] std::span<const std::byte> bytes(std::size_t index) const;

  /// Up to `count` places at regular distances of the sorted table, standing for all of it.
  [[nodiscard]] std::vector<SampledPlace> sample(std::size_t count) const;
  /// Sorted table: where each part of choose_splitters() begins; splitters + 2 numbers, the last is size().
  [[nodiscard]] std::vector<std::size_t> cut(std::span<const SampledPlace> splitters, std::size_t parts) const;
  /// Removes the records at these indices (ascending). Their bytes stay until the table goes.
  void remove(std::span<const std::size_t> indices);

 private:
  struct Entry {
    std::uint64_t prefix;  // of the place: most comparisons end here
    std::uint32_t block;   // of blocks_
    std::uint32_t length;
    std::uint64_t offset;  // in the block
  };
  [[nodiscard]] base::Decoder decoder(const Entry& entry) const;

  SampleOrder order_;
  std::vector<std::vector<std::byte>> blocks_;
  std::vector<Entry> entries_;
};

}  // namespace tarn::plan
