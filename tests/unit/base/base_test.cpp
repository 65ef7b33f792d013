#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include <cerrno>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/json.hpp"
#include "base/metrics.hpp"
#include "base/uuid.hpp"
#include "support/temporary_directory.hpp"

using namespace tarn;
using namespace tarn::base;

namespace {
std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
}  // namespace

TEST_CASE("xxh3_128: golden values of the xxHash project, whole and in pieces", "[base]") {
  CHECK(to_hex(xxh3_128({})) == "99aa06d3014798d86001c324468d497f");  // `xxhsum -H2` of nothing
  const std::string text(10'000, 'x');
  ChecksumStream stream;
  for (std::size_t at = 0; at < text.size(); at += 333) stream.update(bytes_of(std::string_view(text).substr(at, 333)));
  CHECK(stream.digest() == xxh3_128(bytes_of(text)));
  CHECK(*checksum_from_hex(to_hex(stream.digest())) == stream.digest());
  CHECK(!checksum_from_hex("abc"));
}

TEST_CASE("Uuid: text form there and back; random ones differ", "[base]") {
  const Uuid a = Uuid::random();
  CHECK(a != Uuid::random());
  CHECK(*Uuid::parse(a.to_string()) == a);
  CHECK(!Uuid::parse("not-a-uuid"));
  CHECK(!Uuid::parse(a.to_string() + "0"));
}

TEST_CASE("Decoder: what Encoder wrote comes back; a short record fails once and for all", "[base]") {
  Encoder encoder;
  encoder.u8(7).u16(300).u32(70'000).u64(1ULL << 40).i64(-5).text("key").blob(bytes_of("data"));
  Decoder decoder(encoder.bytes());
  CHECK(decoder.u8() == 7);
  CHECK(decoder.u16() == 300);
  CHECK(decoder.u32() == 70'000);
  CHECK(decoder.u64() == 1ULL << 40);
  CHECK(decoder.i64() == -5);
  CHECK(decoder.text() == "key");
  CHECK(decoder.blob().size() == 4);
  CHECK(decoder.complete());
  for (std::size_t cut = 0; cut < encoder.size(); ++cut) {
    Decoder torn(encoder.bytes().first(cut));
    (void)torn.u8(), (void)torn.u16(), (void)torn.u32(), (void)torn.u64(), (void)torn.i64(), (void)torn.text(), (void)torn.blob();
    CHECK(torn.failed());
  }
}

TEST_CASE("File: vectored writes land in order; reads past the end are short", "[base]") {
  tests::TemporaryDirectory directory;
  auto& fs = posix_file_system();
  auto file = fs.open(directory.file("f"), OpenMode::create_new);
  REQUIRE(file);
  std::vector<std::span<const std::byte>> pieces;
  std::string expected;
  for (int i = 0; i < 40; ++i) {  // more than one iovec batch, with empty pieces between
    pieces.push_back(bytes_of("abc"));
    pieces.push_back({});
    expected += "abc";
  }
  REQUIRE((*file)->write_at(2, pieces));
  std::string got(500, '?');
  const auto count = (*file)->read_at(2, std::as_writable_bytes(std::span(got.data(), got.size())));
  REQUIRE(count);
  got.resize(*count);
  CHECK(got == expected);
  CHECK(!fs.open(directory.file("f"), OpenMode::create_new));
  const auto missing = fs.open(directory.file("none"), OpenMode::read);
  REQUIRE(!missing);
  CHECK(missing.error().code == ErrorCode::not_found);
  CHECK(missing.error().message.find("none") != std::string::npos);
}

TEST_CASE("write_text_file: replaces whole files", "[base]") {
  tests::TemporaryDirectory directory;
  auto& fs = posix_file_system();
  REQUIRE(write_text_file(fs, directory.file("t"), "a longer text"));
  REQUIRE(write_text_file(fs, directory.file("t"), "short"));
  CHECK(*read_text_file(fs, directory.file("t")) == "short");
  CHECK(fs.list(directory.path())->size() == 1);
}

TEST_CASE("write_text_file: a secret is readable by its owner alone, whatever lay under the temporary name", "[base]") {
  tests::TemporaryDirectory directory;
  auto& fs = posix_file_system();
  const std::string temporary = directory.file("secret.tmp" + std::to_string(::getpid()));
  {
    const auto planted = fs.open(temporary, OpenMode::create, 0666);
    REQUIRE(planted);
    REQUIRE(::fchmod((*planted)->descriptor(), 0666) == 0);
  }
  REQUIRE(write_text_file(fs, directory.file("secret"), "token", 0600));
  struct stat status {};
  REQUIRE(::stat(directory.file("secret").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  REQUIRE(::symlink(directory.file("elsewhere").c_str(), temporary.c_str()) == 0);
  REQUIRE(write_text_file(fs, directory.file("secret"), "token 2", 0600));
  CHECK(!*fs.exists(directory.file("elsewhere")));
  CHECK(!write_text_file(fs, directory.path(), "over a directory", 0600));
  CHECK(!*fs.exists(directory.path() + ".tmp" + std::to_string(::getpid())));
  CHECK(fs.list(directory.path())->size() == 1);
}

TEST_CASE("error table: each code has its row and its name comes back", "[base]") {
  for (int i = 0; i <= static_cast<int>(ErrorCode::internal); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    CHECK(error_row(code).code == code);
    CHECK(error_code_of(to_string(code)) == code);
    CHECK(error_row(code).exit_code != 0);
    CHECK(error_row(code).http_status >= 400);
  }
}

TEST_CASE("errno_error: too many open files is busy, with what to do", "[base]") {
  const Error error = errno_error(EMFILE, "open", "/scratch/x");
  CHECK(error.code == ErrorCode::busy);
  CHECK(error.message.find("/scratch/x") != std::string::npos);
  CHECK(error.message.find("ulimit -n") != std::string::npos);
  CHECK(errno_error(ENFILE, "open", "x").code == ErrorCode::busy);
  CHECK(errno_error(EIO, "write", "x").code == ErrorCode::io);
}

TEST_CASE("pretty_json: always UTF-8, so that it can be read back", "[base]") {
  const std::string text = pretty_json(JsonObject{{"directory", "/scratch/\xff\x01"}});
  const auto parsed = parse_json(text, "text");
  REQUIRE(parsed);
  CHECK(json_string(*parsed, "directory") == "/scratch/\xef\xbf\xbd\x01");
}

TEST_CASE("parse_json: says where the text is wrong", "[base]") {
  const auto good = parse_json(R"({"a":1,"b":"x","c":true})", "spec");
  REQUIRE(good);
  CHECK(*json_u64(*good, "a") == 1);
  CHECK(*json_string(*good, "b") == "x");
  CHECK(*json_bool(*good, "c"));
  CHECK(!json_u64(*good, "b"));
  for (const char* text : {"", "{", "{} x", "[1,]", "{\"a\":}"}) {
    INFO(text);
    const auto bad = parse_json(text, "spec");
    REQUIRE(!bad);
    CHECK(bad.error().message.find("spec") != std::string::npos);
  }
  CHECK(*parse_json(pretty_json(*good), "again") == *good);
}

TEST_CASE("Metrics: text form with labels", "[base]") {
  Metrics metrics;
  metrics.counter("tarn_test_total", "help", {{"op", "get"}}).add(2);
  metrics.counter("tarn_test_total", "help", {{"op", "get"}}).add();
  CHECK(metrics.text().find("tarn_test_total{op=\"get\"} 3") != std::string::npos);
}
