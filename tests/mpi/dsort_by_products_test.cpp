// dsort_by_products_test.cpp - indices for DALI, manifest and class counts: the same at any number of ranks, published with the shards or not at all.
#include <catch2/catch.hpp>

#include "base/hash.hpp"
#include "base/json.hpp"
#include "dsort_fixture.hpp"
#include "failing_file_system.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

DsortSpec with_by_products() {
  DsortSpec spec = shuffle_spec();
  spec.index = true;
  spec.manifest = true;
  spec.class_extension = "cls";
  return spec;
}

/// Labels 0 to 4; the first sample of each shard has none, another a label that is none.
Objects input_with_labels() {
  std::mt19937 random(41);
  Objects result;
  for (int s = 0; s < 6; ++s) {
    std::string archive;
    for (int i = 0; i < 50; ++i) {
      const std::string key = "s" + std::to_string(s) + "/" + std::to_string(i);
      append_member(archive, key + ".jpg", noise(random, random() % 4000));
      if (i == 1) append_member(archive, key + ".CLS", std::string(200, 'x'));
      if (i > 1) append_member(archive, key + ".cls", std::to_string(i % 5) + "\n");
    }
    result["in-" + std::to_string(s) + ".tar"] = archive;
  }
  return result;
}

}  // namespace

TEST_CASE("dsort: by-products are the same at any number of ranks, and describe the shards", "[dsort]") {
  const Objects input = input_with_labels();
  Objects first;
  for (const int ranks : {1, 2, 3, 5, 8}) {
    INFO("ranks " << ranks);
    DsortWorld world(ranks, 1 + ranks % 2);
    world.put_all("input", input);
    const auto report = world.dsort(with_by_products());
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    CHECK(report->classes == std::map<std::string, std::uint64_t>{{"(other)", 12}, {"0", 54}, {"1", 54}, {"2", 60}, {"3", 60}, {"4", 60}});
    const Objects output = world.objects("output");
    if (first.empty()) first = output;
    CHECK(output == first);
    CHECK(output.size() == 2 * report->shards + 1);
    CHECK(world.temporary_files() == 0);
  }
  const auto manifest = base::parse_json(first.at("train-manifest.json"), "manifest").value().as_object();
  CHECK(manifest.at("tarn_manifest").as_int64() == 1);
  std::uint64_t samples = 0;
  for (const auto& shard : manifest.at("shards").as_array()) {
    const std::string name(shard.at("name").as_string());
    const std::string& bytes = first.at(name);
    CHECK(shard.at("bytes").as_int64() == static_cast<std::int64_t>(bytes.size()));
    CHECK(shard.at("xxh3").as_string() == base::to_hex(base::xxh3_128(std::as_bytes(std::span(bytes)))));
    CHECK(shard.at("samples").as_int64() == static_cast<std::int64_t>(keys_of(bytes).size()));
    samples += keys_of(bytes).size();
    const std::string& index = first.at(name.substr(0, name.size() - 4) + ".idx");
    CHECK(index.starts_with("v1.2 " + std::to_string(keys_of(bytes).size()) + "\n"));
  }
  CHECK(manifest.at("totals").at("samples").as_int64() == static_cast<std::int64_t>(samples));
  CHECK(manifest.at("classes").at("cls").at("2").as_int64() == 60);
}

TEST_CASE("dsort: by-products need their names, and what a format can hold", "[dsort]") {
  DsortWorld world(3);
  world.put_all("input", input_with_labels());
  const DsortSpec spec = with_by_products();
  world.create_bucket("output");
  for (const char* const taken : {"train-0003.idx", "train-manifest.json"}) {
    world.put("output", taken, "mine");
    check_refused(world, spec, ErrorCode::exists, taken);
    CHECK(world.objects("output").size() == 1);
    for (auto& store : world.stores) (void)store->remove(0, {"output", taken});
  }
  world.put("output", "train-x.idx", "not a name of ours");
  DsortSpec packed = spec;
  packed.output_template = "train-%04d.tar.gz";
  check_refused(world, packed, ErrorCode::invalid, "packed");
  std::string archive;
  append_member(archive, "a b.jpg", "1");
  world.put("input", "zz.tar", archive);
  check_refused(world, spec, ErrorCode::invalid, "'a b.jpg' has white space in its name");
  CHECK(world.objects("output").size() == 1);
  packed.index = false;
  const auto report = world.dsort(packed);
  REQUIRE(report);
  const Objects output = world.objects("output");
  const auto manifest = base::parse_json(output.at("train-manifest.json"), "manifest").value();
  const auto& shard = manifest.at("shards").as_array().at(0);
  const std::string& bytes = output.at("train-0000.tar.gz");
  CHECK(shard.at("bytes").as_int64() == static_cast<std::int64_t>(bytes.size()));
  CHECK(shard.at("xxh3").as_string() == base::to_hex(base::xxh3_128(std::as_bytes(std::span(bytes)))));
}

TEST_CASE("dsort: by-products that cannot be written take the shards with them", "[dsort]") {
  int failed = 0;
  for (int good_calls = 0; good_calls < 60; good_calls += 3) {
    INFO("good calls " << good_calls);
    FailingFileSystem files;
    DsortWorld world(3, 1, &files);
    world.put_all("input", input_with_labels());
    files.writes_left = good_calls;
    const auto report = world.dsort(with_by_products());
    files.writes_left = INT64_MAX;
    if (report) continue;
    ++failed;
    CHECK(report.error().code == ErrorCode::no_space);
    CHECK(world.objects("output").empty());
    CHECK(world.temporary_files() == 0);
    REQUIRE(world.dsort(with_by_products()));
  }
  CHECK(failed > 3);
}
