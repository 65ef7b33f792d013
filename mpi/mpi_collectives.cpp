#include "mpi/mpi_collectives.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "mpi/error.hpp"
#include "mpi/exchange.hpp"
#include "mpi/guarded.hpp"

namespace tarn::mpi {

namespace {

constexpr std::size_t kErrorBytesMax = 4096;
constexpr std::uint64_t kNobodyFailed = UINT64_MAX;

Error stopped() {
  return Error(ErrorCode::aborted, "the store is closed on this rank");
}

constexpr std::size_t kLargeBytes = limits::MiB;  // an allocation that may well fail: nobody starts before all have it

int to_int(std::size_t value) {
  TARN_ASSERT(value <= INT32_MAX);
  return static_cast<int>(value);
}

}  // namespace

template <class Post>
Result<void> MpiCollectives::complete(const char* name, Post post) {
  Event done;
  Result<void> outcome;
  const bool queued = engine_.execute([&] {
    try {
      engine_.begin(
          name, Buffer(), [&](Buffer&, MPI_Request* request) { return post(request); },
          [&](Result<void> ended, Buffer) {
            outcome = std::move(ended);
            done.set();
          });
    } catch (const std::bad_alloc&) {
      outcome = fail(no_memory());
      done.set();
    }
  });
  if (!queued) return fail(stopped());
  if (!engine_.wait(done, kNoDeadline)) return fail(stopped());
  return outcome;
}

template <class Allocate>
Result<void> MpiCollectives::allocate_together(bool large, Allocate allocate) {
  auto mine = guarded("a collective call", [&]() -> Result<void> {
    allocate();
    return {};
  });
  return large ? agree(std::move(mine)) : mine;
}

Result<void> MpiCollectives::barrier() {
  return complete("MPI_Ibarrier", [&](MPI_Request* request) { return MPI_Ibarrier(comm_.get(), request); });
}

Result<void> MpiCollectives::all_reduce(std::span<std::uint64_t> values, MPI_Op op) {
  constexpr std::size_t kValuesMax = limits::kPeerPieceBytesMax / sizeof(std::uint64_t);
  while (!values.empty()) {
    const auto part = values.first(std::min(values.size(), kValuesMax));
    TARN_CHECK(complete("MPI_Iallreduce", [&](MPI_Request* request) {
      return MPI_Iallreduce(MPI_IN_PLACE, part.data(), to_int(part.size()), MPI_UINT64_T, op, comm_.get(), request);
    }));
    values = values.subspan(part.size());
  }
  return {};
}

Result<void> MpiCollectives::all_reduce_sum(std::span<std::uint64_t> values) {
  return all_reduce(values, MPI_SUM);
}
Result<void> MpiCollectives::all_reduce_max(std::span<std::uint64_t> values) {
  return all_reduce(values, MPI_MAX);
}

Result<void> MpiCollectives::agree(Result<void> mine) {
  std::uint64_t first_failed = mine ? kNobodyFailed : static_cast<std::uint64_t>(rank());
  TARN_CHECK(all_reduce(std::span(&first_failed, 1), MPI_MIN));
  if (first_failed == kNobodyFailed) return {};

  // Of fixed length, so that one broadcast is enough: u8 code, text.
  std::vector<std::byte> record(kErrorBytesMax);
  const auto failed = static_cast<RankId>(first_failed);
  if (rank() == failed) {
    base::Encoder encoder;
    encoder.u8(static_cast<std::uint8_t>(mine.error().code)).text(mine.error().message.substr(0, kErrorBytesMax - 16));
    std::memcpy(record.data(), encoder.bytes().data(), encoder.size());
  }
  TARN_CHECK(broadcast_bytes(failed, record));
  base::Decoder decoder(record);
  const auto code = static_cast<ErrorCode>(std::min(decoder.u8(), static_cast<std::uint8_t>(ErrorCode::internal)));
  return fail(code, std::string(decoder.text()), failed);
}

Result<std::uint64_t> MpiCollectives::exclusive_scan_sum(std::uint64_t value) {
  std::uint64_t sum = 0;
  TARN_CHECK(
      complete("MPI_Iexscan", [&](MPI_Request* request) { return MPI_Iexscan(&value, &sum, 1, MPI_UINT64_T, MPI_SUM, comm_.get(), request); }));
  return rank() == 0 ? 0 : sum;  // MPI leaves rank 0's undefined
}

Result<void> MpiCollectives::broadcast_bytes(RankId root, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), limits::kPeerPieceBytesMax));
    TARN_CHECK(complete("MPI_Ibcast",
                        [&](MPI_Request* request) { return MPI_Ibcast(piece.data(), to_int(piece.size()), MPI_BYTE, root, comm_.get(), request); }));
    bytes = bytes.subspan(piece.size());
  }
  return {};
}

Result<std::vector<std::byte>> MpiCollectives::broadcast(RankId root, std::span<const std::byte> bytes) {
  std::uint64_t size = bytes.size();
  TARN_CHECK(broadcast_bytes(root, std::as_writable_bytes(std::span(&size, 1))));
  std::vector<std::byte> result;
  TARN_CHECK(allocate_together(size >= kLargeBytes, [&] { result.resize(size); }));
  if (rank() == root) std::copy(bytes.begin(), bytes.end(), result.begin());
  TARN_CHECK(broadcast_bytes(root, result));
  return result;
}

Result<std::vector<std::vector<std::byte>>> MpiCollectives::all_gather(std::span<const std::byte> mine) {
  const auto ranks = static_cast<std::size_t>(size());
  const std::uint64_t size_here = mine.size();
  std::vector<std::uint64_t> sizes(ranks);
  TARN_CHECK(complete("MPI_Iallgather", [&](MPI_Request* request) {
    return MPI_Iallgather(&size_here, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, comm_.get(), request);
  }));

  // All ranks know all sizes, so all come to the same decision.
  std::vector<int> counts(ranks);
  std::vector<int> starts(ranks);
  std::uint64_t total = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    if (sizes[r] > limits::kPeerPieceBytesMax || total + sizes[r] > limits::GiB)
      return fail(ErrorCode::invalid, "too much for one all_gather: rank " + std::to_string(r) + " brings " + std::to_string(sizes[r]) + " bytes",
                  static_cast<RankId>(r));
    counts[r] = static_cast<int>(sizes[r]);
    starts[r] = static_cast<int>(total);
    total += sizes[r];
  }
  std::vector<std::byte> all;
  std::vector<std::vector<std::byte>> result(ranks);
  TARN_CHECK(allocate_together(total >= kLargeBytes, [&] {
    all.resize(total);
    for (std::size_t r = 0; r < ranks; ++r) result[r].reserve(sizes[r]);
  }));
  TARN_CHECK(complete("MPI_Iallgatherv", [&](MPI_Request* request) {
    return MPI_Iallgatherv(mine.data(), to_int(mine.size()), MPI_BYTE, all.data(), counts.data(), starts.data(), MPI_BYTE, comm_.get(), request);
  }));
  for (std::size_t r = 0; r < ranks; ++r) result[r].assign(all.begin() + starts[r], all.begin() + starts[r] + counts[r]);
  return result;
}

Result<std::vector<std::vector<std::byte>>> MpiCollectives::exchange(std::vector<std::vector<std::byte>> to_each) {
  const auto ranks = static_cast<std::size_t>(size());
  TARN_ASSERT(to_each.size() == ranks);
  std::vector<std::uint64_t> sizes_to(ranks);
  std::vector<std::uint64_t> sizes_from(ranks);
  for (std::size_t r = 0; r < ranks; ++r) sizes_to[r] = to_each[r].size();
  TARN_CHECK(complete("MPI_Ialltoall", [&](MPI_Request* request) {
    return MPI_Ialltoall(sizes_to.data(), 1, MPI_UINT64_T, sizes_from.data(), 1, MPI_UINT64_T, comm_.get(), request);
  }));

  std::vector<std::vector<std::byte>> result(ranks);
  const auto self = static_cast<std::size_t>(rank());
  result[self] = std::move(to_each[self]);
  to_each[self].clear();
  if (ranks == 1) return result;
  TARN_CHECK(allocate_together(true, [&] {
    for (std::size_t r = 0; r < ranks; ++r)
      if (r != self) result[r].resize(sizes_from[r]);
  }));

  Exchange data(engine_, comm_.get(), rank(), to_each, result);
  if (!engine_.execute([&] { data.start(); })) return fail(stopped());
  if (!engine_.wait(data.done(), kNoDeadline)) return fail(stopped());
  TARN_CHECK(data.outcome());
  return result;
}

}  // namespace tarn::mpi
