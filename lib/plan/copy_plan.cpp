#include "plan/copy_plan.hpp"

#include <algorithm>

namespace tarn::plan {

CopyVerdict judge_copy(std::int64_t mine, std::optional<std::size_t> my_place, std::span<const std::int64_t> holders) {
  CopyVerdict verdict;
  const auto newest = std::max_element(holders.begin(), holders.end());  // the first of equals
  if (newest == holders.end()) return verdict;
  // Who has a later one, or the first holder that has this one, takes care of all.
  const bool others_turn = *newest > mine || (*newest == mine && (!my_place || static_cast<std::size_t>(newest - holders.begin()) < *my_place));
  if (!others_turn)
    for (std::size_t i = 0; i < holders.size(); ++i)
      if (holders[i] < mine) verdict.copy_to.push_back(i);
  verdict.remove = !my_place && (!others_turn || *newest > mine || *std::min_element(holders.begin(), holders.end()) == mine);
  return verdict;
}

}  // namespace tarn::plan
