#include "placement/map_json.hpp"

#include <string>

#include <catch2/catch.hpp>

using namespace tarn;
using namespace tarn::placement;

namespace {

StoreMap example() {
  StoreMap map;
  map.store_id = *base::Uuid::parse("01234567-89ab-4cde-8f01-23456789abcd");
  map.epoch = 7;
  map.ranks = {{0, "nid001", "node-a", "http://10.0.0.1:41001"}, {1, "nid002", "node-b", ""}};
  for (const char* id : {"10000000-0000-4000-8000-000000000000", "20000000-0000-4000-8000-000000000000"}) {
    Disk disk;
    disk.id = *base::Uuid::parse(id);
    disk.weight = (1ULL << 60) + 1;  // beyond what a double holds
    disk.rank = map.disks.empty() ? 1 : 0;
    disk.index = 3;
    disk.directory = "/scratch/\"quoted\" ünï";
    map.disks.push_back(disk);
  }
  return map;
}

}  // namespace

TEST_CASE("map_from_json: gives back what map_to_json wrote, through text", "[placement]") {
  const StoreMap map = example();
  const auto json = base::parse_json(base::pretty_json(map_to_json(map)), "the map");
  REQUIRE(json);
  const auto back = map_from_json(*json);
  REQUIRE(back);
  CHECK(*back == map);
}

TEST_CASE("map_from_json: what is missing or wrong is named", "[placement]") {
  const auto check = [](base::Json json, const std::string& word) {
    const auto map = map_from_json(json);
    REQUIRE(!map);
    CHECK(map.error().code == ErrorCode::invalid);
    CHECK_THAT(map.error().message, Catch::Contains(word));
  };
  const base::Json good = map_to_json(example());
  REQUIRE(map_from_json(good));
  check(base::Json(3), "store");
  for (const char* name : {"store", "epoch", "ranks", "disks"}) {
    base::Json json = good;
    json.as_object().erase(name);
    check(json, name);
  }
  base::Json json = good;
  json.at("disks").at(0).as_object()["weight"] = 0;
  check(json, "weight");
  json = good;
  json.at("disks").at(0).as_object()["rank"] = 2;
  check(json, "no rank");
  json = good;
  json.at("ranks").at(1).as_object()["rank"] = 0;
  check(json, "ranks");
  json = good;
  json.at("disks").as_array().push_back(good.at("disks").at(0));
  check(json, "order");
}
