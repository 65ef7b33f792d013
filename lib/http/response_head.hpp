// response_head.hpp - the head of a response, built in one string that is reused.
// Level 5 (http). One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tarn::http {

/// "200 OK", "404 Not Found", ...: what stands behind "HTTP/1.1 ".
[[nodiscard]] std::string_view status_line(int status) noexcept;

/// The Date field's value, made once a second.
class DateCache {
 public:
  [[nodiscard]] std::string_view now();

 private:
  std::int64_t second_ = -1;
  std::string text_;
};

class ResponseHead {
 public:
  /// Status line, Server and Date.
  void begin(int status, DateCache& date);
  /// Control characters in a value become spaces: nobody's metadata can end a field.
  ResponseHead& add(std::string_view name, std::string_view value);
  ResponseHead& add(std::string_view name, std::uint64_t value);
  /// The Connection field, where the version's default is another, and the empty line.
  void finish(bool keep_alive, int minor_version);

  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  int status_ = 0;
  std::string text_;
};

/// Whether a text can be the value of a header field as it is: no control characters.
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;
/// Whether a text can be the name of a header field (RFC 9110: a token).
[[nodiscard]] bool is_field_name(std::string_view text) noexcept;

}  // namespace tarn::http
