// message.hpp - the head of one HTTP/1.x request, from bytes (Boost.Beast's parser behind). Bodies: chunk_decoder.hpp.
// Level 5 (http). Pure; one thread. No allocation for a request without a body once the vectors have grown.
//
// Stricter than the parser alone, where two servers could read one text differently (RFC 9112, 11.2): bare LF, folded
// lines, more than one Content-Length, Transfer-Encoding together with Content-Length, of another coding than
// "chunked" or in HTTP/1.0, more than one Host, no Host in HTTP/1.1. All of these are 400.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace tarn::http {

enum class Method : std::uint8_t { get, head, put, post, remove, options, other };

struct HeaderField {
  std::string_view name;
  std::string_view value;
};

/// Views point into the bytes given to MessageParser::parse_head.
struct RequestHead {
  Method method = Method::other;
  std::string_view method_text;
  std::string_view target;
  int minor_version = 1;  ///< HTTP/1.0 or HTTP/1.1
  bool keep_alive = true;
  bool expect_continue = false;
  bool chunked = false;
  std::optional<std::uint64_t> content_length;
  std::vector<HeaderField> fields;

  /// Value of the first field of that name (any case); nullopt: none.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
  [[nodiscard]] bool has_body() const noexcept { return chunked || content_length.value_or(0) > 0; }
};

enum class ParseState : std::uint8_t { need_more, complete, failed };

/// Why a request cannot be read; the connection cannot go on after it.
struct ParseFailure {
  int status = 400;
  std::string_view message;
};

class MessageParser {
 public:
  MessageParser();
  ~MessageParser();
  MessageParser(const MessageParser&) = delete;
  MessageParser& operator=(const MessageParser&) = delete;

  /// @param bytes  from the request's first byte; after need_more the same ones and more, at any address.
  ParseState parse_head(std::string_view bytes, RequestHead& head);
  /// Length of the head with its empty line; after `complete`.
  [[nodiscard]] std::size_t head_bytes() const noexcept { return head_bytes_; }

  [[nodiscard]] const ParseFailure& failure() const noexcept { return failure_; }
  /// Ready for the next request.
  void reset();

 private:
  struct Impl;
  ParseState fail(int status, std::string_view message);
  bool end_of_head(std::string_view bytes);
  ParseState check(RequestHead& head);

  std::unique_ptr<Impl> impl_;
  ParseFailure failure_;
  std::size_t scanned_ = 0;  // no end of head before this
  std::size_t head_bytes_ = 0;
};

/// Whether a and b are the same but for the case of ASCII letters.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

}  // namespace tarn::http
