#include "mpi/collective_calls.hpp"

#include <array>
#include <string>

#include "base/error.hpp"

namespace tarn::mpi {

std::string_view to_string(CollectiveCall call) noexcept {
  switch (call) {
    case CollectiveCall::flush:
      return "flush()";
    case CollectiveCall::dsort:
      return "dsort()";
    case CollectiveCall::rebalance:
      return "rebalance()";
    case CollectiveCall::close:
      return "close()";
  }
  return "?";
}

Result<CollectiveCalls::Bounds> CollectiveCalls::meet(std::optional<CollectiveCall> mine) {
  // Those that follow have no opinion: zeros are below all that others say.
  std::array<std::uint64_t, 2> values{0, 0};
  if (mine) values = {static_cast<std::uint64_t>(*mine), ~static_cast<std::uint64_t>(*mine)};
  TARN_CHECK(collectives_.all_reduce_max(values));
  return Bounds{~values[1], values[0]};
}

Result<void> CollectiveCalls::begin(CollectiveCall call) {
  TARN_TRY(const Bounds all, meet(call));
  if (all.lowest == all.highest) return {};
  return fail(ErrorCode::invalid,
              "the ranks make different collective calls: some " + std::string(to_string(static_cast<CollectiveCall>(all.lowest))) + ", some " +
                  std::string(to_string(static_cast<CollectiveCall>(all.highest))) + "; every rank must make the same ones in the same order");
}

Result<CollectiveCall> CollectiveCalls::next() {
  for (;;) {
    collectives_.set_patient(true);
    const auto all = meet(std::nullopt);
    collectives_.set_patient(false);
    if (!all) return fail(all.error());
    if (all->lowest == all->highest) return static_cast<CollectiveCall>(all->highest);
  }
}

}  // namespace tarn::mpi
