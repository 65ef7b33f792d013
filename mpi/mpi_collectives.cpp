#include "mpi/mpi_collectives.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <numeric>
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
constexpr std::chrono::seconds kToldLook{1};      // how soon who waits sees what it has been told
constexpr int kGatherTag = 8;                     // exchange.cpp has another

int to_int(std::size_t value) {
  TARN_ASSERT(value <= INT32_MAX);
  return static_cast<int>(value);
}

/// Runs `step`, (piece) -> Result<void>, for each part that one call of MPI may have.
template <class Step>
Result<void> in_pieces(std::span<std::byte> bytes, Step step) {
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), limits::kPeerPieceBytesMax));
    TARN_CHECK(step(piece));
    bytes = bytes.subspan(piece.size());
  }
  return {};
}

}  // namespace

template <class Call>
auto MpiCollectives::whole(Call call) -> decltype(call()) {
  try {
    if (lost_) return fail(*lost_);
    return call();
  } catch (const std::bad_alloc&) {
    return fail(give_up(no_memory()));
  } catch (...) {
    return fail(give_up(current_error("a collective call")));
  }
}

Error MpiCollectives::give_up(Error why) noexcept {
  if (presence_ != nullptr) presence_->give_up(why.message);
  lost_ = Error(ErrorCode::rank_lost, std::string(), rank());
  try {
    lost_->message = "this rank gave up an earlier collective call: " + why.message;
    if (ApplicationCall::active()) engine_.drive();  // without a service thread nobody else would send it before the next call
  } catch (const std::bad_alloc&) {                  // then without a text
    return why;
  }
  return why;
}

Result<void> MpiCollectives::wait(Event& done) {
  if (presence_ == nullptr) return engine_.wait(done, kNoDeadline) ? Result<void>() : Result<void>(fail(stopped()));
  Presence::Wait wait(*presence_);
  while (!engine_.wait(done, std::min(Clock::now() + kToldLook, patient_ ? kNoDeadline : wait.next_look()))) {
    if (engine_.stopped()) return fail(stopped());
    const bool asks = !patient_ && Clock::now() >= wait.next_look();
    if (auto all_there = asks ? wait.look() : presence_->look_patiently(); !all_there) {
      lost_ = all_there.error();
      return all_there;
    }
  }
  return {};
}

template <class Post>
Result<void> MpiCollectives::complete(const char* name, std::shared_ptr<void> memory, Post post) {
  struct Under {
    Event done;
    Result<void> outcome;
    std::shared_ptr<void> memory;  // MPI may use it for longer than the caller waits
  };
  auto under = std::make_shared<Under>();
  under->memory = std::move(memory);
  const bool queued = engine_.execute([this, name, under, post] {
    try {
      engine_.begin(
          name, Buffer(), [&](Buffer&, MPI_Request* request) { return post(request); },
          [under](Result<void> ended, Buffer) {
            under->outcome = std::move(ended);
            under->done.set();
          });
    } catch (const std::bad_alloc&) {
      under->outcome = fail(no_memory());
      under->done.set();
    }
  });
  if (!queued) return fail(stopped());
  TARN_CHECK(wait(under->done));
  if (!under->outcome) return fail(give_up(std::move(under->outcome).error()));
  return {};
}

template <class Allocate>
Result<void> MpiCollectives::allocate_together(bool large, Allocate allocate) {
  auto mine = guarded("a collective call", [&]() -> Result<void> {
    allocate();
    return {};
  });
  if (large) return agree_now(std::move(mine));
  if (!mine) return fail(give_up(std::move(mine).error()));
  return {};
}

Result<void> MpiCollectives::barrier() {
  return whole([&] { return complete("MPI_Ibarrier", nullptr, [comm = comm_.get()](MPI_Request* request) { return MPI_Ibarrier(comm, request); }); });
}

Result<void> MpiCollectives::all_reduce(std::span<std::uint64_t> values, MPI_Op op) {
  constexpr std::size_t kValuesMax = limits::kPeerPieceBytesMax / sizeof(std::uint64_t);
  while (!values.empty()) {
    const auto part = values.first(std::min(values.size(), kValuesMax));
    const auto copy = std::make_shared<std::vector<std::uint64_t>>(part.begin(), part.end());
    // MPICH 4.0 compares MPI_UINT64_T as if it were signed; with the highest bit turned over, signed is the right order.
    const std::uint64_t flip = op == MPI_SUM ? 0 : std::uint64_t{1} << 63;
    const MPI_Datatype type = op == MPI_SUM ? MPI_UINT64_T : MPI_INT64_T;
    for (auto& value : *copy) value ^= flip;
    TARN_CHECK(complete("MPI_Iallreduce", copy, [at = copy->data(), count = to_int(part.size()), type, op, comm = comm_.get()](MPI_Request* request) {
      return MPI_Iallreduce(MPI_IN_PLACE, at, count, type, op, comm, request);
    }));
    std::transform(copy->begin(), copy->end(), part.begin(), [flip](std::uint64_t value) { return value ^ flip; });
    values = values.subspan(part.size());
  }
  return {};
}

Result<void> MpiCollectives::all_reduce_sum(std::span<std::uint64_t> values) {
  return whole([&] { return all_reduce(values, MPI_SUM); });
}
Result<void> MpiCollectives::all_reduce_max(std::span<std::uint64_t> values) {
  return whole([&] { return all_reduce(values, MPI_MAX); });
}

Result<void> MpiCollectives::agree(Result<void> mine) {
  return whole([&] { return agree_now(std::move(mine)); });
}

Result<void> MpiCollectives::agree_now(Result<void> mine) {
  std::uint64_t first_failed = mine ? kNobodyFailed : static_cast<std::uint64_t>(rank());
  TARN_CHECK(all_reduce(std::span(&first_failed, 1), MPI_MIN));
  if (first_failed == kNobodyFailed) return {};

  // Of fixed length, so that one broadcast is enough: u8 code, i64 rank, text.
  const auto record = std::make_shared<Bytes>(kErrorBytesMax);
  const auto failed = static_cast<RankId>(first_failed);
  if (rank() == failed) {
    base::Encoder encoder;
    const Error& error = mine.error();
    encoder.u8(static_cast<std::uint8_t>(error.code)).i64(error.rank < 0 ? failed : error.rank).text(error.message.substr(0, kErrorBytesMax - 24));
    std::memcpy(record->data(), encoder.bytes().data(), encoder.size());
  }
  TARN_CHECK(broadcast_into(failed, *record, record));
  base::Decoder decoder(*record);
  const auto code = static_cast<ErrorCode>(std::min(decoder.u8(), static_cast<std::uint8_t>(ErrorCode::internal)));
  const auto rank = static_cast<RankId>(decoder.i64());
  return fail(code, std::string(decoder.text()), rank);
}

Result<std::uint64_t> MpiCollectives::exclusive_scan_sum(std::uint64_t value) {
  return whole([&]() -> Result<std::uint64_t> {
    const auto both = std::make_shared<std::array<std::uint64_t, 2>>(std::array<std::uint64_t, 2>{value, 0});
    TARN_CHECK(complete("MPI_Iexscan", both, [at = both->data(), comm = comm_.get()](MPI_Request* request) {
      return MPI_Iexscan(at, at + 1, 1, MPI_UINT64_T, MPI_SUM, comm, request);
    }));
    return rank() == 0 ? 0 : (*both)[1];  // MPI leaves rank 0's undefined
  });
}

Result<void> MpiCollectives::broadcast_into(RankId root, std::span<std::byte> bytes, const std::shared_ptr<void>& memory) {
  return in_pieces(bytes, [&](std::span<std::byte> piece) {
    return complete("MPI_Ibcast", memory, [at = piece.data(), count = to_int(piece.size()), root, comm = comm_.get()](MPI_Request* request) {
      return MPI_Ibcast(at, count, MPI_BYTE, root, comm, request);
    });
  });
}

Result<std::vector<std::byte>> MpiCollectives::broadcast(RankId root, std::span<const std::byte> bytes) {
  return whole([&] { return broadcast_now(root, bytes); });
}

Result<std::vector<std::byte>> MpiCollectives::broadcast_now(RankId root, std::span<const std::byte> bytes) {
  std::uint64_t size = bytes.size();
  const auto size_bytes = std::make_shared<Bytes>(sizeof(size));
  std::memcpy(size_bytes->data(), &size, sizeof(size));
  TARN_CHECK(broadcast_into(root, *size_bytes, size_bytes));
  std::memcpy(&size, size_bytes->data(), sizeof(size));
  const auto result = std::make_shared<Bytes>();
  TARN_CHECK(allocate_together(size >= kLargeBytes, [&] { result->resize(size); }));
  if (rank() == root) std::copy(bytes.begin(), bytes.end(), result->begin());
  TARN_CHECK(broadcast_into(root, *result, result));
  return std::move(*result);
}

Result<std::vector<std::vector<std::byte>>> MpiCollectives::all_gather(std::span<const std::byte> mine) {
  return whole([&] { return all_gather_now(mine); });
}

Result<void> MpiCollectives::gather_on_tree(const std::shared_ptr<Gather>& data) {
  const auto send = [&](int to, std::span<std::byte> bytes) {
    return in_pieces(bytes, [&](std::span<std::byte> piece) {
      return complete("MPI_Isend", data, [at = piece.data(), count = to_int(piece.size()), to, comm = comm_.get()](MPI_Request* request) {
        return MPI_Isend(at, count, MPI_BYTE, to, kGatherTag, comm, request);
      });
    });
  };
  const auto receive = [&](int from, std::span<std::byte> bytes) {
    return in_pieces(bytes, [&](std::span<std::byte> piece) {
      return complete("MPI_Irecv", data, [at = piece.data(), count = to_int(piece.size()), from, comm = comm_.get()](MPI_Request* request) {
        return MPI_Irecv(at, count, MPI_BYTE, from, kGatherTag, comm, request);
      });
    });
  };
  const std::span sizes(data->sizes);
  const std::span bytes(data->bytes);
  std::size_t known = 1, filled = static_cast<std::size_t>(sizes[0]);
  for (int step = 1; step < size(); step *= 2) {
    if ((rank() & step) != 0) {
      TARN_CHECK(send(rank() - step, std::as_writable_bytes(sizes.first(known))));
      return send(rank() - step, bytes.first(filled));
    }
    const int child = rank() + step;
    if (child >= size()) continue;
    const auto theirs = sizes.subspan(known, static_cast<std::size_t>(std::min(step, size() - child)));
    TARN_CHECK(receive(child, std::as_writable_bytes(theirs)));
    const auto more = static_cast<std::size_t>(std::accumulate(theirs.begin(), theirs.end(), std::uint64_t{0}));
    TARN_CHECK(receive(child, bytes.subspan(filled, more)));
    known += theirs.size();
    filled += more;
  }
  return {};
}

Result<std::vector<std::vector<std::byte>>> MpiCollectives::all_gather_now(std::span<const std::byte> mine) {
  const auto ranks = static_cast<std::size_t>(size());
  std::uint64_t total = mine.size();
  TARN_CHECK(all_reduce(std::span(&total, 1), MPI_SUM));
  // All ranks know the sum, so all come to the same decisions.
  if (total > limits::kPeerPieceBytesMax)
    TARN_CHECK(agree_now(mine.size() <= limits::kPeerPieceBytesMax
                             ? Result<void>()
                             : fail(ErrorCode::invalid, "too much for one all_gather: rank " + std::to_string(rank()) + " brings " +
                                                            std::to_string(mine.size()) + " bytes")));
  if (total > limits::GiB)
    return fail(ErrorCode::invalid, "too much for one all_gather: all ranks together bring " + std::to_string(total) + " bytes");
  const auto data = std::make_shared<Gather>();
  TARN_CHECK(allocate_together(total >= kLargeBytes, [&] {
    data->sizes.resize(ranks);
    data->bytes.resize(total);
  }));
  data->sizes[0] = mine.size();
  std::copy(mine.begin(), mine.end(), data->bytes.begin());
  TARN_CHECK(gather_on_tree(data));
  TARN_CHECK(broadcast_into(0, std::as_writable_bytes(std::span(data->sizes)), data));
  std::vector<std::vector<std::byte>> result(ranks);
  TARN_CHECK(allocate_together(total >= kLargeBytes, [&] {
    for (std::size_t r = 0; r < ranks; ++r) result[r].reserve(data->sizes[r]);
  }));
  TARN_CHECK(broadcast_into(0, data->bytes, data));
  auto from = data->bytes.begin();
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto to = from + static_cast<std::ptrdiff_t>(data->sizes[r]);
    result[r].assign(from, to);
    from = to;
  }
  return result;
}

Result<std::vector<std::vector<std::byte>>> MpiCollectives::exchange(std::vector<std::vector<std::byte>> to_each) {
  return whole([&] { return exchange_now(std::move(to_each)); });
}

Result<std::vector<std::vector<std::byte>>> MpiCollectives::exchange_now(std::vector<std::vector<std::byte>> to_each) {
  const auto ranks = static_cast<std::size_t>(size());
  TARN_ASSERT(to_each.size() == ranks);
  const auto sizes = std::make_shared<std::vector<std::uint64_t>>(2 * ranks);  // to each, from each
  for (std::size_t r = 0; r < ranks; ++r) (*sizes)[r] = to_each[r].size();
  TARN_CHECK(complete("MPI_Ialltoall", sizes, [at = sizes->data(), ranks, comm = comm_.get()](MPI_Request* request) {
    return MPI_Ialltoall(at, 1, MPI_UINT64_T, at + ranks, 1, MPI_UINT64_T, comm, request);
  }));

  std::vector<std::vector<std::byte>> result(ranks);
  const auto self = static_cast<std::size_t>(rank());
  result[self] = std::move(to_each[self]);
  to_each[self].clear();
  if (ranks == 1) return result;
  std::shared_ptr<Exchange> data;
  TARN_CHECK(allocate_together(true, [&] {
    for (std::size_t r = 0; r < ranks; ++r)
      if (r != self) result[r].resize((*sizes)[ranks + r]);
    data = std::make_shared<Exchange>(engine_, comm_.get(), rank(), std::move(to_each), std::move(result));
  }));
  if (!engine_.execute([data] { data->start(); })) return fail(stopped());
  TARN_CHECK(wait(data->done()));
  if (!data->outcome()) return fail(give_up(data->outcome().error()));
  return std::move(data->received());
}

}  // namespace tarn::mpi
