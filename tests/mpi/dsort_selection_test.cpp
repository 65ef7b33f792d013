// dsort_selection_test.cpp - dsort of some members and some samples.
#include <catch2/catch.hpp>

#include "dsort_fixture.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// Shards and loose objects of samples with .jpg, .seg.PNG, .json (which comes first) and .cls.
Objects four_members() {
  std::mt19937 random(51);
  Objects result;
  const auto add_sample = [&](const std::string& key, auto add) {
    add(key + ".json", "{}");
    add(key + ".jpg", noise(random, random() % 3000));
    add(key + ".seg.PNG", noise(random, random() % 300));
    add(key + ".cls", std::to_string(random() % 10));
  };
  for (int s = 0; s < 5; ++s) {
    std::string archive;
    for (int i = 0; i < 30; ++i)
      add_sample("s" + std::to_string(s) + "/" + std::to_string(i),
                 [&](const std::string& name, const std::string& data) { append_member(archive, name, data); });
    result["in-" + std::to_string(s) + ".tar"] = archive;
  }
  for (int i = 0; i < 40; ++i)
    add_sample("loose/" + std::to_string(i), [&](const std::string& name, const std::string& data) { result[name] = data; });
  return result;
}

/// The members of the same dsort at several numbers of ranks.
Objects selected(const DsortSpec& spec, const TemporaryDirectory& scratch, DsortReport& report) {
  Objects first;
  for (const int ranks : {1, 2, 3, 5}) {
    INFO("ranks " << ranks);
    DsortWorld world(ranks);
    world.put_all("input", four_members());
    const auto outcome = world.dsort(spec);
    INFO((outcome ? std::string() : outcome.error().message));
    REQUIRE(outcome);
    report = *outcome;
    const Objects output = world.objects("output");
    if (first.empty()) first = output;
    CHECK(output == first);
  }
  return members_of(first, scratch.file("out"));
}

/// What members of the input pass.
Objects expected(const TemporaryDirectory& scratch, const std::function<bool(const std::string& name)>& keep) {
  Objects shards, members;
  for (const auto& [name, bytes] : four_members()) (name.ends_with(".tar") ? shards : members)[name] = bytes;
  members.merge(members_of(shards, scratch.file("in")));
  std::erase_if(members, [&](const auto& member) { return !keep(member.first); });
  return members;
}

}  // namespace

TEST_CASE("dsort: members to keep, or to drop, by extension in any case", "[dsort]") {
  const TemporaryDirectory scratch;
  DsortSpec spec = shuffle_spec();
  DsortReport report;
  spec.keep_extensions = {"jpg", "seg.png"};
  CHECK(selected(spec, scratch, report) ==
        expected(scratch, [](const std::string& name) { return name.ends_with(".jpg") || name.ends_with(".seg.PNG"); }));
  CHECK(report.samples == 190);
  CHECK(report.members == 380);
  CHECK(report.dropped_members == 380);
  spec.keep_extensions.clear();
  spec.drop_extensions = {"JSON"};
  CHECK(selected(spec, scratch, report) == expected(scratch, [](const std::string& name) { return !name.ends_with(".json"); }));
  CHECK(report.dropped_members == 190);
  CHECK(report.skipped_members == 0);
}

TEST_CASE("dsort: samples whose key a regular expression matches", "[dsort]") {
  const TemporaryDirectory scratch;
  DsortSpec spec = shuffle_spec();
  spec.order = DsortOrder::content;
  spec.content_extension = "cls";
  spec.content_type = ContentType::integer;
  spec.key_pattern = "^(s[24]|loose)/.*[13579]$";
  DsortReport report;
  CHECK(selected(spec, scratch, report) == expected(scratch, [](const std::string& name) {
          const std::string key = name.substr(0, name.find('.'));
          return (key.starts_with("s2/") || key.starts_with("s4/") || key.starts_with("loose/")) && (key.back() - '0') % 2 == 1;
        }));
  CHECK(report.samples == 50);
  CHECK(report.dropped_samples == 140);
}

TEST_CASE("dsort: a selection that cannot be is refused, one that takes nothing writes nothing", "[dsort]") {
  DsortWorld world(3);
  world.put_all("input", four_members());
  DsortSpec spec = shuffle_spec();
  spec.key_pattern = "a(b";
  check_refused(world, spec, ErrorCode::invalid, "'a(b' is wrong");
  spec.key_pattern = "";
  spec.keep_extensions = {"jpg"};
  spec.drop_extensions = {"cls"};
  check_refused(world, spec, ErrorCode::invalid, "either the members to keep or those to drop");
  spec.drop_extensions.clear();
  spec.class_extension = "cls";
  check_refused(world, spec, ErrorCode::invalid, "members '.cls' are left out, but samples are counted by them");
  spec.class_extension = "";
  spec.order = DsortOrder::content;
  spec.content_extension = "json";
  check_refused(world, spec, ErrorCode::invalid, "sorted by them");
  spec.order = DsortOrder::key;
  spec.keep_extensions = {"mp4"};
  const auto nothing = world.dsort(spec);
  REQUIRE(nothing);
  CHECK(nothing->samples == 0);
  CHECK(nothing->dropped_members == 760);
  CHECK(!world.has_bucket("output"));
}
