// peer_reader.hpp - ObjectReaders for objects of other ranks: over a session, over a neighbour's files, in memory.
// Level 6 (mpi). One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/hash.hpp"
#include "mpi/peer_client.hpp"
#include "object/object_service.hpp"
#include "object/verified_extents.hpp"

namespace tarn::mpi {

/// Follows reads of an object from its start to its end and checks the checksum at the end.
class SequentialCheck {
 public:
  /// `bytes` have just been read at `offset`. @errors corrupt: they were the last, and the whole is wrong.
  [[nodiscard]] Result<void> add(const ObjectName& name, const ObjectInfo& info, RankId rank, std::uint64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] bool passed() const noexcept { return passed_; }

 private:
  base::ChecksumStream stream_;
  std::uint64_t next_ = 0;
  bool passed_ = false;
};

class PeerReader final : public object::ObjectReader {
 public:
  /// Ends the session when it is destroyed.
  PeerReader(PeerClient& client, RankId rank, std::uint64_t session, ObjectName name, ObjectInfo info)
      : client_(client), rank_(rank), session_(session), name_(std::move(name)), info_(std::move(info)) {}
  ~PeerReader() override { client_.end(rank_, session_, Op::close); }

  [[nodiscard]] const ObjectInfo& info() const noexcept override { return info_; }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> target) override;
  [[nodiscard]] std::vector<object::FileExtent> extents() const override { return {}; }
  [[nodiscard]] bool verified() const noexcept override { return check_.passed(); }

 private:
  PeerClient& client_;
  const RankId rank_;
  const std::uint64_t session_;
  const ObjectName name_;
  const ObjectInfo info_;
  SequentialCheck check_;
};

/// An object in volumes of a neighbour on this node, which this process has opened. Whatever it gives is verified.
class NeighbourReader final : public object::ObjectReader {
 public:
  /// @param verified  these bytes have been checked before.
  /// @param passed    called once when a whole read has checked them.
  NeighbourReader(RankId rank, ObjectName name, ObjectInfo info, std::vector<object::FileExtent> extents, bool verified, std::function<void()> passed)
      : rank_(rank),
        name_(std::move(name)),
        info_(std::move(info)),
        blocks_(name_, std::move(extents)),
        verified_(verified),
        passed_(std::move(passed)) {}

  [[nodiscard]] const ObjectInfo& info() const noexcept override { return info_; }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> target) override;
  [[nodiscard]] std::vector<object::FileExtent> extents() const override { return blocks_.extents(); }
  [[nodiscard]] bool verified() const noexcept override { return verified_; }

 private:
  /// What has no block hashes is verified as a whole before a part of it is given out, as the owner does.
  [[nodiscard]] Result<void> verify_whole();
  [[nodiscard]] Result<void> read_all(std::span<std::byte> target);
  [[nodiscard]] Result<void> read_part(std::uint64_t offset, std::span<std::byte> target);
  void pass();

  const RankId rank_;
  const ObjectName name_;
  const ObjectInfo info_;
  object::VerifiedExtents blocks_;
  bool verified_;
  std::function<void()> passed_;
  SequentialCheck check_;
  std::vector<std::byte> small_;  // all of an object without block hashes
};

/// A small object that came with the answer, checked.
class MemoryReader final : public object::ObjectReader {
 public:
  MemoryReader(ObjectInfo info, std::vector<std::byte> bytes) : info_(std::move(info)), bytes_(std::move(bytes)) {}

  [[nodiscard]] const ObjectInfo& info() const noexcept override { return info_; }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> target) override;
  [[nodiscard]] std::vector<object::FileExtent> extents() const override { return {}; }
  [[nodiscard]] bool verified() const noexcept override { return true; }

 private:
  const ObjectInfo info_;
  const std::vector<std::byte> bytes_;
};

}  // namespace tarn::mpi
