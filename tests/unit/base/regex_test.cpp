// regex_test.cpp - regular expressions as `grep -E` has them.
#include "base/regex.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace tarn;
using base::Regex;

TEST_CASE("Regex: matches parts, or all with anchors; bytes without an end mark", "[base]") {
  const auto odd = Regex::compile("^n[0-9]+/.*[13579]$").value();
  CHECK(odd.matches("n01/a3"));
  CHECK_FALSE(odd.matches("n01/a4"));
  CHECK_FALSE(odd.matches("xn01/a3"));
  CHECK(odd.matches(std::string_view("n01/a345").substr(0, 6)));
  CHECK(Regex::compile("b|c").value().matches("abc"));
  CHECK(Regex::compile("").value().matches(""));
  CHECK(Regex::compile("^$").value().matches(""));
}

TEST_CASE("Regex: a text of a million bytes does not overflow the stack", "[base]") {
  const std::string text(1 << 20, 'a');
  CHECK(Regex::compile("^(a|b)*$").value().matches(text));
  CHECK_FALSE(Regex::compile("^(a|b)*c$").value().matches(text));
}

TEST_CASE("Regex: what is wrong is named", "[base]") {
  for (const char* const pattern : {"a(b", "[a", "a{2", "*)"}) {
    const auto wrong = Regex::compile(pattern);
    INFO(pattern);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().message.find(pattern) != std::string::npos);
  }
  CHECK_FALSE(Regex::compile(std::string("a\0b", 3)));
}
