#include "http/chunk_decoder.hpp"

#include <algorithm>
#include <cstring>

#include "base/limits.hpp"

namespace tarn::http {

namespace {

constexpr unsigned kSizeDigitsMax = 15;                                 // no overflow; far beyond an object's size
constexpr std::size_t kOverheadBytesMax = limits::kHttpHeaderBytesMax;  // of extensions and trailers, of all chunks

bool is_text(char c) noexcept {
  return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

}  // namespace

/// A digit of the size, or what ends it. @return false: malformed.
bool ChunkDecoder::size_digit(char c) noexcept {
  const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  if (value >= 0) {
    left_ = left_ * 16 + static_cast<std::uint64_t>(value);
    return ++digits_ <= kSizeDigitsMax;
  }
  if (digits_ == 0 || (c != ';' && c != '\r')) return false;
  state_ = c == ';' ? State::extension : State::size_lf;
  return true;
}

/// One byte that is not data. @return false: malformed.
bool ChunkDecoder::frame(char c) noexcept {
  const auto expect = [&](char wanted, State next) {
    state_ = next;
    return c == wanted;
  };
  switch (state_) {
    case State::size:
      return size_digit(c);
    case State::extension:
      if (c == '\r') return expect('\r', State::size_lf);
      return is_text(c) && ++overhead_ <= kOverheadBytesMax;
    case State::size_lf:
      digits_ = 0;
      total_ += left_;
      return expect('\n', left_ == 0 ? State::trailer_start : State::data);
    case State::data_cr:
      return expect('\r', State::data_lf);
    case State::data_lf:
      return expect('\n', State::size);
    case State::trailer_start:
      if (c == '\r') return expect('\r', State::end_lf);
      state_ = State::trailer_line;
      return is_text(c) && ++overhead_ <= kOverheadBytesMax;
    case State::trailer_line:
      if (c == '\r') return expect('\r', State::trailer_lf);
      return is_text(c) && ++overhead_ <= kOverheadBytesMax;
    case State::trailer_lf:
      return expect('\n', State::trailer_start);
    case State::end_lf:
      return expect('\n', State::done);
    case State::data:
    case State::done:
      break;
  }
  return false;
}

ChunkDecoder::Step ChunkDecoder::decode(std::string_view bytes, std::span<std::byte> target) noexcept {
  Step step;
  while (state_ != State::done && step.consumed < bytes.size()) {
    if (state_ == State::data) {
      const auto size = static_cast<std::size_t>(
          std::min({left_, static_cast<std::uint64_t>(target.size() - step.produced), static_cast<std::uint64_t>(bytes.size() - step.consumed)}));
      if (size == 0) return step;
      std::memcpy(target.data() + step.produced, bytes.data() + step.consumed, size);
      step.consumed += size;
      step.produced += size;
      left_ -= size;
      if (left_ == 0) state_ = State::data_cr;
      continue;
    }
    if (!frame(bytes[step.consumed++])) {
      step.outcome = Outcome::malformed;
      return step;
    }
    if (total_ > limits::kObjectBytesMax) {
      step.outcome = Outcome::too_long;
      return step;
    }
  }
  if (state_ == State::done) step.outcome = Outcome::complete;
  return step;
}

}  // namespace tarn::http
