// collectives.hpp - what the ranks of a store do together: agree, reduce, exchange.
// Level 6 (mpi). MPI-free interface, so that an algorithm over it can be tested without MPI.
// One thread per rank at a time; every rank makes the same calls in the same order. While a call waits,
// this rank goes on answering its peers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

namespace tarn::mpi {

/// Every call is collective and blocks until its part is done. An error of a call itself (not of agree's
/// argument) means that MPI is broken: `internal`, and no further call will work.
class Collectives {
 public:
  Collectives() = default;
  Collectives(const Collectives&) = delete;
  Collectives& operator=(const Collectives&) = delete;
  virtual ~Collectives() = default;

  [[nodiscard]] virtual RankId rank() const noexcept = 0;
  [[nodiscard]] virtual int size() const noexcept = 0;

  [[nodiscard]] virtual Result<void> barrier() = 0;
  /// The same outcome everywhere: success when every rank passed one, else the error of the lowest
  /// rank that failed. Error::rank is the rank on which it happened: that one, or another whose disk or silence was in its way.
  /// @cost one reduction; after a failure also one broadcast of 4 KiB.
  [[nodiscard]] virtual Result<void> agree(Result<void> mine) = 0;

  /// Element by element, in place; the same number of elements on every rank.
  [[nodiscard]] virtual Result<void> all_reduce_sum(std::span<std::uint64_t> values) = 0;
  [[nodiscard]] virtual Result<void> all_reduce_max(std::span<std::uint64_t> values) = 0;
  /// @return the sum of the values of all lower ranks; 0 on rank 0.
  [[nodiscard]] virtual Result<std::uint64_t> exclusive_scan_sum(std::uint64_t value) = 0;

  /// @return the bytes of every rank, by rank. For small things: at most 8 MiB per rank, 1 GiB in all.
  /// @cost up to 6 * log2(ranks) messages of a rank, to log2(ranks) others; log2(ranks) times all bytes sent by rank 0.
  [[nodiscard]] virtual Result<std::vector<std::vector<std::byte>>> all_gather(std::span<const std::byte> mine) = 0;
  /// @return root's bytes on every rank; `bytes` of other ranks is ignored.
  [[nodiscard]] virtual Result<std::vector<std::byte>> broadcast(RankId root, std::span<const std::byte> bytes) = 0;
  /// Sends to_each[r] to rank r (any sizes, also empty). @return what each rank sent here, by rank.
  /// @cost one exchange of counts, then pieces of at most 8 MiB, a bounded number in flight; memory: both vectors.
  [[nodiscard]] virtual Result<std::vector<std::vector<std::byte>>> exchange(std::vector<std::vector<std::byte>> to_each) = 0;
};

/// agree() for a call with a value: this rank's value when all succeeded, else the common error.
template <class T>
[[nodiscard]] Result<T> agree_on(Collectives& collectives, Result<T> mine) {
  Result<void> outcome;
  if (!mine) outcome = fail(mine.error());
  if (auto common = collectives.agree(std::move(outcome)); !common) return fail(std::move(common).error());
  return mine;
}

}  // namespace tarn::mpi
