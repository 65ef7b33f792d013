// content_key_test.cpp - content keys sort as the values do.
#include "plan/content_key.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "base/hash.hpp"
#include "base/md5.hpp"

using namespace tarn;
using namespace tarn::plan;

namespace {

DsortSpec spec_of(ContentType type, bool decreasing) {
  DsortSpec spec;
  spec.order = DsortOrder::content;
  spec.content_extension = "cls";
  spec.content_type = type;
  spec.decreasing = decreasing;
  return spec;
}

std::string key(const DsortSpec& spec, std::string_view value) {
  return content_key(spec, value).value().value();
}

/// Values that rise must have keys that rise, or fall when decreasing.
void check_rising(ContentType type, const std::vector<std::string>& values) {
  for (const bool decreasing : {false, true}) {
    const DsortSpec spec = spec_of(type, decreasing);
    for (std::size_t i = 0; i < values.size(); ++i)
      for (std::size_t j = 0; j < values.size(); ++j) {
        INFO(values[i] << " and " << values[j] << (decreasing ? ", decreasing" : ""));
        const int order = key(spec, values[i]).compare(key(spec, values[j]));
        CHECK((order < 0) == (decreasing ? i > j : i < j));
      }
  }
}

}  // namespace

TEST_CASE("content keys: whole numbers, numbers and texts sort by value, both ways", "[plan]") {
  check_rising(ContentType::integer, {"-9223372036854775808", "-10", "-9", "-1", "0", "1", "7", "10", "255", "256", "9223372036854775807"});
  check_rising(ContentType::real, {"-inf", "-1e300", "-2.5", "-1e-300", "0", "1e-300", "0.1", "1", "1.5", "3e5", "1e300", "inf"});
  check_rising(ContentType::text, {"", "A", "a", "a b", "aa", "ab", "abc", "b", "\x7f", "\xc3\xa9", "\xff", "\xff\xff"});
}

TEST_CASE("content keys: random numbers sort as numbers", "[plan]") {
  std::mt19937_64 random(1);
  std::vector<std::int64_t> values(500);
  for (auto& value : values) value = static_cast<std::int64_t>(random() >> random() % 60) * (random() % 2 == 0 ? 1 : -1);
  const DsortSpec spec = spec_of(ContentType::integer, false);
  std::vector<std::pair<std::string, std::int64_t>> keys;
  for (const auto value : values) keys.emplace_back(key(spec, std::to_string(value)), value);
  std::sort(keys.begin(), keys.end());
  CHECK(std::is_sorted(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.second < b.second; }));
}

TEST_CASE("content keys: white space and signs are no part of a value, -0 is 0, NaN comes last", "[plan]") {
  const DsortSpec whole = spec_of(ContentType::integer, false);
  CHECK(key(whole, " +5\r\n") == key(whole, "5"));
  CHECK(key(spec_of(ContentType::text, false), "\t a b \n") == key(spec_of(ContentType::text, false), "a b"));
  for (const bool decreasing : {false, true}) {
    const DsortSpec real = spec_of(ContentType::real, decreasing);
    CHECK(key(real, "-0") == key(real, "0"));
    for (const char* const number : {"-inf", "0", "inf"}) CHECK(key(real, number) < key(real, "nan"));
    CHECK(key(real, "nan") == key(real, "-nan"));
  }
}

TEST_CASE("content keys: what is no value is refused, with what it is", "[plan]") {
  for (const char* const text : {"", " ", "5x", "1.5", "0x10", "9223372036854775808", "++1", "+-1"}) {
    const auto refused = content_key(spec_of(ContentType::integer, false), text);
    INFO(text);
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, Catch::Contains("is not a whole number"));
  }
  for (const char* const text : {"", "1,5", "one"}) CHECK_FALSE(content_key(spec_of(ContentType::real, false), text));
  CHECK_FALSE(content_key(spec_of(ContentType::text, false), std::string_view("a\0b", 3)));
}

TEST_CASE("content keys: samples without the member come first, last, not at all, or are an error", "[plan]") {
  for (const auto type : {ContentType::integer, ContentType::text})
    for (const bool decreasing : {false, true}) {
      DsortSpec spec = spec_of(type, decreasing);
      REQUIRE_FALSE(content_key(spec, std::nullopt));
      CHECK_THAT(content_key(spec, std::nullopt).error().message, Catch::Contains("no member '.cls'"));
      spec.missing_content = MissingContent::first;
      const auto first = content_key(spec, std::nullopt).value().value();
      spec.missing_content = MissingContent::last;
      const auto last = content_key(spec, std::nullopt).value().value();
      for (const char* const number : {"-9223372036854775808", "0", "9223372036854775807"}) {
        CHECK(first < key(spec, number));
        CHECK(key(spec, number) < last);
      }
      spec.missing_content = MissingContent::drop;
      CHECK_FALSE(content_key(spec, std::nullopt).value());
    }
}

TEST_CASE("md5: the digests of RFC 1321", "[plan]") {
  const auto hex = [](std::string_view text) {
    Checksum digest = base::md5(text);
    return base::to_hex(digest);
  };
  CHECK(hex("") == "d41d8cd98f00b204e9800998ecf8427e");
  CHECK(hex("message digest") == "f96b697d7cb7938d525a2f31aaf161d0");
  CHECK(hex("abcdefghijklmnopqrstuvwxyz") == "c3fcd3d76192e4007dfb496cca67e13b");
}
