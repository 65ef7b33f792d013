#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

TEST_CASE("LocalStore: what was put is found, read, ranged, listed, and is there after reopening", "[object]") {
  const TemporaryDirectory directory;
  const std::string large = noise(3'000'001, 1);
  PutOptions options;
  options.content_type = "image/png";
  options.user_metadata = {{"label", "cat\nand dog"}, {"empty", ""}};
  for (int round = 0; round < 2; ++round) {
    const auto store = open_bare_store({directory.file("a")});
    if (round == 0) {
      REQUIRE(store->create_bucket("bucket", 12345));
      CHECK(store->create_bucket("bucket", 1).error().code == ErrorCode::exists);
      put(*store, "empty", "");
      put(*store, "large", large);
      const auto info = store->put(0, {"bucket", "dir/small.png"}, bytes_of("hello"), options);
      REQUIRE(info);
      CHECK(info->size_bytes == 5);
      CHECK(info->checksum == base::xxh3_128(bytes_of("hello")));
    }
    CHECK(store->buckets().size() == 1);
    CHECK(store->buckets().front().created_ns == 12345);
    CHECK(get(*store, "empty").empty());
    CHECK(get(*store, "dir/small.png") == "hello");
    CHECK(get(*store, "large") == large);
    CHECK(get(*store, "none") == "error: not_found");
    CHECK(store->get(0, {"no-such", "k"}).error().code == ErrorCode::bucket_not_found);
    CHECK(store->put(0, {"no-such", "k"}, {}, {}).error().code == ErrorCode::bucket_not_found);

    const auto found = store->find(0, {"bucket", "dir/small.png"});
    REQUIRE(found);
    CHECK(found->info.content_type == "image/png");
    CHECK(found->info.user_metadata == options.user_metadata);
    REQUIRE(found->extents.size() == 1);
    CHECK(found->extents.front().length_bytes == 5);
    const auto solo = store->find(0, {"bucket", "large"});
    REQUIRE(solo);
    CHECK(solo->extents.front().offset == 4096);

    const auto page = store->list("bucket", {"", "/", "", 1000});
    REQUIRE(page);
    REQUIRE(page->objects.size() == 2);
    CHECK(page->objects[0].key == "empty");
    CHECK(page->objects[1].key == "large");
    CHECK(page->common_prefixes == std::vector<std::string>{"dir/"});
    CHECK(store->disks().front().objects == 3);
    CHECK(store->disks().front().object_bytes == 5 + large.size());
  }
}

TEST_CASE("LocalStore: overwrite and remove; a reader in progress keeps the old bytes; a solo volume goes away", "[object]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const std::string large = noise(2'000'000, 2);
  put(*store, "x", large);
  const auto reader = store->open_reader(0, {"bucket", "x"});
  REQUIRE(reader);
  put(*store, "x", "new");
  REQUIRE(store->flush());
  CHECK(solo_volumes(directory.file("a")) == 0);
  CHECK(get(*store, "x") == "new");
  std::string old((*reader)->info().size_bytes, '\0');
  const auto got = (*reader)->read(0, std::as_writable_bytes(std::span(old.data(), old.size())));
  REQUIRE(got);
  CHECK(old == large);
  REQUIRE(store->remove(0, {"bucket", "x"}));
  CHECK(get(*store, "x") == "error: not_found");
  CHECK(store->remove(0, {"bucket", "x"}).error().code == ErrorCode::not_found);
  CHECK(store->remove_bucket("bucket"));
  CHECK(store->get(0, {"bucket", "x"}).error().code == ErrorCode::bucket_not_found);
}

TEST_CASE("LocalStore.create: pieces of any size become the object; without commit nothing stays", "[object]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  for (const std::size_t size : {0U, 1U, 100'000U, 1'048'575U, 1'048'576U, 1'048'577U, 5'000'000U}) {
    for (const std::size_t piece : {1'000'000U, 777U, 3'000'000U}) {
      for (const bool prepare : {false, true}) {
        const std::string body = noise(size, size + piece);
        auto writer = store->create(0, {"bucket", "x"}, {}, UINT64_MAX);
        REQUIRE(writer);
        for (std::size_t at = 0; at < size; at += piece) REQUIRE((*writer)->write(bytes_of(std::string_view(body).substr(at, piece))));
        if (prepare) REQUIRE((*writer)->prepare());
        const auto info = (*writer)->commit();
        REQUIRE(info);
        CHECK(info->checksum == base::xxh3_128(bytes_of(body)));
        CHECK(get(*store, "x") == body);
        CHECK(!(*writer)->commit());
      }
    }
  }
  REQUIRE(store->flush());
  const std::size_t files = solo_volumes(directory.file("a"));
  {
    auto writer = store->create(0, {"bucket", "y"}, {}, 10'000'000);
    REQUIRE(writer);
    REQUIRE((*writer)->write(bytes_of(noise(2'000'000, 9))));
    CHECK(solo_volumes(directory.file("a")) == files + 1);
  }
  CHECK(solo_volumes(directory.file("a")) == files);
  CHECK(get(*store, "y") == "error: not_found");
}

TEST_CASE("LocalStore.open: a directory in use, of another store, of a newer format, or with foreign files is refused", "[object]") {
  const TemporaryDirectory directory;
  {
    const auto store = open_store({directory.file("a")});
    const auto second = LocalStore::open({{directory.file("a")}, 0});
    REQUIRE(!second);
    CHECK(second.error().code == ErrorCode::busy);
    CHECK(second.error().message.find("process " + std::to_string(::getpid())) != std::string::npos);
    REQUIRE(store->adopt(base::Uuid::random()));
    CHECK(store->adopt(base::Uuid::random()).error().code == ErrorCode::invalid);
  }
  {
    const auto store = open_store({directory.file("b")});
    REQUIRE(store->adopt(base::Uuid::random()));
  }
  CHECK(LocalStore::open({{directory.file("a"), directory.file("b")}, 0}).error().code == ErrorCode::invalid);
  CHECK(LocalStore::open({{directory.file("no/such")}, 0}).error().code == ErrorCode::not_found);
  std::filesystem::create_directory(directory.file("c"));
  std::ofstream(directory.file("c") + "/thesis.tex") << "text";
  const auto foreign = LocalStore::open({{directory.file("c")}, 0});
  REQUIRE(!foreign);
  CHECK(foreign.error().code == ErrorCode::invalid);
  CHECK(foreign.error().message.find("thesis.tex") != std::string::npos);
  std::filesystem::create_directory(directory.file("d"));
  std::ofstream(directory.file("d") + "/disk.json") << R"({"format": 99, "disk": "", "store": "", "weight": 1})";
  CHECK(LocalStore::open({{directory.file("d")}, 0}).error().code == ErrorCode::invalid);
}

TEST_CASE("LocalStore.remove: one version only, whatever is put meanwhile", "[object][threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const ObjectName name{"bucket", "key"};
  put(*store, "key", "old");
  const Checksum old = store->find(0, name)->info.checksum;
  put(*store, "key", "new");
  CHECK(store->remove(0, name, old).error().code == ErrorCode::aborted);
  CHECK(get(*store, "key") == "new");
  REQUIRE(store->remove(0, name, store->find(0, name)->info.checksum));
  CHECK(store->remove(0, name, old).error().code == ErrorCode::not_found);
  // "old" comes and goes; "new" stays when it is put, since only "old" is ever removed.
  std::atomic<bool> end{false};
  std::thread remover([&] {
    while (!end) (void)store->remove(0, name, old);
  });
  int lost = 0;
  for (int i = 0; i < 2000; ++i) {
    (void)store->put(0, name, bytes_of("old"), {});
    (void)store->put(0, name, bytes_of("new"), {});
    lost += get(*store, "key") == "new" ? 0 : 1;
  }
  end = true;
  remover.join();
  CHECK(lost == 0);
}
