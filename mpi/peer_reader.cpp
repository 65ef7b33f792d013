#include "mpi/peer_reader.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "mpi/extents.hpp"

namespace tarn::mpi {

Result<void> SequentialCheck::add(const ObjectName& name, const ObjectInfo& info, RankId rank, std::uint64_t offset,
                                  std::span<const std::byte> bytes) {
  if (passed_) return {};
  if (offset == 0 && next_ != 0) {  // from the start again
    stream_.reset();
    next_ = 0;
  }
  if (offset != next_) return {};
  stream_.update(bytes);
  next_ += bytes.size();
  if (next_ != info.size_bytes) return {};
  TARN_CHECK(verify(name, info, stream_.digest(), rank));
  passed_ = true;
  return {};
}

Result<std::size_t> PeerReader::read(std::uint64_t offset, std::span<std::byte> target) {
  TARN_TRY(const std::size_t size, clip(info_, offset, target.size()));
  TARN_CHECK(client_.read_session(rank_, session_, offset, target.first(size)));
  TARN_CHECK(check_.add(name_, info_, rank_, offset, target.first(size)));
  return size;
}

Result<std::size_t> NeighbourReader::read(std::uint64_t offset, std::span<std::byte> target) {
  TARN_TRY(const std::size_t size, clip(info_, offset, target.size()));
  target = target.first(size);
  if (size == info_.size_bytes) {
    TARN_CHECK(read_all(target));
    return size;
  }
  TARN_CHECK(read_part(offset, target));
  if (verified_) return size;
  TARN_CHECK(check_.add(name_, info_, rank_, offset, target));
  if (check_.passed()) pass();
  return size;
}

Result<void> NeighbourReader::read_all(std::span<std::byte> target) {
  TARN_CHECK(read_extents(blocks_.extents(), 0, target));
  TARN_CHECK(verify(name_, info_, base::xxh3_128(target), rank_));
  if (!verified_) pass();
  return {};
}

/// As LocalReader does it.
Result<void> NeighbourReader::read_part(std::uint64_t offset, std::span<std::byte> target) {
  if (blocks_.verifiable()) return blocks_.read(offset, target);
  if (info_.size_bytes >= limits::kSoloObjectBytesMin) {
    if (!verified_) TARN_CHECK(verify_whole());
    return read_extents(blocks_.extents(), offset, target);
  }
  if (small_.empty()) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(info_.size_bytes));
    TARN_CHECK(read_all(bytes));
    small_ = std::move(bytes);
  }
  std::copy_n(small_.begin() + static_cast<std::ptrdiff_t>(offset), target.size(), target.begin());
  return {};
}

Result<void> NeighbourReader::verify_whole() {
  TARN_TRY(const auto checksum, object::checksum_of(blocks_.extents()));
  TARN_CHECK(verify(name_, info_, checksum, rank_));
  pass();
  return {};
}

void NeighbourReader::pass() {
  verified_ = true;
  passed_();
}

Result<std::size_t> MemoryReader::read(std::uint64_t offset, std::span<std::byte> target) {
  TARN_TRY(const std::size_t size, clip(info_, offset, target.size()));
  std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), size, target.begin());
  return size;
}

}  // namespace tarn::mpi
