// chunk_decoder.hpp - the chunked transfer coding (RFC 9112, 7.1), byte by byte where it frames, in blocks where it carries.
// Level 5 (http). Pure; one thread. Strict: Beast's parser lets text behind the last chunk's size pass, in which a
// front server may have seen another request.
//
//   size --ext--> extension --\r--> size_lf --\n--> data --> data_cr --> data_lf --> size       of a chunk that is not empty
//      '---------\r----------------^       '--\n, size 0--> trailer_start --\r--> end_lf --\n--> done
//                                              trailer_line <--'  '--any--> trailer_line --\r--> trailer_lf --\n--> trailer_start
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tarn::http {

class ChunkDecoder {
 public:
  enum class Outcome : std::uint8_t { more, complete, malformed, too_long };
  struct Step {
    Outcome outcome = Outcome::more;
    std::size_t consumed = 0;  ///< of `bytes`
    std::size_t produced = 0;  ///< in `target`
  };
  /// Stops at the body's end, when `bytes` are used up, or when `target` is full and data comes next.
  [[nodiscard]] Step decode(std::string_view bytes, std::span<std::byte> target) noexcept;

 private:
  enum class State : std::uint8_t { size, extension, size_lf, data, data_cr, data_lf, trailer_start, trailer_line, trailer_lf, end_lf, done };
  bool frame(char c) noexcept;
  bool size_digit(char c) noexcept;

  State state_ = State::size;
  std::uint64_t left_ = 0;    // of this chunk
  std::uint64_t total_ = 0;   // of all chunks so far, this one included
  unsigned digits_ = 0;       // of the size
  std::size_t overhead_ = 0;  // bytes of extensions and trailers so far
};

}  // namespace tarn::http
