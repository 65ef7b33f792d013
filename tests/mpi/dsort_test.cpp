// dsort_test.cpp - dsort on ranks that are threads, over real stores: the results.
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "dsort_fixture.hpp"

using namespace tarn;
using namespace tarn::tests;

TEST_CASE("dsort: shuffled shards are byte-identical at 1, 2, 3, 4, 5 and 8 ranks and hold every sample once", "[dsort]") {
  const Objects input = make_shards(1, 12, 60);
  const TemporaryDirectory scratch;
  std::size_t input_samples = 0;
  const Objects expected_members = members_of(input, scratch.file("in"), &input_samples);
  Objects first;
  for (const int ranks : {1, 2, 3, 4, 5, 8}) {
    INFO("ranks " << ranks);
    DsortWorld world(ranks, 1 + ranks % 2);
    world.put_all("input", input);
    const auto report = world.dsort(shuffle_spec());
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    const Objects output = world.objects("output");
    CHECK(report->input_objects == 12);
    CHECK(report->samples == input_samples);
    CHECK(report->members == expected_members.size());
    CHECK(report->skipped_members == 3 * 9);
    CHECK(report->duplicate_samples == 0);
    CHECK(report->shards == output.size());
    std::uint64_t bytes = 0;
    for (const auto& [name, shard] : output) bytes += shard.size();
    CHECK(report->output_bytes == bytes);
    CHECK(output.size() > 5);
    if (first.empty()) {
      first = output;
      std::size_t samples = 0;
      CHECK(members_of(output, scratch.file("out"), &samples) == expected_members);
      CHECK(samples == input_samples);
      CHECK(output.begin()->first == "train-0000.tar");
    }
    CHECK(output == first);
    CHECK(world.objects("input") == input);
    CHECK(world.temporary_files() == 0);
  }
}

TEST_CASE("dsort: key order up and down, source order, and cuts by number of samples", "[dsort]") {
  const Objects input = make_shards(2, 7, 30);
  DsortSpec spec = shuffle_spec();
  spec.shard_size_bytes = 0;
  spec.shard_samples = 32;
  for (const int ranks : {1, 3}) {
    DsortWorld world(ranks);
    world.put_all("input", input);
    spec.order = DsortOrder::key;
    spec.output_bucket = "up-" + std::to_string(ranks);
    REQUIRE(world.dsort(spec));
    auto keys = keys_of(world.objects(spec.output_bucket));
    CHECK(keys.size() == 210);
    CHECK(std::is_sorted(keys.begin(), keys.end()));
    CHECK(world.objects(spec.output_bucket).size() == 7);
    CHECK(keys_of(world.objects(spec.output_bucket)["train-0000.tar"]).size() == 32);
    spec.decreasing = true;
    spec.output_bucket = "down";
    REQUIRE(world.dsort(spec));
    std::reverse(keys.begin(), keys.end());
    CHECK(keys_of(world.objects("down")) == keys);
    spec.decreasing = false;
    spec.order = DsortOrder::none;
    spec.output_bucket = "none";
    REQUIRE(world.dsort(spec));
    CHECK(keys_of(world.objects("none")) == keys_of(input));
  }
}

TEST_CASE("dsort: loose objects of one sample meet, whichever ranks hold them", "[dsort]") {
  std::mt19937 random(3);
  Objects input;
  for (int i = 0; i < 300; ++i) {
    const std::string key = "tree/" + std::to_string(i % 10) + "/" + std::to_string(i);
    input[key + ".jpg"] = noise(random, i % 3 == 0 ? 0 : random() % 20'000);
    input[key + ".seg.png"] = noise(random, random() % 500);
    input[key + ".json"] = "{}";
  }
  input["tree/1/1.d/x.txt"] = "sorts between 1.* names";
  input["README"] = "ignored";
  input[std::string(150, 'p') + "/" + std::string(140, 'q') + ".txt"] = "long name";
  const TemporaryDirectory scratch;
  for (const DsortOrder order : {DsortOrder::key, DsortOrder::shuffle, DsortOrder::none}) {
    Objects first;
    for (const int ranks : {1, 2, 4, 5}) {
      INFO("ranks " << ranks);
      DsortWorld world(ranks);
      world.put_all("input", input);
      DsortSpec spec = shuffle_spec();
      spec.order = order;
      const auto report = world.dsort(spec);
      INFO((report ? std::string() : report.error().message));
      REQUIRE(report);
      CHECK(report->samples == 302);
      CHECK(report->members == input.size() - 1);
      CHECK(report->skipped_members == 1);
      const Objects output = world.objects("output");
      if (first.empty()) first = output;
      CHECK(output == first);
    }
    Objects expected = input;
    expected.erase("README");
    CHECK(members_of(first, scratch.file("out")) == expected);
  }
}

TEST_CASE("dsort: samples and members larger than every window, with the smallest budget", "[dsort]") {
  std::mt19937 random(4);
  Objects input = make_shards(4, 2, 10);
  std::string archive;
  append_member(archive, "huge.bin", noise(random, 5'000'003));
  append_member(archive, "huge.cls", "1");
  append_member(archive, "notes", "between");
  append_member(archive, "huge.txt", noise(random, 1'500'000));
  input["large.tar"] = archive;
  input["loose/one.bin"] = noise(random, 3'333'333);
  input["loose/one.cls"] = "7";
  const TemporaryDirectory scratch;
  Objects first;
  for (const int ranks : {1, 3}) {
    DsortWorld world(ranks);
    world.put_all("input", input);
    const auto report = world.dsort(shuffle_spec());
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    CHECK(report->samples == 22);
    const Objects output = world.objects("output");
    if (first.empty()) first = output;
    CHECK(output == first);
  }
  const auto members = members_of(first, scratch.file("out"));
  CHECK(members.at("loose/one.bin") == input["loose/one.bin"]);
  CHECK(members.size() == 20 * 2 + 3 + 2);
}

TEST_CASE("dsort: inputs by pattern, prefix and list are joined; others are left alone", "[dsort]") {
  Objects input = make_shards(5, 6, 4);
  input["other-1.tar"] = "not a tar at all";
  DsortWorld world(3);
  world.put_all("input", input);
  DsortSpec spec = shuffle_spec();
  spec.input.pattern = "in-{00..02}.tar";
  spec.input.prefix = "in-02";
  spec.input.names = {"in-04.tar", "in-00.tar"};
  const auto report = world.dsort(spec);
  REQUIRE(report);
  CHECK(report->input_objects == 4);
  CHECK(report->samples == 16);
  CHECK(report->warnings.empty());

  spec.output_bucket = "second";
  spec.input = {"input", "", "in-{03..11}.tar", {}};
  const auto some = world.dsort(spec);
  REQUIRE(some);
  CHECK(some->input_objects == 3);
  REQUIRE(some->warnings.size() == 1);
  CHECK_THAT(some->warnings[0], Catch::Contains("6 of the 9") && Catch::Contains("in-06.tar"));
  spec.missing = MissingPolicy::abort;
  spec.output_bucket = "third";
  check_refused(world, spec, ErrorCode::not_found, "in-06.tar");
  spec.input = {"input", "", "", {"in-99.tar"}};
  check_refused(world, spec, ErrorCode::not_found, "in-99.tar");
  spec.input = {"input", "nothing-", "", {}};
  check_refused(world, spec, ErrorCode::not_found, "no object");
  spec.input = {"no-bucket", "", "", {}};
  check_refused(world, spec, ErrorCode::bucket_not_found, "no-bucket");
  CHECK(!world.has_bucket("third"));
}

TEST_CASE("dsort: duplicate keys abort, or the first by source name stays", "[dsort]") {
  for (const DsortOrder order : {DsortOrder::key, DsortOrder::shuffle, DsortOrder::none}) {
    Objects input = make_shards(6, 3, 10);
    for (const char* name : {"zz.tar", "aa.tar", "mm.tar"}) {
      std::string archive;
      append_member(archive, "same.txt", name);
      append_member(archive, std::string("other-") + name + "x", "1");
      input[name] = archive;
    }
    for (const int ranks : {1, 4}) {
      INFO("order " << static_cast<int>(order) << " ranks " << ranks);
      DsortWorld world(ranks);
      world.put_all("input", input);
      DsortSpec spec = shuffle_spec();
      spec.order = order;
      check_refused(world, spec, ErrorCode::invalid, "'same'");
      check_refused(world, spec, ErrorCode::invalid, "aa.tar");
      CHECK(!world.has_bucket("output"));
      spec.duplicates = DuplicatePolicy::warn;
      const auto report = world.dsort(spec);
      REQUIRE(report);
      CHECK(report->duplicate_samples == 2);
      CHECK(report->samples == 30 + 4);
      REQUIRE(report->warnings.size() == 1);
      const TemporaryDirectory scratch;
      CHECK(members_of(world.objects("output"), scratch.file("out")).at("same.txt") == "aa.tar");
      spec.duplicates = DuplicatePolicy::ignore;
      spec.output_bucket = "quiet";
      REQUIRE(world.dsort(spec));
      CHECK(world.objects("quiet") == world.objects("output"));
    }
  }
}

TEST_CASE("dsort: a dry run counts and writes nothing", "[dsort]") {
  DsortWorld world(2);
  world.put_all("input", make_shards(10, 6, 30));
  DsortSpec spec = shuffle_spec();
  spec.dry_run = true;
  const auto dry = world.dsort(spec);
  REQUIRE(dry);
  CHECK(!world.has_bucket("output"));
  spec.dry_run = false;
  const auto wet = world.dsort(spec);
  REQUIRE(wet);
  CHECK(dry->shards == wet->shards);
  CHECK(dry->output_bytes == wet->output_bytes);
}

TEST_CASE("dsort: progress goes from nothing to everything in each phase", "[dsort]") {
  DsortWorld world(2);
  const Objects input = make_shards(11, 6, 30);
  world.put_all("input", input);
  std::map<std::string, std::uint64_t> last, total;
  std::vector<std::string> phases;
  world.progress = [&](const DsortProgress& progress) {
    const std::string phase(progress.phase);
    if (phases.empty() || phases.back() != phase) phases.push_back(phase);
    CHECK(progress.done >= last[phase]);
    last[phase] = progress.done;
    total[phase] = progress.total;
  };
  REQUIRE(world.dsort(shuffle_spec()));
  CHECK(phases == std::vector<std::string>{"index", "sort", "assemble", "publish"});
  for (const auto& [phase, done] : last) CHECK(done == total[phase]);
  std::uint64_t bytes = 0;
  for (const auto& [name, shard] : input) bytes += shard.size();
  CHECK(total["index"] == bytes);
}

TEST_CASE("dsort: input that is removed while the job runs stays readable to its end, whatever compaction would do", "[dsort][compaction]") {
  const Objects input = make_shards(5, 20, 60);
  Objects loose;
  for (int i = 0; i < 60; ++i) loose["loose/" + std::to_string(i) + ".bin"] = std::string(9'000, static_cast<char>('a' + i % 26));
  for (const int ranks : {1, 3}) {
    INFO("ranks " << ranks);
    DsortWorld world(ranks, 2);
    world.put_all("input", input);
    for (const auto& [key, bytes] : loose) world.put("input", key, bytes);
    REQUIRE(world.dsort(shuffle_spec()));
    const Objects expected = world.objects("output");
    DsortSpec spec = shuffle_spec();
    spec.output_bucket = "again";
    std::atomic<bool> removed{false};
    world.fetcher.before_read = [&] {  // when the job knows all places, and has read the first
      if (removed.exchange(true)) return;
      for (const std::string bucket : {"input", "output"}) {
        for (auto& store : world.stores) {
          std::vector<std::pair<std::uint32_t, std::string>> keys;
          (void)store->for_each(bucket, "", [&](const object::StoredObject& object) {
            keys.emplace_back(object.disk, object.info.key);
            return true;
          });
          for (const auto& [disk, key] : keys) (void)store->remove(disk, {bucket, key});
        }
      }
      for (auto& store : world.stores) (void)store->compact();
    };
    const auto report = world.dsort(spec);
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    CHECK(removed);
    CHECK(world.objects("again") == expected);
    CHECK(world.objects("input").empty());
    for (auto& store : world.stores) {  // and then it goes
      REQUIRE(store->compact());
      for (const auto& disk : store->disks()) CHECK(disk.compaction.garbage_bytes <= disk.object_bytes + 512 * limits::KiB);
    }
  }
}
