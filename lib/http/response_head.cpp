#include "http/response_head.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <ctime>

#include "base/text.hpp"

namespace tarn::http {

namespace {

bool is_control(char c) noexcept {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

std::string_view status_line(int status) noexcept {
  switch (status) {
    case 200:
      return "200 OK";
    case 204:
      return "204 No Content";
    case 206:
      return "206 Partial Content";
    case 304:
      return "304 Not Modified";
    case 307:
      return "307 Temporary Redirect";
    case 400:
      return "400 Bad Request";
    case 401:
      return "401 Unauthorized";
    case 403:
      return "403 Forbidden";
    case 404:
      return "404 Not Found";
    case 405:
      return "405 Method Not Allowed";
    case 408:
      return "408 Request Timeout";
    case 409:
      return "409 Conflict";
    case 411:
      return "411 Length Required";
    case 412:
      return "412 Precondition Failed";
    case 413:
      return "413 Content Too Large";
    case 416:
      return "416 Range Not Satisfiable";
    case 417:
      return "417 Expectation Failed";
    case 431:
      return "431 Request Header Fields Too Large";
    case 500:
      return "500 Internal Server Error";
    case 501:
      return "501 Not Implemented";
    case 503:
      return "503 Service Unavailable";
    case 505:
      return "505 HTTP Version Not Supported";
    case 507:
      return "507 Insufficient Storage";
    default:
      return status < 500 ? "400 Bad Request" : "500 Internal Server Error";
  }
}

std::string_view DateCache::now() {
  std::timespec time{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
  if (time.tv_sec != second_) {
    second_ = time.tv_sec;
    text_ = base::format_http_time(second_ * 1'000'000'000);
  }
  return text_;
}

void ResponseHead::begin(int status, DateCache& date) {
  status_ = status;
  text_.assign("HTTP/1.1 ").append(status_line(status)).append("\r\nServer: tarn\r\nDate: ").append(date.now()).append("\r\n");
}

ResponseHead& ResponseHead::add(std::string_view name, std::string_view value) {
  text_.append(name).append(": ");
  const auto start = static_cast<std::ptrdiff_t>(text_.size());
  text_.append(value);
  std::replace_if(text_.begin() + start, text_.end(), is_control, ' ');
  text_.append("\r\n");
  return *this;
}

ResponseHead& ResponseHead::add(std::string_view name, std::uint64_t value) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  text_.append(name).append(": ").append(digits.data(), end).append("\r\n");
  return *this;
}

void ResponseHead::finish(bool keep_alive, int minor_version) {
  if (!keep_alive) {
    text_.append("Connection: close\r\n");
  } else if (minor_version == 0) {
    text_.append("Connection: keep-alive\r\n");
  }
  text_.append("\r\n");
}

bool is_field_value(std::string_view text) noexcept {
  return std::none_of(text.begin(), text.end(), is_control);
}

bool is_field_name(std::string_view text) noexcept {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || kMarks.find(c) != std::string_view::npos;
  });
}

}  // namespace tarn::http
