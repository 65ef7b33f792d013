#include "mpi/dsort_together.hpp"

#include <utility>

#include "base/error.hpp"

namespace tarn::mpi {

template <class Call>
auto Together::after_all(Call call) -> decltype(call()) {
  TARN_CHECK(agree({}));
  auto result = call();
  if (!result) common_ = fail(result.error());
  return result;
}

Result<void> Together::agree(Result<void> mine) {
  if (!common_) return common_;
  return common_ = ranks_.agree(std::move(mine));
}

Result<void> Together::all_reduce_sum(std::span<std::uint64_t> values) {
  return after_all([&] { return ranks_.all_reduce_sum(values); });
}
Result<void> Together::all_reduce_max(std::span<std::uint64_t> values) {
  return after_all([&] { return ranks_.all_reduce_max(values); });
}
Result<std::uint64_t> Together::exclusive_scan_sum(std::uint64_t value) {
  return after_all([&] { return ranks_.exclusive_scan_sum(value); });
}
Result<std::vector<std::vector<std::byte>>> Together::all_gather(std::span<const std::byte> mine) {
  return after_all([&] { return ranks_.all_gather(mine); });
}
Result<std::vector<std::byte>> Together::broadcast(RankId root, std::span<const std::byte> bytes) {
  return after_all([&] { return ranks_.broadcast(root, bytes); });
}
Result<std::vector<std::vector<std::byte>>> Together::exchange(std::vector<std::vector<std::byte>> to_each) {
  return after_all([&] { return ranks_.exchange(std::move(to_each)); });
}

}  // namespace tarn::mpi
