#include "http/request_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/limits.hpp"

namespace tarn::http {

namespace {

constexpr std::size_t kInputBytesMin = 4 * limits::KiB;
constexpr std::size_t kChunksBytes = 64 * limits::KiB;

}  // namespace

RequestReader::RequestReader(Transport& transport) : transport_(transport), input_(kInputBytesMin) {}

/// What followed a chunked body is input again.
void RequestReader::recover_input() {
  const std::size_t left = chunks_end_ - chunks_position_;
  if (left > 0) {
    if (input_.size() < left) input_.resize(left);
    std::memcpy(input_.data(), chunks_.data() + chunks_position_, left);
    position_ = 0;
    end_ = left;
  }
  chunks_ = {};
  chunks_position_ = chunks_end_ = 0;
}

void RequestReader::make_room() {
  if (position_ > 0) {
    std::memmove(input_.data(), input_.data() + position_, end_ - position_);
    end_ -= position_;
    position_ = 0;
  }
  if (end_ == input_.size()) input_.resize(std::min(2 * input_.size(), limits::kHttpHeaderBytesMax + kInputBytesMin));
}

Task<HeadRead> RequestReader::read_head(RequestHead& head) {
  parser_.reset();
  if (!chunks_.empty()) recover_input();
  if (position_ == end_) position_ = end_ = 0;
  bool begun = false;
  while (true) {
    while (!begun && position_ < end_ && (input_[position_] == '\r' || input_[position_] == '\n')) ++position_;  // RFC 9112, 2.2
    if (position_ < end_) {
      const auto state = parser_.parse_head({input_.data() + position_, end_ - position_}, head);
      if (state == ParseState::failed) co_return HeadRead::failed;
      if (state == ParseState::complete) {
        position_ += parser_.head_bytes();
        transport_.never_expire();
        decoder_ = {};
        body_left_ = head.chunked ? UINT64_MAX : head.content_length.value_or(0);
        co_return HeadRead::complete;
      }
    }
    idle_ = position_ == end_;
    if (idle_ || !begun) transport_.expire_in(idle_ ? limits::kHttpIdleTimeout : limits::kHttpHeaderTimeout);
    begun = !idle_;
    if (position_ > 0 || end_ == input_.size()) make_room();
    const std::size_t size = co_await transport_.read_some({input_.data() + end_, input_.size() - end_});
    if (size == 0) {
      const bool interrupted = transport_.take_interrupt() && !transport_.is_cut();
      if (interrupted && !begun) co_return HeadRead::moving;
      if (interrupted) continue;
      co_return begun&& transport_.expired() ? HeadRead::late : HeadRead::closed;
    }
    end_ += size;
    idle_ = false;
  }
}

Task<BodyRead> RequestReader::read_body(std::span<std::byte> target) {
  if (body_left_ == UINT64_MAX) co_return co_await read_chunks(target);
  BodyRead result;
  while (result.size_bytes < target.size() && body_left_ > 0) {
    const auto room = target.subspan(result.size_bytes, std::min<std::uint64_t>(target.size() - result.size_bytes, body_left_));
    std::size_t size = std::min(room.size(), end_ - position_);
    if (size > 0) {
      std::memcpy(room.data(), input_.data() + position_, size);
      position_ += size;
    } else {
      transport_.expire_in(limits::kHttpIdleTimeout);
      size = co_await transport_.read_some({reinterpret_cast<char*>(room.data()), room.size()});
      transport_.never_expire();
      if (size == 0) {
        result.end = BodyRead::End::cut;
        co_return result;
      }
    }
    result.size_bytes += size;
    body_left_ -= size;
  }
  if (body_left_ == 0) result.end = BodyRead::End::complete;
  co_return result;
}

Task<BodyRead> RequestReader::read_chunks(std::span<std::byte> target) {
  using Outcome = ChunkDecoder::Outcome;
  BodyRead result;
  if (chunks_.empty()) {
    chunks_.resize(std::max(kChunksBytes, end_ - position_));
    chunks_end_ = end_ - position_;
    std::memcpy(chunks_.data(), input_.data() + position_, chunks_end_);
    position_ = end_;
  }
  while (true) {
    const auto step = decoder_.decode({chunks_.data() + chunks_position_, chunks_end_ - chunks_position_}, target.subspan(result.size_bytes));
    chunks_position_ += step.consumed;
    result.size_bytes += step.produced;
    if (step.outcome == Outcome::complete) {
      body_left_ = 0;
      result.end = BodyRead::End::complete;
      co_return result;
    }
    if (step.outcome != Outcome::more) {
      const bool too_long = step.outcome == Outcome::too_long;
      body_failure_ = {too_long ? 413 : 400, too_long ? "the body is larger than 5 TiB" : "the chunked body is malformed"};
      result.end = BodyRead::End::malformed;
      co_return result;
    }
    if (chunks_position_ < chunks_end_) co_return result;  // the target is full
    chunks_position_ = chunks_end_ = 0;
    transport_.expire_in(limits::kHttpIdleTimeout);
    chunks_end_ = co_await transport_.read_some(chunks_);
    transport_.never_expire();
    if (chunks_end_ == 0) {
      result.end = BodyRead::End::cut;
      co_return result;
    }
  }
}

Task<bool> RequestReader::skip_body(std::size_t size_bytes_max) {
  std::array<std::byte, 4 * limits::KiB> dropped;  // NOLINT: not read
  for (std::size_t total = 0; body_left_ > 0;) {
    const BodyRead piece = co_await read_body(dropped);
    total += piece.size_bytes;
    if (piece.end == BodyRead::End::complete) break;
    if (piece.end != BodyRead::End::more || total > size_bytes_max) co_return false;
  }
  co_return true;
}

}  // namespace tarn::http
