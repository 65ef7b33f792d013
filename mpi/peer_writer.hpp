// peer_writer.hpp - an object that is written piece by piece to the rank that will own it.
// Level 6 (mpi). One thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "mpi/peer_client.hpp"
#include "object/copy_terms.hpp"

namespace tarn::mpi {

/// Collects pieces of kPeerTransferBytes and has at most `credit` of them under way; write() waits for the
/// oldest when there are more. Destroyed without commit(), the owner drops what it has.
class PeerWriter final : public object::CopyWriter {
 public:
  PeerWriter(PeerClient& client, RankId rank, std::uint64_t session, std::uint32_t credit);
  ~PeerWriter() override;

  [[nodiscard]] Result<void> write(std::span<const std::byte> bytes) override;
  [[nodiscard]] Result<void> prepare() override;
  [[nodiscard]] Result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> target) override;
  [[nodiscard]] Result<ObjectInfo> commit_as(const object::CopyTerms& terms) override;

 private:
  [[nodiscard]] Result<void> send_piece(std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> wait_for_oldest();
  /// Sends what is left and waits for all answers.
  [[nodiscard]] Result<void> drain();
  [[nodiscard]] base::Encoder session_message() const;

  PeerClient& client_;
  const RankId rank_;
  const std::uint64_t session_;
  const std::uint32_t credit_;
  std::uint64_t next_piece_ = 0;
  std::vector<std::byte> pending_;  // less than a piece
  std::deque<std::shared_ptr<Call>> under_way_;
  std::optional<Error> error_;  // sticks
  bool ended_ = false;
};

}  // namespace tarn::mpi
