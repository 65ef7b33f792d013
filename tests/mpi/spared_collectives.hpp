// spared_collectives.hpp - collective calls for tests that let the code between them fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "mpi/collectives.hpp"
#include "support/allocations.hpp"

namespace tarn::tests {

/// Collective calls in which no allocation fails on purpose: what is tested is the code between them.
class SparedCollectives final : public mpi::Collectives {
 public:
  explicit SparedCollectives(mpi::Collectives& ranks) : ranks_(ranks) {}
  /// This rank's outcome, as it is to be told to the others.
  std::function<Result<void>(Result<void>)> before_agree;

  [[nodiscard]] RankId rank() const noexcept override { return ranks_.rank(); }
  [[nodiscard]] int size() const noexcept override { return ranks_.size(); }
  Result<void> barrier() override {
    return spared([&] { return ranks_.barrier(); });
  }
  Result<void> agree(Result<void> mine) override {
    return spared([&] { return ranks_.agree(before_agree ? before_agree(std::move(mine)) : std::move(mine)); });
  }
  Result<void> all_reduce_sum(std::span<std::uint64_t> values) override {
    return spared([&] { return ranks_.all_reduce_sum(values); });
  }
  Result<void> all_reduce_max(std::span<std::uint64_t> values) override {
    return spared([&] { return ranks_.all_reduce_max(values); });
  }
  Result<std::uint64_t> exclusive_scan_sum(std::uint64_t value) override {
    return spared([&] { return ranks_.exclusive_scan_sum(value); });
  }
  Result<std::vector<std::vector<std::byte>>> all_gather(std::span<const std::byte> mine) override {
    return spared([&] { return ranks_.all_gather(mine); });
  }
  Result<std::vector<std::byte>> broadcast(RankId root, std::span<const std::byte> bytes) override {
    return spared([&] { return ranks_.broadcast(root, bytes); });
  }
  Result<std::vector<std::vector<std::byte>>> exchange(std::vector<std::vector<std::byte>> to_each) override {
    return spared([&] { return ranks_.exchange(std::move(to_each)); });
  }

 private:
  template <class Call>
  static auto spared(Call call) -> decltype(call()) {
    const SparedAllocations none;
    return call();
  }
  mpi::Collectives& ranks_;
};

}  // namespace tarn::tests
