// Ranges and conditional requests.
#include "http/conditions.hpp"

#include <catch2/catch.hpp>

#include <string>

#include "base/text.hpp"

using namespace tarn;
using namespace tarn::http;

namespace {

constexpr std::string_view kTag = "\"x3-00112233445566778899aabbccddeeff\"";
constexpr std::int64_t kModifiedNs = 1'700'000'000'500'000'000;

RequestHead with(std::string_view name, std::string_view value) {
  RequestHead head;
  head.fields.push_back({name, value});
  return head;
}

void check_part(std::string_view field, std::uint64_t size, std::uint64_t first, std::uint64_t length) {
  CAPTURE(field, size);
  const auto range = resolve_range(field, size);
  CHECK(range.kind == RangeKind::part);
  CHECK(range.first == first);
  CHECK(range.length == length);
}

}  // namespace

TEST_CASE("resolve_range: single ranges", "[http][range]") {
  check_part("bytes=0-0", 10, 0, 1);
  check_part("bytes=0-9", 10, 0, 10);
  check_part("bytes=0-99", 10, 0, 10);
  check_part("bytes=3-", 10, 3, 7);
  check_part("bytes=9-", 10, 9, 1);
  check_part("bytes=-3", 10, 7, 3);
  check_part("bytes=-30", 10, 0, 10);
  check_part("Bytes= 2-4 ", 10, 2, 3);
  check_part("bytes=5-18446744073709551615", 10, 5, 5);
  check_part("bytes=5-99999999999999999999999", 10, 5, 5);
}

TEST_CASE("resolve_range: unsatisfiable", "[http][range]") {
  for (const std::string_view field : {"bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"}) {
    CAPTURE(field);
    CHECK(resolve_range(field, 10).kind == RangeKind::unsatisfiable);
  }
  CHECK(resolve_range("bytes=0-0", 0).kind == RangeKind::unsatisfiable);
  CHECK(resolve_range("bytes=-1", 0).kind == RangeKind::unsatisfiable);
}

TEST_CASE("resolve_range: what is no single range gives the whole object", "[http][range]") {
  for (const std::string_view field : {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=0-1,3-4", "items=0-1", "bytes=1",
                                       "bytes=--1", "bytes=0x1-2", "bytes=+1-2"}) {
    CAPTURE(field);
    CHECK(resolve_range(field, 10).kind == RangeKind::whole);
  }
}

TEST_CASE("evaluate_conditions: entity tags", "[http][conditions]") {
  const auto outcome = [](std::string_view name, std::string_view value) { return evaluate_conditions(with(name, value), kTag, kModifiedNs); };
  CHECK(outcome("X", "y") == Condition::go_on);
  CHECK(outcome("If-None-Match", kTag) == Condition::not_modified);
  CHECK(outcome("If-None-Match", "*") == Condition::not_modified);
  CHECK(outcome("If-None-Match", std::string("\"a\", W/") + std::string(kTag)) == Condition::not_modified);
  CHECK(outcome("If-None-Match", "\"a\"") == Condition::go_on);
  CHECK(outcome("If-Match", kTag) == Condition::go_on);
  CHECK(outcome("If-Match", "x3-00112233445566778899aabbccddeeff") == Condition::go_on);
  CHECK(outcome("If-Match", "*") == Condition::go_on);
  CHECK(outcome("If-Match", "\"a\"") == Condition::failed);
}

TEST_CASE("evaluate_conditions: times, to the second", "[http][conditions]") {
  const std::string same = base::format_http_time(kModifiedNs);
  const std::string before = base::format_http_time(kModifiedNs - 1'000'000'000);
  const std::string after = base::format_http_time(kModifiedNs + 1'000'000'000);
  const auto outcome = [](std::string_view name, std::string_view value) { return evaluate_conditions(with(name, value), kTag, kModifiedNs); };
  CHECK(outcome("If-Modified-Since", same) == Condition::not_modified);
  CHECK(outcome("If-Modified-Since", after) == Condition::not_modified);
  CHECK(outcome("If-Modified-Since", before) == Condition::go_on);
  CHECK(outcome("If-Modified-Since", "yesterday") == Condition::go_on);
  CHECK(outcome("If-Unmodified-Since", same) == Condition::go_on);
  CHECK(outcome("If-Unmodified-Since", before) == Condition::failed);
}

TEST_CASE("evaluate_conditions: a tag weighs more than a time", "[http][conditions]") {
  RequestHead head = with("If-None-Match", "\"other\"");
  const std::string same = base::format_http_time(kModifiedNs);
  head.fields.push_back({"If-Modified-Since", same});
  CHECK(evaluate_conditions(head, kTag, kModifiedNs) == Condition::go_on);
}

TEST_CASE("if_range_holds: by tag and by time", "[http][conditions]") {
  const std::string same = base::format_http_time(kModifiedNs);
  const std::string other = base::format_http_time(kModifiedNs + 5'000'000'000);
  CHECK(if_range_holds(RequestHead{}, kTag, kModifiedNs));
  CHECK(if_range_holds(with("If-Range", kTag), kTag, kModifiedNs));
  CHECK(if_range_holds(with("If-Range", same), kTag, kModifiedNs));
  CHECK_FALSE(if_range_holds(with("If-Range", "\"a\""), kTag, kModifiedNs));
  CHECK_FALSE(if_range_holds(with("If-Range", other), kTag, kModifiedNs));
}
