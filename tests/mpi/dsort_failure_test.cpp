// dsort_failure_test.cpp - dsort when something is wrong: one clear error on every rank, and the store as it was.
#include <catch2/catch.hpp>
#include <mutex>

#include "dsort_fixture.hpp"
#include "failing_file_system.hpp"

using namespace tarn;
using namespace tarn::tests;

TEST_CASE("dsort: bad input is refused with its name, and nothing is published", "[dsort]") {
  const Objects good = make_shards(7, 4, 20);
  DsortWorld world(3);
  world.put_all("input", good);
  DsortSpec spec = shuffle_spec();

  spec.output_template = "few-{0..1}.tar";
  spec.shard_size_bytes = 10'000;
  check_refused(world, spec, ErrorCode::invalid, "has 2 names");
  spec.shard_size_bytes = 0;
  spec.shard_samples = 10;
  check_refused(world, spec, ErrorCode::invalid, "but 8 shards are needed");

  spec = shuffle_spec();
  spec.output_bucket = "";
  spec.output_template = "in-%02d.tar";
  check_refused(world, spec, ErrorCode::exists, "in-");

  spec = shuffle_spec();
  spec.input.bucket = "X";
  check_refused(world, spec, ErrorCode::invalid, "bucket");

  spec = shuffle_spec();
  const auto with = [&](const std::string& bytes, ErrorCode code, const std::string& part) {
    world.put("input", "in-zz.tar", bytes);
    check_refused(world, spec, code, part);
    check_refused(world, spec, code, "in-zz.tar");
  };
  with("", ErrorCode::invalid, "empty");
  with("hello", ErrorCode::invalid, "cut off");
  with(std::string(3000, 'x'), ErrorCode::invalid, "checksum");
  with(good.begin()->second.substr(0, 3000), ErrorCode::invalid, "cut off");
  std::string twice;
  append_member(twice, "a.jpg", "1");
  append_member(twice, "a.JPG", "2");
  with(twice, ErrorCode::invalid, "two members");
  CHECK(!world.has_bucket("output"));

  world.put("input", "in-zz.tar", std::string(1024, '\0'));
  spec.input.names = {"in-zz.tar"};
  const auto nothing = world.dsort(spec);
  REQUIRE(nothing);
  CHECK(nothing->shards == 0);
  CHECK(nothing->warnings.size() == 1);
}

TEST_CASE("dsort: loose members with the same extension twice are refused", "[dsort]") {
  DsortWorld world(4);
  world.put_all("input", {{"a/x.jpg", "1"}, {"a/x.JPG", "2"}, {"b.jpg", "3"}});
  check_refused(world, shuffle_spec(), ErrorCode::invalid, "a/x");
}

TEST_CASE("dsort: bytes that change on their way are noticed, and nothing is published", "[dsort]") {
  DsortWorld world(3);
  world.put_all("input", make_shards(8, 6, 30));
  world.fetcher.spoil_next = true;
  check_refused(world, shuffle_spec(), ErrorCode::corrupt, "sample 'class");
  CHECK(!world.has_bucket("output"));
  const auto report = world.dsort(shuffle_spec());
  REQUIRE(report);
}

TEST_CASE("dsort: no space or a failed rename on one rank: all ranks stop, nothing is published, the space is free again", "[dsort]") {
  for (const int good_calls : {0, 2, 5})
    for (const bool renames : {false, true}) {
      INFO("good calls " << good_calls << " renames " << renames);
      FailingFileSystem files;
      DsortWorld world(3, 1, &files);
      world.put_all("input", make_shards(12, 6, 100, 60'000));
      DsortSpec spec = shuffle_spec();
      spec.shard_size_bytes = 1'200'000;  // large enough for volumes of their own
      spec.output_template = "s-%d.tar";
      const auto before = world.objects("input");
      (renames ? files.renames_left : files.writes_left) = good_calls;
      const auto failed = world.dsort(spec);
      files.renames_left = files.writes_left = INT64_MAX;
      if (failed) {  // the last rank happened to be home of fewer shards than calls were good
        CHECK(world.objects("output").size() == failed->shards);
        continue;
      }
      CHECK(failed.error().code == ErrorCode::no_space);
      CHECK(failed.error().rank == 2);
      CHECK(world.objects("output").empty());
      CHECK(!world.has_bucket("output"));
      CHECK(world.temporary_files() == 0);
      CHECK(world.objects("input") == before);
      REQUIRE(world.dsort(spec));
    }
}

TEST_CASE("dsort: copies of the output that cannot be made are a warning on all ranks, and the shards are there", "[dsort]") {
  DsortWorld world(3);
  world.put_all("input", make_shards(8, 6, 30));
  int made = 0;
  std::mutex mutex;  // guards made
  world.change_context = [&](RankId rank, mpi::DsortContext& context) {
    context.make_copies = [&, rank](mpi::Collectives&, const std::string& bucket) {
      const std::lock_guard lock(mutex);
      ++made;
      return bucket == "output" && rank == 1 ? Result<void>(fail(ErrorCode::no_space, "the disk of the second copy is full")) : Result<void>();
    };
    context.make_copies = [make = context.make_copies](mpi::Collectives& ranks, const std::string& bucket) {
      return ranks.agree(make(ranks, bucket));
    };
  };
  const auto report = world.dsort(shuffle_spec());
  REQUIRE(report);
  CHECK(made == 3);
  REQUIRE(report->warnings.size() == 1);
  CHECK_THAT(report->warnings[0], Catch::Contains("the disk of the second copy is full") && Catch::Contains("run repair"));
  CHECK(world.objects("output").size() == report->shards);
}

TEST_CASE("dsort: a sync that fails on one rank while shards of a `sync` bucket are published takes all of them back", "[dsort]") {
  for (const int good_syncs : {0, 1, 2, 3}) {  // two for each shard: its data, before it has its name, and its header
    INFO("good syncs " << good_syncs);
    FailingFileSystem files;
    DsortWorld world(3, 1, &files);
    world.put_all("input", make_shards(12, 6, 100, 60'000));
    for (auto& store : world.stores) REQUIRE(store->create_bucket("output", 1, {Durability::sync}));
    DsortSpec spec = shuffle_spec();
    spec.shard_size_bytes = 1'200'000;
    spec.output_template = "s-%d.tar";
    files.syncs_left = good_syncs;
    const auto failed = world.dsort(spec);
    files.syncs_left = INT64_MAX;
    if (failed) continue;  // the last rank happened to be home of fewer shards
    CHECK(failed.error().code == ErrorCode::io);
    CHECK(failed.error().rank == 2);
    CHECK(world.objects("output").empty());
    CHECK(world.temporary_files() == 0);
  }
}

TEST_CASE("dsort: stops when asked to, in any phase", "[dsort]") {
  DsortWorld world(3);
  world.put_all("input", make_shards(9, 6, 30));
  for (const std::string phase : {"index", "assemble"}) {
    INFO(phase);
    world.abort = false;
    world.progress = [&](const DsortProgress& progress) {
      if (progress.phase == phase) world.abort = true;
    };
    check_refused(world, shuffle_spec(), ErrorCode::aborted, "request");
    CHECK(!world.has_bucket("output"));
  }
}
