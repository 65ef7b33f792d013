#include "mpi/peer_writer.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace tarn::mpi {

PeerWriter::PeerWriter(PeerClient& client, RankId rank, std::uint64_t session, std::uint32_t credit)
    : client_(client), rank_(rank), session_(session), credit_(credit) {}

PeerWriter::~PeerWriter() {
  if (!ended_) client_.end(rank_, session_, Op::put_abort);
}

Result<void> PeerWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (error_) return fail(*error_);
    if (pending_.empty() && bytes.size() >= limits::kPeerTransferBytes) {  // straight from the caller's memory
      TARN_CHECK(send_piece(bytes.first(limits::kPeerTransferBytes)));
      bytes = bytes.subspan(limits::kPeerTransferBytes);
      continue;
    }
    const auto part = bytes.first(std::min(bytes.size(), limits::kPeerTransferBytes - pending_.size()));
    pending_.insert(pending_.end(), part.begin(), part.end());
    bytes = bytes.subspan(part.size());
    if (pending_.size() == limits::kPeerTransferBytes) {
      TARN_CHECK(send_piece(pending_));
      pending_.clear();
    }
  }
  return {};
}

Result<void> PeerWriter::send_piece(std::span<const std::byte> bytes) {
  while (under_way_.size() >= credit_) TARN_CHECK(wait_for_oldest());
  base::Encoder message = session_message();
  message.u64(next_piece_++);
  under_way_.push_back(client_.caller().start(rank_, Op::put_piece, std::move(message), bytes));
  return {};
}

Result<void> PeerWriter::wait_for_oldest() {
  auto outcome = client_.caller().finish(*under_way_.front());
  under_way_.pop_front();
  if (!outcome && !error_) error_ = outcome.error();
  return outcome;
}

Result<void> PeerWriter::drain() {
  if (error_) return fail(*error_);
  if (!pending_.empty()) TARN_CHECK(send_piece(pending_));
  pending_ = {};
  while (!under_way_.empty()) TARN_CHECK(wait_for_oldest());
  return {};
}

base::Encoder PeerWriter::session_message() const {
  base::Encoder message = begin_message();
  message.u64(session_);
  return message;
}

Result<void> PeerWriter::prepare() {
  TARN_CHECK(drain());
  TARN_CHECK(client_.caller().call(rank_, Op::put_prepare, session_message()));
  return {};
}

Result<std::size_t> PeerWriter::read_back(std::uint64_t offset, std::span<std::byte> target) {
  std::size_t total = 0;
  while (total < target.size()) {
    const auto part = target.subspan(total, std::min(target.size() - total, limits::kPeerTransferBytes));
    base::Encoder message = session_message();
    message.u64(offset + total).u64(part.size());
    TARN_TRY(const auto call, client_.caller().call(rank_, Op::put_read_back, std::move(message), {}, part));
    total += call->data_bytes();
    if (call->data_bytes() < part.size()) break;
  }
  return total;
}

Result<ObjectInfo> PeerWriter::commit_as(const object::CopyTerms& terms) {
  TARN_CHECK(drain());
  base::Encoder message = session_message();
  encode(message, terms);
  TARN_TRY(const auto call, client_.caller().call(rank_, Op::put_commit, std::move(message)));
  ended_ = true;
  client_.forget(rank_, session_);
  base::Decoder decoder(call->body());
  auto info = decode_info(decoder);
  if (!decoder.complete()) return fail(malformed("an object's description"));
  return info;
}

}  // namespace tarn::mpi
