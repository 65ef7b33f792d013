// Buckets with durability `sync`.
#include <catch2/catch.hpp>

#include <filesystem>
#include <string>

#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

Durability durability_of(const LocalStore& store, const std::string& bucket) {
  for (const auto& info : store.buckets())
    if (info.name == bucket) return info.durability;
  FAIL("no bucket " << bucket);
  return Durability::none;
}

}  // namespace

TEST_CASE("LocalStore.create_bucket: the durability stays, over a reopening and a lost index", "[object][durability]") {
  const TemporaryDirectory directory;
  {
    const auto store = open_bare_store({directory.file("a")});
    REQUIRE(store->create_bucket("plain", 5));
    REQUIRE(store->create_bucket("safe", 6, {Durability::sync}));
    CHECK(durability_of(*store, "plain") == Durability::none);
    CHECK(durability_of(*store, "safe") == Durability::sync);
  }
  if (GENERATE(false, true)) std::filesystem::remove_all(directory.file("a") + "/index");
  const auto store = open_bare_store({directory.file("a")});
  CHECK(durability_of(*store, "plain") == Durability::none);
  CHECK(store->buckets() == std::vector<BucketInfo>{{"plain", 5, Durability::none}, {"safe", 6, Durability::sync}});
  REQUIRE(store->remove_bucket("safe"));
  REQUIRE(store->create_bucket("safe", 7));
  CHECK(durability_of(*store, "safe") == Durability::none);
}

TEST_CASE("LocalStore: a disk that does not know that a bucket is `sync` learns it from another", "[object][durability]") {
  const TemporaryDirectory directory;
  {
    const auto store = open_bare_store({directory.file("a")});
    REQUIRE(store->create_bucket("safe", 6, {Durability::sync}));
  }
  SECTION("a disk of the same rank") {
    {
      const auto other = open_bare_store({directory.file("b")});
      if (GENERATE(false, true)) REQUIRE(other->create_bucket("safe", 6));
    }
    CHECK(durability_of(*open_bare_store({directory.file("b"), directory.file("a")}), "safe") == Durability::sync);
  }
  SECTION("of another rank") {
    const auto other = open_bare_store({directory.file("b")});
    if (GENERATE(false, true)) REQUIRE(other->create_bucket("safe", 6));
    REQUIRE(other->adopt_bucket({"safe", 6, Durability::sync}));
    CHECK(durability_of(*other, "safe") == Durability::sync);
    REQUIRE(other->adopt_bucket({"safe", 6, Durability::none}));
    CHECK(durability_of(*other, "safe") == Durability::sync);
  }
  CHECK(durability_of(*open_bare_store({directory.file("b")}), "safe") == Durability::sync);
}
