// request_reader.hpp - one connection's bytes as a sequence of requests: heads, then bodies in pieces.
// Level 5 (http). Belongs to its worker's thread.
//
//   read_head --complete--> [read_body ...]* --> read_head        what is left of a body must be skipped before
//        '--closed/failed: the connection ends
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "http/asio.hpp"
#include "http/chunk_decoder.hpp"
#include "http/message.hpp"
#include "http/transport.hpp"

namespace tarn::http {

enum class HeadRead : std::uint8_t {
  complete,
  closed,  ///< by the peer between requests, or the connection broke
  late,    ///< the head did not arrive in time
  moving,  ///< the transport was interrupted before a head began: nothing is lost if another reader goes on
  failed,  ///< failure() says why
};

struct BodyRead {
  enum class End : std::uint8_t {
    more,
    complete,   ///< the bytes given are the last
    malformed,  ///< body_failure() says why
    cut,        ///< the connection ended before the body did
  };
  std::size_t size_bytes = 0;
  End end = End::more;
};

class RequestReader {
 public:
  explicit RequestReader(Transport& transport);

  /// Views in `head` are valid until the next read_head().
  Task<HeadRead> read_head(RequestHead& head);
  /// Fills `target`, less only at the body's end.
  Task<BodyRead> read_body(std::span<std::byte> target);
  /// Reads and drops the rest of a body of at most `size_bytes_max`. @return whether the next request can be read.
  Task<bool> skip_body(std::size_t size_bytes_max);

  /// Bytes of body that have not been read; UINT64_MAX: chunked, so it is not known.
  [[nodiscard]] std::uint64_t body_left() const noexcept { return body_left_; }
  /// Whether bytes behind the request have been received: what came together with the end of a chunked body counts too.
  [[nodiscard]] bool has_input() const noexcept { return position_ < end_ || chunks_position_ < chunks_end_; }
  [[nodiscard]] bool idle() const noexcept { return idle_; }
  [[nodiscard]] const ParseFailure& failure() const noexcept { return parser_.failure(); }
  [[nodiscard]] const ParseFailure& body_failure() const noexcept { return body_failure_; }

 private:
  void recover_input();
  void make_room();
  Task<BodyRead> read_chunks(std::span<std::byte> target);

  Transport& transport_;
  MessageParser parser_;
  ChunkDecoder decoder_;
  ParseFailure body_failure_;
  std::vector<char> input_;  // [position_, end_) has been received and not been used; the head lies before
  std::size_t position_ = 0;
  std::size_t end_ = 0;
  std::vector<char> chunks_;  // the same for chunked bodies, which are longer than what they bring
  std::size_t chunks_position_ = 0;
  std::size_t chunks_end_ = 0;
  std::uint64_t body_left_ = 0;
  bool idle_ = true;
};

}  // namespace tarn::http
