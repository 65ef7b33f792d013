// Heads of requests: what is read, what is refused, in pieces of every size.
#include "http/message.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <string>
#include <vector>

#include "base/limits.hpp"

using namespace tarn;
using namespace tarn::http;

namespace {

struct Parsed {
  ParseState state = ParseState::need_more;
  RequestHead head;
  ParseFailure failure;
};

/// The views in the result point into `text`.
Parsed parse(const std::string& text) {
  MessageParser parser;
  Parsed result;
  result.state = parser.parse_head(text, result.head);
  result.failure = parser.failure();
  return result;
}

std::string request(const std::string& fields) {
  return "PUT /b/k HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}

}  // namespace

TEST_CASE("MessageParser: a plain GET", "[http][message]") {
  const std::string text = "GET /bucket/key?a=b HTTP/1.1\r\nHost: localhost:1\r\nUser-Agent: curl/8\r\nX-Empty:\r\n\r\n";
  const auto [state, head, failure] = parse(text);
  REQUIRE(state == ParseState::complete);
  CHECK(head.method == Method::get);
  CHECK(head.method_text == "GET");
  CHECK(head.target == "/bucket/key?a=b");
  CHECK(head.minor_version == 1);
  CHECK(head.keep_alive);
  CHECK_FALSE(head.has_body());
  CHECK(head.find("user-AGENT") == std::string_view("curl/8"));
  CHECK(head.find("x-empty") == std::string_view(""));
  CHECK_FALSE(head.find("Range").has_value());
}

TEST_CASE("MessageParser: keep-alive by version and Connection", "[http][message]") {
  CHECK(parse("GET / HTTP/1.1\r\nHost: h\r\n\r\n").head.keep_alive);
  CHECK_FALSE(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").head.keep_alive);
  CHECK_FALSE(parse("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  CHECK(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").head.keep_alive);
}

TEST_CASE("MessageParser: bodies and expectations", "[http][message]") {
  const auto length = parse(request("Content-Length: 5497558138880\r\nExpect: 100-continue\r\n"));
  REQUIRE(length.state == ParseState::complete);
  CHECK(length.head.content_length == 5ULL * limits::TiB);
  CHECK(length.head.expect_continue);
  CHECK(parse(request("Content-Length: 5497558138881\r\n")).failure.status == 413);
  const auto chunked = parse(request("Transfer-Encoding: Chunked\r\n"));
  REQUIRE(chunked.state == ParseState::complete);
  CHECK(chunked.head.chunked);
  CHECK_FALSE(chunked.head.content_length.has_value());
  const auto old = parse("PUT /b/k HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
  REQUIRE(old.state == ParseState::complete);
  CHECK_FALSE(old.head.expect_continue);
  CHECK(parse(request("Expect: a-miracle\r\n")).failure.status == 417);
}

TEST_CASE("MessageParser: ambiguous and malformed requests are refused", "[http][message]") {
  const std::string text = GENERATE(values<std::string>({
      request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
      request("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
      request("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"),
      request("Content-Length: 5\r\nContent-Length: 5\r\n"),
      request("Content-Length: 5\r\nContent-Length: 6\r\n"),
      request("Content-Length: 5, 5\r\n"),
      request("Content-Length: -1\r\n"),
      request("Content-Length: +5\r\n"),
      request("Content-Length: 0x5\r\n"),
      request("Content-Length:\r\n"),
      request("Content-Length: 18446744073709551616\r\n"),
      request("Transfer-Encoding: gzip, chunked\r\n"),
      request("Transfer-Encoding: chunked, identity\r\n"),
      request("Transfer-Encoding: xchunked\r\n"),
      request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
      request("Transfer-Encoding : chunked\r\n"),
      request("X-Folded: a\r\n b\r\n"),
      request(" X-Leading: a\r\n"),
      request("NoColon\r\n"),
      request("Host: other\r\n"),
      std::string("PUT /b/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
      std::string("GET / HTTP/1.1\r\n\r\n"),
      std::string("GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
      std::string("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
      std::string("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"),
      std::string("GET /\r\n\r\n"),
      std::string("GET / HTTP/1.1\nHost: h\n\n"),
      std::string("GET / HTTP/1.1\r\nHost: h\n\r\n"),
      std::string("\x16\x03\x01\x02", 4),
      std::string("get / HTTP/1.1\r\nHost: h\r\n\r\n"),
  }));
  CAPTURE(text);
  const auto parsed = parse(text);
  CHECK(parsed.state == ParseState::failed);
  CHECK((parsed.failure.status == 400 || parsed.failure.status == 505));
  CHECK_FALSE(parsed.failure.message.empty());
}

TEST_CASE("MessageParser: a NUL or CR in a field is refused", "[http][message]") {
  using namespace std::string_literals;
  CHECK(parse(request("X-Bad: a\0b\r\n"s)).state == ParseState::failed);
  CHECK(parse(request("X-Bad: a\rb\r\n")).state == ParseState::failed);
}

TEST_CASE("MessageParser: heads are bounded", "[http][message]") {
  const std::string long_field = request("X-Long: " + std::string(limits::kHttpHeaderBytesMax, 'a') + "\r\n");
  CHECK(parse(long_field).failure.status == 431);
  CHECK(parse(long_field.substr(0, limits::kHttpHeaderBytesMax - 1)).state == ParseState::need_more);
  CHECK(parse(long_field.substr(0, limits::kHttpHeaderBytesMax)).failure.status == 431);
  std::string many;
  for (std::size_t i = 0; i < limits::kHttpHeaderFieldsMax; ++i) many += "a: b\r\n";
  CHECK(parse(request(many)).failure.status == 431);
}

TEST_CASE("MessageParser: a head in pieces of one byte, then the next one", "[http][message]") {
  const std::string text = "GET /one HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n\r\n";
  MessageParser parser;
  for (int round = 0; round < 2; ++round) {
    RequestHead head;
    for (std::size_t size = 0; size < text.size(); ++size) REQUIRE(parser.parse_head(std::string(text, 0, size), head) == ParseState::need_more);
    const std::string moved = text + "rest";
    REQUIRE(parser.parse_head(moved, head) == ParseState::complete);
    CHECK(parser.head_bytes() == text.size());
    CHECK(head.target == "/one");
    CHECK(head.find("Range") == std::string_view("bytes=0-1"));
    parser.reset();
  }
}

TEST_CASE("MessageParser: random bytes and random damage never do more than fail", "[http][message]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::string good = "PUT /b/k%20?x=y HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\nx-amz-meta-a: b\r\n\r\nabc";
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i) text[random() % text.size()] = static_cast<char>(random());
    if (random() % 4 == 0) text.resize(random() % text.size());
    const auto parsed = parse(text);
    if (parsed.state != ParseState::complete) continue;
    CHECK_FALSE((parsed.head.chunked && parsed.head.content_length.has_value()));
    for (const auto& field : parsed.head.fields) CHECK(field.value.find('\n') == std::string_view::npos);
  }
}
