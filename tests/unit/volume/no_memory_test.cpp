// Each allocation of a cut and of a commit fails in turn: nothing is lost by it, the next one has it all.
#include <catch2/catch.hpp>

#include <algorithm>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "support/allocations.hpp"
#include "support/temporary_directory.hpp"
#include "volume/appender.hpp"
#include "volume/committer.hpp"
#include "volume/file_cache.hpp"
#include "volume/index.hpp"
#include "volume/pending.hpp"

using namespace tarn;
using namespace tarn::tests;
using namespace tarn::volume;

namespace {

struct Parts {
  explicit Parts(std::uint64_t volume_bytes_max) : appender(fs, path, disk, cache, pending, {}, volume_bytes_max) {}
  static std::string made(const TemporaryDirectory& directory) {
    REQUIRE(base::posix_file_system().make_directory(directory.path() + "/volumes"));
    return directory.path();
  }
  void append(MemberKind kind, const std::string& bucket, const std::string& key) {
    Member member;
    member.kind = kind;
    member.name = {bucket, key};
    REQUIRE(appender.append(member, {}));
  }
  void put_solo(const std::string& key) {
    Member member;
    member.name = {"bucket", key};
    auto solo = appender.create_solo(member);
    REQUIRE(solo);
    REQUIRE((*solo)->write(std::vector<std::byte>(5000)));
    REQUIRE(appender.commit_solo(**solo, member));
  }

  const TemporaryDirectory directory;
  const std::string path = made(directory);
  base::FileSystem& fs = base::posix_file_system();
  const base::Uuid disk = base::Uuid::random();
  FileCache cache{fs, path, 16};
  Pending pending;
  Appender appender;
};

}  // namespace

TEST_CASE("Appender.cut: whichever of its allocations fails, the next cut has everything", "[volume][memory]") {
  bool failed = true;
  std::uint64_t good = 0;
  for (; failed; ++good) {
    Parts parts(1);  // each member seals the volume before it
    for (int i = 0; i < 3; ++i) {
      parts.append(MemberKind::object, "bucket", "key" + std::to_string(i));
      parts.append(MemberKind::bucket_created, "bucket-" + std::to_string(i), {});
    }
    std::optional<Appender::Cut> cut;
    {
      const FailingAllocation failing(good);
      try {
        cut = parts.appender.cut();
      } catch (const std::bad_alloc&) {
      }
      failed = failing.happened();
    }
    REQUIRE(cut.has_value() == !failed);
    if (!cut) cut = parts.appender.cut();
    INFO("good allocations: " << good);
    CHECK(cut->sequence == 6);
    CHECK(cut->volumes.size() == 6);
    CHECK(cut->buckets.size() == 3);
    CHECK(parts.pending.committing().size() == 3);
    parts.appender.close();
  }
  CHECK(good > 5);
}

TEST_CASE("Committer: whichever allocation of a commit fails, the next one has everything, and dead volumes go", "[volume][memory]") {
  Parts parts(1 << 20);
  REQUIRE(parts.fs.make_directory(parts.path + "/index"));
  const auto index = Index::open(parts.fs, parts.path + "/index");
  REQUIRE(index);
  std::multiset<std::uint64_t> removed;  // by the committer's thread, while this one waits
  std::optional<FailingAllocation> failing;
  std::uint64_t good = 0;
  bool was_failed = false;
  constexpr int kRounds = 250;
  {
    Committer committer(
        **index, parts.appender, parts.pending,
        [&](std::uint64_t volume) {
          const SparedAllocations spared;
          removed.insert(volume);
        },
        [&] {  // the commit after this one, on the same thread
          if (failing) was_failed |= failing->happened();
          failing.emplace(good++);
        });
    for (int round = 0; round < kRounds; ++round) {
      parts.put_solo("key");
      parts.append(MemberKind::bucket_created, "bucket-" + std::to_string(round), {});
      if (!committer.commit_all()) REQUIRE(committer.commit_all());
      const auto found = (*index)->find(index_key("bucket", "key"));
      REQUIRE((found && *found));
      REQUIRE((*found)->sequence == static_cast<std::uint64_t>(2 * round + 1));
      REQUIRE(committer.trouble().empty());
    }
    REQUIRE(committer.stop());
  }
  CHECK(was_failed);
  CHECK(good > 50);
  CHECK(std::set(removed.begin(), removed.end()).size() >= kRounds - 1);
  CHECK((*index)->buckets().value().size() == kRounds);
  parts.appender.close();
}
