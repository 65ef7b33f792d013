#include "mpi/store_fetcher.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "mpi/buffer.hpp"

namespace tarn::mpi {

namespace {

/// One message's worth of extents of one rank.
struct Batch {
  RankId rank = 0;
  std::vector<WireExtent> extents;
  std::vector<std::byte*> targets;
  std::size_t size_bytes = 0;
  Buffer buffer;
  std::shared_ptr<Call> call;

  [[nodiscard]] bool one_piece() const noexcept { return extents.size() == 1; }
};

constexpr std::size_t kExtentsMax = 16'384;  // 28 bytes each in the message

/// Cuts requests, sorted by rank, into batches; takes from the front of `rest`.
Batch next_batch(std::vector<FetchRequest>& requests, std::size_t& at) {
  Batch batch;
  batch.rank = requests[at].rank;
  while (at < requests.size() && requests[at].rank == batch.rank && batch.extents.size() < kExtentsMax) {
    auto& request = requests[at];
    const std::uint64_t room = limits::kFetchBatchBytesMax - batch.size_bytes;
    const std::uint64_t part = std::min(request.length_bytes, room);
    if (part == 0 && request.length_bytes > 0) break;
    batch.extents.push_back({request.disk, request.volume, request.offset, part});
    batch.targets.push_back(request.target);
    batch.size_bytes += static_cast<std::size_t>(part);
    request.offset += part;
    request.length_bytes -= part;
    request.target += part;
    if (request.length_bytes == 0) ++at;
  }
  return batch;
}

void scatter(const Batch& batch) {
  const std::byte* from = batch.buffer.span().data();
  for (std::size_t i = 0; i < batch.extents.size(); ++i) {
    if (batch.extents[i].length_bytes > 0) std::memcpy(batch.targets[i], from, static_cast<std::size_t>(batch.extents[i].length_bytes));
    from += batch.extents[i].length_bytes;
  }
}

}  // namespace

Result<bool> StoreFetcher::read_here(const FetchRequest& request) {
  Result<std::shared_ptr<const base::File>> file;
  if (request.rank == rank_) {
    if (local_ == nullptr) return fail(ErrorCode::invalid, "this rank has no disks to fetch from", rank_);
    file = local_->volume_file(request.disk, request.volume);
    if (!file) return fail(file.error());
  } else {
    if (!neighbours_.reaches(request.rank)) return false;
    file = neighbours_.volume(request.rank, request.disk, request.volume);
    if (!file) return false;
  }
  TARN_TRY(const std::size_t got, (*file)->read_at(request.offset, std::span(request.target, static_cast<std::size_t>(request.length_bytes))));
  if (got != request.length_bytes)
    return fail(ErrorCode::out_of_range, "volume " + (*file)->path() + " ends before the extent that was asked for", request.rank);
  return true;
}

Result<void> StoreFetcher::fetch(std::span<const FetchRequest> requests) {
  std::vector<FetchRequest> remote;
  for (const auto& request : requests) {
    TARN_TRY(const bool done, read_here(request));
    if (!done) remote.push_back(request);
  }
  return remote.empty() ? Result<void>() : fetch_from_peers(remote);
}

Result<void> StoreFetcher::fetch_from_peers(std::span<const FetchRequest> requests) {
  std::vector<FetchRequest> sorted(requests.begin(), requests.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const FetchRequest& a, const FetchRequest& b) { return a.rank < b.rank; });
  std::deque<Batch> under_way;
  std::size_t at = 0;
  Result<void> outcome;
  while (at < sorted.size() || !under_way.empty()) {
    while (outcome && at < sorted.size() && under_way.size() < limits::kPeerTransfersInFlight) {
      Batch batch = next_batch(sorted, at);
      std::span<std::byte> target(batch.targets.front(), batch.size_bytes);
      if (!batch.one_piece()) {
        batch.buffer = Buffer(batch.size_bytes);
        target = batch.buffer.span();
      }
      batch.call = client_.start_fetch(batch.rank, batch.extents, target);
      under_way.push_back(std::move(batch));
    }
    // Also after an error every batch is finished: their targets are somebody's memory.
    if (under_way.empty()) break;
    Batch& batch = under_way.front();
    auto ended = client_.caller().finish(*batch.call);
    if (ended && batch.call->data_bytes() != batch.size_bytes) ended = fail(malformed("the length of a batch"));
    if (ended && !batch.one_piece()) scatter(batch);
    if (!ended && outcome) outcome = std::move(ended);
    under_way.pop_front();
  }
  return outcome;
}

}  // namespace tarn::mpi
