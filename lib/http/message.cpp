#include "http/message.hpp"

#include <boost/beast/http/basic_parser.hpp>

#include <algorithm>

#include "base/limits.hpp"

namespace tarn::http {

namespace beast = boost::beast;

namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

std::string_view view(beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

Method method_of(beast::http::verb verb) noexcept {
  switch (verb) {
    case beast::http::verb::get:
      return Method::get;
    case beast::http::verb::head:
      return Method::head;
    case beast::http::verb::put:
      return Method::put;
    case beast::http::verb::post:
      return Method::post;
    case beast::http::verb::delete_:
      return Method::remove;
    case beast::http::verb::options:
      return Method::options;
    default:
      return Method::other;
  }
}

/// Beast's parser, told to put its findings into a RequestHead. It sees heads only.
class HeadParser final : public beast::http::basic_parser<true> {
 public:
  HeadParser() {
    header_limit(static_cast<std::uint32_t>(limits::kHttpHeaderBytesMax));
    body_limit(limits::kObjectBytesMax);
  }

  RequestHead* head = nullptr;
  std::string_view input;  // the head's bytes
  bool folded = false;

 private:
  using Code = beast::error_code;
  using Text = beast::string_view;

  void on_request_impl(beast::http::verb method, Text method_text, Text request_target, int version, Code&) override {
    head->method = method_of(method);
    head->method_text = view(method_text);
    head->target = view(request_target);
    head->minor_version = version - 10;
  }
  void on_response_impl(int, Text, int, Code&) override {}
  void on_field_impl(beast::http::field, Text name, Text value, Code&) override {
    // A folded value was put together elsewhere, in memory that does not last.
    if (!value.empty() && (value.data() < input.data() || value.data() + value.size() > input.data() + input.size())) folded = true;
    head->fields.push_back({view(name), view(value)});
  }
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(Text, Code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text, Code&) override { return 0; }
  void on_finish_impl(Code&) override {}
};

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

std::optional<std::string_view> RequestHead::find(std::string_view name) const noexcept {
  for (const auto& field : fields)
    if (equal_ignoring_case(field.name, name)) return field.value;
  return std::nullopt;
}

/// Cannot be reset, so it is made anew, in place.
struct MessageParser::Impl {
  std::optional<HeadParser> parser;
};

MessageParser::MessageParser() : impl_(std::make_unique<Impl>()) {
  reset();
}

MessageParser::~MessageParser() = default;

void MessageParser::reset() {
  impl_->parser.emplace();
  failure_ = {};
  scanned_ = 0;
  head_bytes_ = 0;
}

ParseState MessageParser::fail(int status, std::string_view message) {
  failure_ = {status, message};
  return ParseState::failed;
}

/// Walks the lines that have not been seen yet. @return whether the empty one was found, or failure_ is set.
bool MessageParser::end_of_head(std::string_view bytes) {
  while (scanned_ < bytes.size()) {
    const auto newline = bytes.find('\n', scanned_);
    if (newline == std::string_view::npos) {
      scanned_ = bytes.size();
      return false;
    }
    if (newline == 0 || bytes[newline - 1] != '\r') {
      fail(400, "a line of the request's head does not end with CR LF");
      return true;
    }
    scanned_ = newline + 1;
    if (newline >= 3 && bytes[newline - 2] == '\n') {
      head_bytes_ = newline + 1;
      return true;
    }
  }
  return false;
}

ParseState MessageParser::parse_head(std::string_view bytes, RequestHead& head) {
  if (!bytes.empty() && !(bytes[0] >= 'A' && bytes[0] <= 'Z')) return fail(400, "this is not an HTTP request");
  if (!end_of_head(bytes)) {
    if (bytes.size() >= limits::kHttpHeaderBytesMax) return fail(431, "the request's head is longer than 64 KiB");
    return ParseState::need_more;
  }
  if (!failure_.message.empty()) return ParseState::failed;
  if (head_bytes_ > limits::kHttpHeaderBytesMax) return fail(431, "the request's head is longer than 64 KiB");
  head.fields.clear();
  auto& parser = *impl_->parser;
  parser.head = &head;
  parser.input = bytes.substr(0, head_bytes_);
  beast::error_code error;
  const std::size_t used = parser.put(boost::asio::const_buffer(bytes.data(), head_bytes_), error);
  if (error == beast::http::error::bad_content_length || error == beast::http::error::multiple_content_length ||
      error == beast::http::error::bad_transfer_encoding)
    return fail(400, "Content-Length or Transfer-Encoding is malformed, or both are there");
  if (error == beast::http::error::body_limit) return fail(413, "the body is larger than 5 TiB");
  if (error || used != head_bytes_ || !parser.is_header_done()) return fail(400, "the request's head is malformed");
  return check(head);
}

/// What Beast lets pass and we do not; then the meaning of the fields that shape the message.
ParseState MessageParser::check(RequestHead& head) {
  const auto& parser = *impl_->parser;
  if (parser.folded) return fail(400, "a header field is folded over several lines");
  if (head.fields.size() > limits::kHttpHeaderFieldsMax) return fail(431, "the request has more than 200 header fields");
  if (head.minor_version != 0 && head.minor_version != 1) return fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  int lengths = 0, codings = 0, hosts = 0;
  std::string_view coding, expect, length;
  for (const auto& [name, value] : head.fields) {
    if (equal_ignoring_case(name, "Content-Length")) {
      ++lengths;
      length = value;
    } else if (equal_ignoring_case(name, "Transfer-Encoding")) {
      ++codings;
      coding = value;
    } else if (equal_ignoring_case(name, "Host")) {
      ++hosts;
    } else if (equal_ignoring_case(name, "Expect")) {
      expect = value;
    }
  }
  if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0))
    return fail(400, "Content-Length and Transfer-Encoding may stand once, and one of them only");
  if (codings == 1 && (head.minor_version == 0 || !equal_ignoring_case(coding, "chunked")))
    return fail(400, "the only Transfer-Encoding is 'chunked', in HTTP/1.1");
  if (hosts > 1 || (hosts == 0 && head.minor_version == 1)) return fail(400, "a request of HTTP/1.1 names its Host, once");
  head.chunked = parser.chunked();
  if (head.chunked != (codings == 1)) return fail(400, "Transfer-Encoding is malformed");
  head.content_length.reset();
  if (lengths == 1) {
    const bool digits = !length.empty() && std::all_of(length.begin(), length.end(), [](char c) { return c >= '0' && c <= '9'; });
    const auto parsed = parser.content_length();
    if (!digits || !parsed) return fail(400, "Content-Length is malformed");
    head.content_length = *parsed;
  }
  head.keep_alive = parser.keep_alive();
  head.expect_continue = false;
  if (!expect.empty()) {
    if (!equal_ignoring_case(expect, "100-continue")) return fail(417, "the only expectation met here is '100-continue'");
    head.expect_continue = head.minor_version == 1;  // RFC 9110, 10.1.1: ignored in HTTP/1.0
  }
  return ParseState::complete;
}

}  // namespace tarn::http
