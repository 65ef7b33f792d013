// Chunked bodies: in pieces of every size, with room for few bytes, malformed, damaged.
#include "http/chunk_decoder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "base/limits.hpp"

using namespace tarn;
using namespace tarn::http;
using Outcome = ChunkDecoder::Outcome;

namespace {

struct Decoded {
  Outcome outcome = Outcome::more;
  std::string body;
  std::size_t consumed = 0;
};

/// Feeds `text` in pieces, with room for `room` bytes at a time.
Decoded decode(const std::string& text, std::size_t piece = SIZE_MAX, std::size_t room = 1000) {
  ChunkDecoder decoder;
  Decoded result;
  std::vector<std::byte> target(room);
  std::size_t end = 0;
  while (true) {
    const auto step = decoder.decode(std::string_view(text).substr(result.consumed, end - result.consumed), target);
    result.consumed += step.consumed;
    result.body.append(reinterpret_cast<const char*>(target.data()), step.produced);
    result.outcome = step.outcome;
    if (step.outcome != Outcome::more) return result;
    if (result.consumed < end) continue;
    if (end == text.size()) return result;
    end += std::min(text.size() - end, piece);
  }
}

}  // namespace

TEST_CASE("ChunkDecoder: pieces of every size", "[http][chunks]") {
  const std::string text = "5\r\nhello\r\n1;name=value\r\n \r\n00B;a;b=\"c\"\r\nsmall world\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    for (const std::size_t room : {1, 2, 7, 1000}) {
      const auto decoded = decode(text, piece, room);
      REQUIRE(decoded.outcome == Outcome::complete);
      REQUIRE(decoded.body == "hello small world");
    }
  }
  CHECK(decode("0\r\n\r\n").outcome == Outcome::complete);
  for (std::size_t size = 0; size < text.size(); ++size) CHECK(decode(text.substr(0, size)).outcome == Outcome::more);
}

TEST_CASE("ChunkDecoder: what follows the body is not consumed", "[http][chunks]") {
  const std::string text = "1\r\nx\r\n0\r\n\r\n";
  const auto decoded = decode(text + "GET / HTTP/1.1\r\n");
  CHECK(decoded.outcome == Outcome::complete);
  CHECK(decoded.consumed == text.size());
}

TEST_CASE("ChunkDecoder: malformed chunks are refused", "[http][chunks]") {
  const std::string text =
      GENERATE(values<std::string>({"5\r\nhelloX\r\n0\r\n\r\n", "-1\r\n", "+1\r\nx\r\n", "0x5\r\nhello\r\n", "g\r\n", "5 \r\nhello\r\n",
                                    "5\nhello\n0\n\n", ";\r\n", "\r\n\r\n", "5\r\nhello0\r\n\r\n", "0\r\n\n", "0\r\nTrailer: x\n\r\n",
                                    "5;a\nb\r\nhello\r\n", "0000000000000005\r\nhello\r\n", "5\r\rhello\r\n0\r\n\r\n"}));
  CAPTURE(text);
  CHECK(decode(text).outcome == Outcome::malformed);
  CHECK(decode(text, 1).outcome == Outcome::malformed);
}

TEST_CASE("ChunkDecoder: bounds", "[http][chunks]") {
  CHECK(decode("50000000001\r\n").outcome == Outcome::too_long);  // 5 TiB and a byte
  CHECK(decode("50000000000\r\n").outcome == Outcome::more);
  CHECK(decode("1;" + std::string(limits::kHttpHeaderBytesMax + 1, 'x')).outcome == Outcome::malformed);
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "1;" + std::string(64, 'x') + "\r\na\r\n";
  CHECK(decode(many).outcome == Outcome::malformed);
}

TEST_CASE("ChunkDecoder: random damage never does more than fail", "[http][chunks]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = "5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n";
    for (int i = 0; i < 3; ++i) text[random() % text.size()] = static_cast<char>(random());
    const auto decoded = decode(text, 1 + random() % 20, 1 + random() % 10);
    REQUIRE(decoded.consumed <= text.size());
    REQUIRE(decoded.body.size() <= text.size());
  }
}
