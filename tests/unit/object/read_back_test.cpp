// read_back_test.cpp - bodies read back before they are committed.
#include <catch2/catch.hpp>

#include <string>

#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

TEST_CASE("writers: what was written can be read back before it is committed, and is not visible yet", "[object]") {
  const TemporaryDirectory directory;
  const auto store = open_bare_store({directory.file("a")});
  REQUIRE(store->create_bucket("bucket", 1));
  for (const std::size_t size : {0UL, 10UL, 64UL << 10, 65UL << 10, 1UL << 20, 3'000'001UL}) {
    INFO(size);
    const std::string body = noise(size, 5);
    auto writer = store->create(0, {"bucket", "k" + std::to_string(size)}, {}, size);
    REQUIRE(writer);
    REQUIRE((*writer)->write(bytes_of(body)));
    REQUIRE((*writer)->prepare());
    std::string back(size + 1000, '?');
    std::size_t at = 0;
    while (at < back.size()) {
      const auto got =
          (*writer)->read_back(at, std::as_writable_bytes(std::span(back).subspan(at, std::min<std::size_t>(700'000, back.size() - at))));
      REQUIRE(got);
      if (*got == 0) break;
      at += *got;
    }
    CHECK(back.substr(0, at) == body);
    CHECK(get(*store, "k" + std::to_string(size)) == "error: not_found");
    REQUIRE((*writer)->commit());
    CHECK(get(*store, "k" + std::to_string(size)) == body);
  }
}
