// Targets: decoding, parameters, what is refused.
#include "http/target.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace tarn;
using namespace tarn::http;

namespace {

Target parsed(const std::string& text) {
  Target target;
  const auto result = parse_target(text, target);
  INFO(text);
  REQUIRE(result.has_value());
  target.path = {};
  return target;
}

bool refused(const std::string& text) {
  Target target;
  const auto result = parse_target(text, target);
  return !result && result.error().code == ErrorCode::invalid;
}

}  // namespace

TEST_CASE("parse_target: bucket and key", "[http][target]") {
  CHECK(parsed("/").name == ObjectName{});
  CHECK(parsed("/bucket").name == ObjectName{"bucket", ""});
  CHECK(parsed("/bucket/").name == ObjectName{"bucket", ""});
  CHECK(parsed("/bucket/a/b//c/").name == ObjectName{"bucket", "a/b//c/"});
  CHECK(parsed("/bucket//a").name == ObjectName{"bucket", "/a"});
  CHECK(parsed("/bucket/../x").name == ObjectName{"bucket", "../x"});
  CHECK(parsed("http://host:80/bucket/a").name == ObjectName{"bucket", "a"});
  CHECK(parsed("http://host").name == ObjectName{});
}

TEST_CASE("parse_target: percent signs, plus and UTF-8", "[http][target]") {
  CHECK(parsed("/b/a%2Fb").name.key == "a/b");
  CHECK(parsed("/b/a%20b+c").name.key == "a b+c");
  CHECK(parsed("/b/%C3%A4").name.key == "\xc3\xa4");
  CHECK(parsed("/b/\xc3\xa4").name.key == "\xc3\xa4");
  CHECK(parsed("/b/100%25").name.key == "100%");
  CHECK(parsed("/b%2Fk").name == ObjectName{"b/k", ""});
}

TEST_CASE("parse_target: parameters", "[http][target]") {
  const auto target = parsed("/b?list-type=2&prefix=a%2Fb+c&acl&empty=&&x=1=2");
  CHECK(target.name.bucket == "b");
  REQUIRE(target.parameters.size() == 5);
  CHECK(*s3::find_parameter(target.parameters, "prefix") == "a/b c");
  CHECK(*s3::find_parameter(target.parameters, "acl") == "");
  CHECK(*s3::find_parameter(target.parameters, "x") == "1=2");
  CHECK(s3::find_parameter(target.parameters, "missing") == nullptr);
}

TEST_CASE("parse_target: what is no address is refused", "[http][target]") {
  for (const std::string text :
       {"", "*", "bucket/key", "/b/%", "/b/%2", "/b/%zz", "/b/%00", "/b/%ff", "/b/%c0%af", "/b/%ed%a0%80", "/b?a=%0", "/b?%00", "/%00/a"})
    CHECK(refused(text));
}

TEST_CASE("parse_target: a reused target forgets", "[http][target]") {
  Target target;
  REQUIRE(parse_target("/bucket/key?a=b", target));
  REQUIRE(parse_target("/", target));
  CHECK(target.name == ObjectName{});
  CHECK(target.parameters.empty());
}
