// dsort_together.hpp - ranks that fail together: one that returns early or throws takes the others out of what they wait in.
// Level 6 (mpi). Written against Collectives.
//
//   rank 0    run( local ....... all_gather = [agree, all_gather] ... local ......... agree -+-> the error of rank 1
//   rank 1    run( local .. throws ---------> [agree] ---------------------------------------+
//
// Each call asks first whether all ranks have come this far; a rank that has not answers with its error instead, once.
// So between two calls any rank may fail in any way, and no step needs to say where it agrees.
#pragma once

#include <utility>

#include "mpi/collectives.hpp"
#include "mpi/guarded.hpp"

namespace tarn::mpi {

class Together final : public Collectives {
 public:
  /// `ranks` is used by nobody else while this lives.
  explicit Together(Collectives& ranks) : ranks_(ranks) {}

  /// Collective. Runs `steps`, () -> Result<void>, which makes its collective calls through this object.
  /// @return the same on every rank: success when all succeeded, else the error of the lowest rank that failed first.
  template <class Steps>
  [[nodiscard]] Result<void> run(const char* operation, Steps steps) {
    common_ = Result<void>();
    auto mine = guarded(operation, std::move(steps));
    return common_ ? agree(std::move(mine)) : common_;
  }

  [[nodiscard]] RankId rank() const noexcept override { return ranks_.rank(); }
  [[nodiscard]] int size() const noexcept override { return ranks_.size(); }
  [[nodiscard]] Result<void> barrier() override { return agree({}); }
  [[nodiscard]] Result<void> agree(Result<void> mine) override;
  [[nodiscard]] Result<void> all_reduce_sum(std::span<std::uint64_t> values) override;
  [[nodiscard]] Result<void> all_reduce_max(std::span<std::uint64_t> values) override;
  [[nodiscard]] Result<std::uint64_t> exclusive_scan_sum(std::uint64_t value) override;
  [[nodiscard]] Result<std::vector<std::vector<std::byte>>> all_gather(std::span<const std::byte> mine) override;
  [[nodiscard]] Result<std::vector<std::byte>> broadcast(RankId root, std::span<const std::byte> bytes) override;
  [[nodiscard]] Result<std::vector<std::vector<std::byte>>> exchange(std::vector<std::vector<std::byte>> to_each) override;

 private:
  /// agree({}), then `call`.
  template <class Call>
  [[nodiscard]] auto after_all(Call call) -> decltype(call());

  Collectives& ranks_;
  Result<void> common_;  // an error: every rank has it, no more calls
};

}  // namespace tarn::mpi
