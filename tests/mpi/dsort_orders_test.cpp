// dsort_orders_test.cpp - dsort by the MD5 of the key and by the value of a member.
#include <catch2/catch.hpp>

#include <algorithm>
#include <charconv>
#include <random>

#include "base/md5.hpp"
#include "dsort_fixture.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

struct Value {
  std::string key, label;  // no label: the sample has no .cls
};

/// Samples in shards and as loose objects; every value several times, some samples without one.
struct Labelled {
  Objects objects;
  std::vector<Value> values;
};

Labelled labelled(unsigned seed, const std::vector<std::string>& labels, int missing_every) {
  std::mt19937 random(seed);
  Labelled result;
  int number = 0;
  const auto next = [&](auto add) {
    Value value{"k" + std::to_string(random()) + "-" + std::to_string(number), labels[random() % labels.size()]};
    if (missing_every > 0 && ++number % missing_every == 0) value.label.clear();
    add(value.key + ".jpg", noise(random, random() % 2000));
    if (!value.label.empty()) add(value.key + (number % 2 == 0 ? ".cls" : ".CLS"), " " + value.label + "\n");
    result.values.push_back(value);
  };
  for (int s = 0; s < 6; ++s) {
    std::string archive;
    for (int i = 0; i < 40; ++i) next([&](const std::string& name, const std::string& data) { append_member(archive, name, data); });
    result.objects["in-" + std::to_string(s) + ".tar"] = archive;
  }
  for (int i = 0; i < 60; ++i) next([&](const std::string& name, const std::string& data) { result.objects["loose/" + name] = data; });
  for (auto value = result.values.end() - 60; value != result.values.end(); ++value) value->key.insert(0, "loose/");
  return result;
}

DsortSpec by_content(ContentType type) {
  DsortSpec spec = shuffle_spec();
  spec.shard_size_bytes = 60'000;
  spec.order = DsortOrder::content;
  spec.content_extension = "cls";
  spec.content_type = type;
  return spec;
}

/// The same shards at all numbers of ranks; the keys of all samples in order.
std::vector<std::string> sorted_keys(const Objects& input, const DsortSpec& spec, std::uint64_t missing) {
  Objects first;
  for (const int ranks : {1, 2, 3, 5, 8}) {
    INFO("ranks " << ranks);
    DsortWorld world(ranks);
    world.put_all("input", input);
    const auto report = world.dsort(spec);
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    CHECK(report->missing_content == missing);
    const Objects output = world.objects("output");
    if (first.empty()) first = output;
    CHECK(output == first);
  }
  return keys_of(first);
}

std::vector<std::string> keys_of_values(const std::vector<Value>& values) {
  std::vector<std::string> keys;
  for (const auto& value : values) keys.push_back(value.key);
  return keys;
}

}  // namespace

TEST_CASE("dsort: by the MD5 of the key, the same at any number of ranks", "[dsort]") {
  const Objects input = make_shards(31, 6, 50);
  DsortSpec spec = shuffle_spec();
  spec.order = DsortOrder::md5;
  const auto keys = sorted_keys(input, spec, 0);
  auto expected = keys_of(input);
  CHECK(keys.size() == 300);
  std::sort(expected.begin(), expected.end(), [](const auto& a, const auto& b) { return base::md5(a) < base::md5(b); });
  CHECK(keys == expected);
}

TEST_CASE("dsort: by whole numbers, up and down, equal ones by key", "[dsort]") {
  const Labelled data = labelled(32, {"-7", "0", "3", "12", "100"}, 0);
  DsortSpec spec = by_content(ContentType::integer);
  for (const bool decreasing : {false, true}) {
    spec.decreasing = decreasing;
    auto expected = data.values;
    std::sort(expected.begin(), expected.end(), [&](const Value& a, const Value& b) {
      const int x = std::stoi(a.label), y = std::stoi(b.label);
      return x != y ? (decreasing ? x > y : x < y) : a.key < b.key;
    });
    CHECK(sorted_keys(data.objects, spec, 0) == keys_of_values(expected));
  }
}

TEST_CASE("dsort: by text; samples without the member first, last, or left out", "[dsort]") {
  const Labelled data = labelled(33, {"cat", "ca", "dog", "a rather long label that goes on", "\xc3\xa9t\xc3\xa9"}, 7);
  const auto missing =
      static_cast<std::uint64_t>(std::count_if(data.values.begin(), data.values.end(), [](const Value& v) { return v.label.empty(); }));
  REQUIRE(missing > 10);
  for (const auto policy : {MissingContent::first, MissingContent::last, MissingContent::drop})
    for (const bool decreasing : {false, true}) {
      DsortSpec spec = by_content(ContentType::text);
      spec.missing_content = policy;
      spec.decreasing = decreasing;
      auto expected = data.values;
      if (policy == MissingContent::drop) std::erase_if(expected, [](const Value& value) { return value.label.empty(); });
      std::sort(expected.begin(), expected.end(), [&](const Value& a, const Value& b) {
        if (a.label.empty() != b.label.empty()) return a.label.empty() == (policy == MissingContent::first);
        return a.label != b.label ? (decreasing ? a.label > b.label : a.label < b.label) : a.key < b.key;
      });
      CHECK(sorted_keys(data.objects, spec, missing) == keys_of_values(expected));
    }
}

TEST_CASE("dsort: by content, what cannot be sorted is named, and nothing is published", "[dsort]") {
  DsortWorld world(3);
  const Labelled data = labelled(34, {"1", "2"}, 0);
  world.put_all("input", data.objects);
  DsortSpec spec = by_content(ContentType::integer);
  const auto with = [&](const std::string& name, const std::string& bytes, const std::string& part) {
    world.put("input", name, bytes);
    check_refused(world, spec, ErrorCode::invalid, part);
    const auto& disk = name;
    for (auto& store : world.stores) (void)store->remove(0, {"input", disk});
  };
  std::string archive;
  append_member(archive, "x.cls", "seven");
  with("zz.tar", archive, "sample 'x' of shard 'zz.tar' cannot be sorted by its '.cls': 'seven' is not a whole number");
  archive.clear();
  append_member(archive, "x.jpg", "seven");
  with("zz.tar", archive, "sample 'x' of shard 'zz.tar' cannot be sorted by its '.cls': it has no member '.cls'");
  archive.clear();
  append_member(archive, "x.cls", std::string(5000, '1'));
  with("zz.tar", archive, "of 5000 bytes is too long to sort by");
  with("y.cls", std::string(5000, '1'), "of 5000 bytes is too long to sort by");
  with("y.cls", "1.5", "sample 'y' of loose objects cannot be sorted by its '.cls': '1.5' is not a whole number");
  spec.content_extension = "";
  check_refused(world, spec, ErrorCode::invalid, "needs the extension");
  CHECK(!world.has_bucket("output"));
}

TEST_CASE("dsort: by content, a key that is there twice is found although its values differ", "[dsort]") {
  std::string one, other;
  append_member(one, "twice.cls", "1");
  append_member(one, "once.cls", "2");
  append_member(other, "twice.cls", "9");
  for (const int ranks : {1, 3}) {
    DsortWorld world(ranks);
    world.put_all("input", {{"a.tar", one}, {"b.tar", other}});
    DsortSpec spec = by_content(ContentType::integer);
    check_refused(world, spec, ErrorCode::invalid, "twice");
    spec.duplicates = DuplicatePolicy::warn;
    const auto report = world.dsort(spec);
    REQUIRE(report);
    CHECK(report->duplicate_samples == 1);
    CHECK(report->samples == 2);
  }
}
