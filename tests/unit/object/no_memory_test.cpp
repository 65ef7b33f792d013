// Each allocation of a change fails in turn: what can be seen afterwards is what the disk holds, the old or the new.
#include <catch2/catch.hpp>

#include <functional>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "object/check.hpp"
#include "store_fixture.hpp"
#include "support/allocations.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

/// Keys and buckets as they can be seen: "error: ..." for what is not there.
struct Seen {
  std::map<std::string, std::string> objects;
  std::map<std::string, bool> buckets;
};

std::string get_from(const LocalStore& store, const ObjectName& name) {
  const auto bytes = store.get(0, name);
  return bytes ? text_of(*bytes) : "error: " + std::string(to_string(bytes.error().code));
}

class Trial {
 public:
  explicit Trial(const std::string& disk) : store_(open_store({disk})) { REQUIRE(store_->create_bucket("durable", 1, {Durability::sync})); }

  /// Does it with allocation after allocation failing, until none does any more. @param change  gets a name that is used once.
  void run(const std::string& what, const std::string& before, const std::string& after, const std::string& bucket,
           const std::function<Result<void>(LocalStore&, const ObjectName&)>& change) {
    bool failed = true;
    for (std::uint64_t good = 0; failed; ++good) {
      const ObjectName name{bucket, what + std::to_string(good)};
      if (before.substr(0, 6) != "error:") REQUIRE(store_->put(0, name, bytes_of(before), {}));
      Result<void> done = fail_one(good, failed, [&] { return change(*store_, name); });
      const std::string now = get_from(*store_, name);
      INFO(name.key << ", failed: " << failed);
      CHECK((now == before || now == after));
      if (done) CHECK(now == after);
      seen_.objects[bucket + "/" + name.key] = now;
    }
  }
  void run_bucket() {
    bool failed = true;
    for (std::uint64_t good = 0; failed; ++good) {
      const std::string bucket = "made-" + std::to_string(good);
      const Result<void> done = fail_one(good, failed, [&] { return store_->create_bucket(bucket, 1); });
      if (done) CHECK(store_->has_bucket(bucket));
      seen_.buckets[bucket] = store_->has_bucket(bucket);
    }
  }
  /// Closes the store. @return what can be seen of it.
  Seen end() {
    REQUIRE(store_->close());
    return seen_;
  }

 private:
  static Result<void> fail_one(std::uint64_t good, bool& failed, const std::function<Result<void>()>& change) {
    const FailingAllocation failing(good);
    Result<void> done = Result<void>();
    try {
      done = change();
    } catch (const std::bad_alloc&) {
      done = tl::unexpected<Error>(Error(ErrorCode::io, "no memory"));
    }
    failed = failing.happened();
    return done;
  }

  std::unique_ptr<LocalStore> store_;
  Seen seen_;
};

void compare(const std::string& disk, const Seen& seen) {
  const auto store = open_bare_store({disk});
  for (const auto& [path, body] : seen.objects) {
    INFO(path);
    CHECK(get_from(*store, {path.substr(0, path.find('/')), path.substr(path.find('/') + 1)}) == body);
  }
  for (const auto& [bucket, exists] : seen.buckets) {
    INFO(bucket);
    CHECK(store->has_bucket(bucket) == exists);
  }
}

}  // namespace

TEST_CASE("LocalStore: whichever allocation of a change fails, what can be seen is what a rebuild finds", "[object][memory]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  const std::string large = noise(1'100'000, 1), none = "error: not_found";
  Trial trial(disk);
  for (const std::string bucket : {"bucket", "durable"}) {
    const auto put_text = [](const std::string& text) {
      return [text](LocalStore& store, const ObjectName& name) -> Result<void> {
        if (const auto put = store.put(0, name, bytes_of(text), {"text/plain", {{"name of some length", "value"}}}); !put) return fail(put.error());
        return {};
      };
    };
    trial.run("new/", none, "new", bucket, put_text("new"));
    trial.run("over/", "old", "new", bucket, put_text("new"));
    trial.run("large/", "old", large, bucket, put_text(large));
    trial.run("gone/", "old", none, bucket, [](LocalStore& store, const ObjectName& name) { return store.remove(0, name); });
  }
  trial.run_bucket();
  const Seen seen = trial.end();
  CHECK(seen.objects.size() > 60);
  compare(disk, seen);
  REQUIRE(check_disk(disk, {})->healthy());
  REQUIRE(check_disk(disk, {true})->healthy());
  compare(disk, seen);
}
