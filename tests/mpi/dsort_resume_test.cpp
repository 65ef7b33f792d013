// dsort_resume_test.cpp - what a dsort had finished when it was interrupted is not made again, and the result is the same.
#include <catch2/catch.hpp>

#include <fstream>

#include "base/hash.hpp"
#include "dsort_fixture.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// Shards of about 400 KB: large enough for volumes of their own.
DsortSpec large_shards() {
  DsortSpec spec = shuffle_spec();
  spec.shard_size_bytes = 400'000;
  spec.index = true;
  spec.manifest = true;
  spec.class_extension = "cls";
  return spec;
}

Objects large_input() {
  return make_shards(21, 8, 40, 20'000);
}

/// What an undisturbed dsort makes of it.
Objects undisturbed(const DsortSpec& spec) {
  DsortWorld world(2);
  world.put_all("input", large_input());
  REQUIRE(world.dsort(spec));
  return world.objects("output");
}

/// As if a rank had been killed at its n-th read: the others see that it is gone.
void interrupt(DsortWorld& world, const DsortSpec& spec, int reads) {
  std::atomic<int> left{reads};
  world.fetcher.refuse = [&]() -> Result<void> {
    if (left.fetch_sub(1) > 0) return {};
    return tl::unexpected(Error(ErrorCode::rank_lost, "rank 1 does not answer any more"));
  };
  const auto lost = world.dsort(spec, 1);
  world.fetcher.refuse = {};
  REQUIRE(!lost);
  REQUIRE(lost.error().code == ErrorCode::rank_lost);
}

}  // namespace

TEST_CASE("dsort: after a rank was lost the next one takes up the shards that were finished", "[dsort]") {
  for (const char* const name : {"train-%04d.tar", "train-%04d.tar.zst"}) {
    DsortSpec spec = large_shards();
    spec.output_template = name;
    spec.index = spec.output_template.ends_with(".tar");
    const Objects expected = undisturbed(spec);
    for (const int ranks : {1, 2, 3, 5}) {
      INFO(name << " on " << ranks << " ranks");
      DsortWorld world(ranks, 1 + ranks % 2);
      world.put_all("input", large_input());
      interrupt(world, spec, 5 * 50);
      const std::size_t kept = world.kept_files();
      REQUIRE(kept > 0);
      CHECK(world.objects("output").empty());
      world.reopen();
      CHECK(world.kept_files() == kept);
      DsortSpec dry = spec;
      dry.dry_run = true;
      REQUIRE(world.dsort(dry));
      CHECK(world.kept_files() == kept);
      const auto report = world.dsort(spec);
      INFO((report ? std::string() : report.error().message));
      REQUIRE(report);
      CHECK(report->resumed_shards == kept);
      CHECK(report->resumed_shards < report->shards);
      CHECK(world.objects("output") == expected);
      CHECK(world.kept_files() == 0);
      world.reopen();
      CHECK(world.objects("output") == expected);
    }
  }
}

TEST_CASE("dsort: a kept shard that is damaged, cut off or another's is made again", "[dsort]") {
  const DsortSpec spec = large_shards();
  const Objects expected = undisturbed(spec);
  for (const int damage : {0, 1, 2, 3}) {
    INFO("damage " << damage);
    DsortWorld world(3);
    world.put_all("input", large_input());
    interrupt(world, spec, 250);
    const auto paths = world.kept_paths();
    REQUIRE(paths.size() >= 2);
    if (damage == 0) {
      std::fstream file(paths[0], std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(100'000);
      file.put('x').put('y');
    } else if (damage == 1) {
      std::filesystem::resize_file(paths[0], 70'000);
    } else if (damage == 2) {
      std::filesystem::copy_file(paths[1], paths[0], std::filesystem::copy_options::overwrite_existing);
    } else {
      std::ofstream(paths[0].parent_path() / "stray") << "not a shard";
    }
    const auto report = world.dsort(spec);
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    CHECK(report->resumed_shards == paths.size() - (damage == 3 ? 0 : 1));
    CHECK(world.objects("output") == expected);
    CHECK(world.kept_files() == 0);
  }
}

TEST_CASE("dsort: another dsort takes nothing up, and its end frees the space; so does an error", "[dsort]") {
  DsortSpec spec = large_shards();
  DsortWorld world(3);
  world.put_all("input", large_input());
  interrupt(world, spec, 250);
  REQUIRE(world.kept_files() > 0);
  DsortSpec other = spec;
  other.seed = 12;
  const auto report = world.dsort(other);
  REQUIRE(report);
  CHECK(report->resumed_shards == 0);
  CHECK(world.kept_files() == 0);

  spec.output_template = "more-%04d.tar";
  interrupt(world, spec, 250);
  REQUIRE(world.kept_files() > 0);
  world.fetcher.spoil_next = true;
  check_refused(world, spec, ErrorCode::corrupt, "sample 'class");
  CHECK(world.kept_files() == 0);
}

TEST_CASE("dsort: a job that was killed while shards got their names is completed, and nobody else may use them", "[dsort]") {
  const DsortSpec spec = large_shards();
  const Objects expected = undisturbed(spec);
  for (const bool fails : {false, true}) {
    INFO("fails " << fails);
    DsortWorld world(3);
    world.put_all("input", large_input());
    interrupt(world, spec, 250);
    // What the killed job would have done next: a note of all that it names, and the first names of each disk.
    std::size_t named = 0;
    world.create_bucket("output");
    for (auto& store : world.stores) {
      const auto kept = store->kept().list(0).value();
      std::map<object::BodyId, Checksum> note;
      for (const auto& [id, body] : kept) note.emplace(id, body.checksum);
      REQUIRE(store->kept().note_named(0, note));
      for (const auto& [name, bytes] : expected) {
        const auto body = std::find_if(kept.begin(), kept.end(), [&, &bytes = bytes](const auto& one) {
          return one.second.checksum == base::xxh3_128(std::as_bytes(std::span(bytes)));
        });
        if (body == kept.end()) continue;
        PutOptions options;
        options.content_type = "application/x-tar";
        const auto writer = store->create(0, {"output", name}, options, 0).value();
        REQUIRE(writer->resume(body->second));
        REQUIRE(writer->commit());
        ++named;
        break;
      }
    }
    REQUIRE(named > 0);
    const std::size_t kept = world.kept_files();
    world.reopen();
    DsortSpec other = spec;
    other.seed = 12;
    const auto refused = world.dsort(other);
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::exists);
    CHECK(world.kept_files() == kept);
    CHECK(world.objects("output").size() == named);
    if (fails) {  // all or nothing, also of what the other job had named
      world.fetcher.spoil_next = true;
      REQUIRE(!world.dsort(spec));
      CHECK(world.objects("output").empty());
      CHECK(world.kept_files() == 0);
    }
    const auto report = world.dsort(spec);
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    if (!fails) CHECK(report->resumed_shards >= named);
    CHECK(world.objects("output") == expected);
    CHECK(world.kept_files() == 0);
  }
}
