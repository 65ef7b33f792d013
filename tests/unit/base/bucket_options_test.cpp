#include "base/bucket_options.hpp"

#include <catch2/catch.hpp>

using namespace tarn;

TEST_CASE("bucket options: as text and back, and only what is not the default is written", "[base]") {
  const PlacementPolicy rank{PlacementPolicy::Kind::rank, 7}, local{PlacementPolicy::Kind::local, -1};
  CHECK(base::encode_bucket_options({}).empty());
  CHECK(base::encode_bucket_options({Durability::sync, 2, rank, ChecksumPolicy::always}) == "mirror=2 placement=rank=7 checksum=always");
  for (const unsigned mirror : {1U, 2U, kMirrorMax})
    for (const PlacementPolicy& placement : {PlacementPolicy{}, rank, local})
      for (const ChecksumPolicy checksum : {ChecksumPolicy::store, ChecksumPolicy::never, ChecksumPolicy::first, ChecksumPolicy::always}) {
        const BucketOptions options{Durability::sync, mirror, placement, checksum};
        CHECK(base::decode_bucket_options(base::encode_bucket_options(options), Durability::sync) == options);
      }
}

TEST_CASE("bucket options: what a newer version may write, and what nobody writes, is skipped", "[base]") {
  const auto decode = [](std::string_view text) { return base::decode_bucket_options(text, Durability::none); };
  CHECK(decode("colour=blue mirror=2 plain") == BucketOptions{Durability::none, 2, {}, {}});
  for (const char* text :
       {"mirror=0", "mirror=17", "mirror=2x", "mirror=", "placement=rank=-1", "placement=rank=", "checksum=maybe", "=", " ", "mirror"})
    CHECK(decode(text) == BucketOptions{});
}

TEST_CASE("bucket options: of two disks that disagree the one that promises more is right", "[base]") {
  const BucketOptions lost, noted{Durability::sync, 2, {PlacementPolicy::Kind::local, -1}, ChecksumPolicy::first};
  CHECK(base::stronger(lost, noted) == noted);
  CHECK(base::stronger(noted, lost) == noted);
}

TEST_CASE("bucket options: a number of copies that cannot be is refused with the reason", "[base]") {
  CHECK(base::check_bucket_options({}));
  CHECK(base::check_bucket_options({Durability::none, kMirrorMax, {}, {}}));
  for (const unsigned mirror : {0U, kMirrorMax + 1}) {
    const auto checked = base::check_bucket_options({Durability::none, mirror, {}, {}});
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == ErrorCode::invalid);
    CHECK(checked.error().message == "mirror=" + std::to_string(mirror) + ": a bucket keeps 1 to 16 copies");
  }
}
