#include "base/text.hpp"

#include <catch2/catch.hpp>

using namespace tarn;
using namespace tarn::base;

TEST_CASE("parse_size: units of 1024 and of 1000, fractions, exact integers", "[base]") {
  CHECK(*parse_size("4096") == 4096);
  CHECK(*parse_size("64MiB") == 64ULL << 20);
  CHECK(*parse_size("16MB") == 16'000'000);
  CHECK(*parse_size("1.5 GiB") == 3ULL << 29);
  CHECK(*parse_size("9007199254740993") == 9007199254740993ULL);  // 2^53 + 1
  CHECK(*parse_size("2T") == 2'000'000'000'000ULL);
}

TEST_CASE("parse_size: nonsense is refused by name", "[base]") {
  for (const char* text : {"", "MiB", "-1", "12XB", "1e400", "0x10", "12 MiB extra", "99999999999TiB"}) {
    INFO(text);
    const auto result = parse_size(text);
    REQUIRE(!result);
    CHECK(result.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("format_size: powers of 1024", "[base]") {
  CHECK(format_size(0) == "0 B");
  CHECK(format_size(1023) == "1023 B");
  CHECK(format_size(1536) == "1.5 KiB");
  CHECK(format_size(64ULL << 20) == "64.0 MiB");
}

TEST_CASE("check_bucket_name: S3's rule, but for names of two letters", "[base]") {
  CHECK(check_bucket_name("raw"));
  CHECK(check_bucket_name("in"));
  CHECK(check_bucket_name("a.b-c3"));
  for (const char* name : {"", "a", "v1", "Upper", "under_score", "-dash", "dash-", ".dot", "sp ace", "a/b"}) {
    INFO(name);
    CHECK(!check_bucket_name(name));
  }
  CHECK(check_bucket_name(std::string(63, 'a')));
  CHECK(!check_bucket_name(std::string(64, 'a')));
}

TEST_CASE("check_key: length, NUL and UTF-8", "[base]") {
  CHECK(check_key("a//b"));
  CHECK(check_key(".."));
  CHECK(check_key("\xc3\xa4\xf0\x9f\x8f\x94"));
  CHECK(check_key(std::string(1024, 'k')));
  CHECK(!check_key(std::string(1025, 'k')));
  CHECK(!check_key(""));
  CHECK(!check_key(std::string("a\0b", 3)));
  for (const char* bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xc3"}) CHECK(!check_key(bad));
}

TEST_CASE("valid_utf8, valid_xml_text: what is not gets U+FFFD, the rest stays", "[base]") {
  CHECK(valid_utf8("") == "");
  CHECK(valid_utf8("k\xc3\xa9y \xf0\x9f\x8f\x94") == "k\xc3\xa9y \xf0\x9f\x8f\x94");
  CHECK(valid_utf8("a\xff\xc3") == "a\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(valid_utf8("\xed\xa0\x80z") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");  // a surrogate
  CHECK(valid_utf8(std::string_view("\x01\0", 2)) == std::string_view("\x01\0", 2));
  CHECK(valid_xml_text("tab\tline\n<&>") == "tab\tline\n<&>");
  CHECK(valid_xml_text("\x01\x1f\xef\xbf\xbf\xfe") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_CASE("percent coding: there and back, and malformed input refused", "[base]") {
  const std::string text = "a b/\xc3\xa4+%~";
  CHECK(percent_encode(text, true) == "a%20b/%C3%A4%2B%25~");
  CHECK(percent_encode("/", false) == "%2F");
  CHECK(*percent_decode(percent_encode(text, false)) == text);
  for (const char* bad : {"%", "%a", "%zz", "x%4"}) CHECK(!percent_decode(bad));
}

TEST_CASE("times: ISO 8601 and RFC 9110 forms", "[base]") {
  const std::int64_t time_ns = 1'769'862'896'789'000'000;
  CHECK(format_iso_time(time_ns) == "2026-01-31T12:34:56.789Z");
  CHECK(format_http_time(time_ns) == "Sat, 31 Jan 2026 12:34:56 GMT");
}

TEST_CASE("parse_http_time: gives back what format_http_time wrote; other forms are refused", "[base]") {
  for (const std::int64_t seconds : {0LL, 951'782'400LL, 1'769'862'896LL})
    CHECK(parse_http_time(format_http_time(seconds * 1'000'000'000)) == seconds * 1'000'000'000);
  for (const char* text : {"", "Sat, 31 Jan 2026 12:34:56", "Sat, 31 anF 2026 12:34:56 GMT", "Sat Jan 31 12:34:56 2026", "31 Jan 2026 12:34:56 GMT",
                           "Sat, 31 Jan 2026 12:34:56 GMT+1"})
    CHECK(!parse_http_time(text));
}
