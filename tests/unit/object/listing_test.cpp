#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <set>
#include <string>

#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

/// What ListOptions' comments say, on a plain set of keys.
ListPage model_page(const std::set<std::string>& keys, const ListOptions& options) {
  std::set<std::string> items;  // keys and common prefixes
  std::set<std::string> prefixes;
  for (const auto& key : keys) {
    if (key.rfind(options.prefix, 0) != 0) continue;
    std::string item = key;
    if (!options.delimiter.empty()) {
      const std::size_t found = key.find(options.delimiter, options.prefix.size());
      if (found != std::string::npos) {
        item = key.substr(0, found + options.delimiter.size());
        prefixes.insert(item);
      }
    }
    if (item > options.start_after) items.insert(item);
  }
  ListPage page;
  for (const auto& item : items) {
    if (page.objects.size() + page.common_prefixes.size() == options.max_keys) {
      page.truncated = options.max_keys > 0;
      break;
    }
    if (prefixes.count(item) > 0) {
      page.common_prefixes.push_back(item);
    } else {
      page.objects.push_back({item});
    }
    page.next_start_after = item;
  }
  if (!page.truncated) page.next_start_after.clear();
  return page;
}

void check_page(const LocalStore& store, const std::set<std::string>& keys, const ListOptions& options) {
  const auto page = store.list("bucket", options);
  REQUIRE(page);
  const ListPage expected = model_page(keys, options);
  INFO("prefix \"" << options.prefix << "\" delimiter \"" << options.delimiter << "\" start_after \"" << options.start_after << "\" max "
                   << options.max_keys);
  std::vector<std::string> got, wanted;
  for (const auto& info : page->objects) got.push_back(info.key);
  for (const auto& info : expected.objects) wanted.push_back(info.key);
  CHECK(got == wanted);
  CHECK(page->common_prefixes == expected.common_prefixes);
  CHECK(page->truncated == expected.truncated);
  CHECK(page->next_start_after == expected.next_start_after);
}

}  // namespace

TEST_CASE("LocalStore.list: random keys on three disks, any prefix, delimiter, start and page size: as the rule says", "[object][list]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a"), directory.file("b"), directory.file("c")});
  const std::uint64_t seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const auto random_text = [&](std::size_t longest) {
    std::string text;
    const std::size_t length = random() % (longest + 1);
    const char* letters[] = {"a", "b", "/", "c", "//", "\xc3\xa4", "\x01", "~"};
    while (text.size() < length) text += letters[random() % 8];
    return text;
  };
  std::set<std::string> keys;
  for (int i = 0; i < 600; ++i) {
    std::string key = random() % 8 == 0 ? std::string(480 - 7 + random() % 3, 'a') + random_text(500) : random_text(8);
    if (key.empty() || key.size() > 1024) continue;
    put(*store, key, "x", static_cast<std::uint32_t>(random() % 3));
    keys.insert(key);
  }
  for (int i = 0; i < 400; ++i) {
    ListOptions options;
    options.prefix = random() % 3 == 0 ? "" : random_text(3);
    options.delimiter = random() % 2 == 0 ? "" : random() % 3 == 0 ? "//" : "/";
    options.start_after = random() % 2 == 0 ? "" : random_text(9);
    options.max_keys = random() % 3 == 0 ? 1000 : random() % 12;
    check_page(*store, keys, options);
  }
  for (const char* delimiter : {"", "/"}) {  // page after page: everything, once, in order
    for (const std::size_t max_keys : {1U, 7U, 100U}) {
      ListOptions options{"", delimiter, "", max_keys};
      std::vector<std::string> walked;
      while (true) {
        const auto page = store->list("bucket", options);
        REQUIRE(page);
        std::set<std::string> items(page->common_prefixes.begin(), page->common_prefixes.end());
        for (const auto& info : page->objects) items.insert(info.key);
        walked.insert(walked.end(), items.begin(), items.end());
        if (!page->truncated) break;
        REQUIRE(page->next_start_after > options.start_after);
        options.start_after = page->next_start_after;
      }
      const ListPage all = model_page(keys, {"", delimiter, "", 100'000});
      CHECK(walked.size() == all.objects.size() + all.common_prefixes.size());
      CHECK(std::is_sorted(walked.begin(), walked.end()));
    }
  }
}

TEST_CASE("LocalStore.list: keys of 1,024 bytes that share their first 1,000", "[object][list]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const std::string common = std::string(500, 'x') + "/" + std::string(499, 'y');
  std::set<std::string> keys;
  for (int i = 0; i < 300; ++i) {
    std::string key = common + std::to_string(i * 7919 % 1000);
    key.resize(1024, 'z');
    put(*store, key, std::to_string(i));
    keys.insert(key);
  }
  keys.insert(common);
  put(*store, common, "itself");
  for (const std::size_t max_keys : {1000U, 10U, 1U}) {
    check_page(*store, keys, {"", "", "", max_keys});
    check_page(*store, keys, {common, "", "", max_keys});
    check_page(*store, keys, {common + "1", "", *std::next(keys.begin(), 50), max_keys});
    check_page(*store, keys, {"", "/", "", max_keys});
    check_page(*store, keys, {std::string(500, 'x') + "/", "", common, max_keys});
    check_page(*store, keys, {"", "zz", "", max_keys});
  }
  for (const auto& key : keys) REQUIRE(store->remove(0, {"bucket", key}));
  check_page(*store, {}, {});
  CHECK(store->remove_bucket("bucket"));
}

TEST_CASE("LocalStore.list: buckets whose names begin alike are apart", "[object][list]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  REQUIRE(store->create_bucket("bucket1", 1));
  REQUIRE(store->create_bucket("buc", 1));
  REQUIRE(store->put(0, {"bucket1", "k1"}, {}, {}));
  REQUIRE(store->put(0, {"buc", "ket"}, {}, {}));
  put(*store, "k", "");
  check_page(*store, {"k"}, {});
  CHECK(store->list("none", {}).error().code == ErrorCode::bucket_not_found);
  CHECK(store->remove_bucket("bucket").error().code == ErrorCode::busy);
}

TEST_CASE("LocalStore.for_each: all objects below a prefix; stops when told to", "[object][list]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a"), directory.file("b")});
  std::set<std::string> keys;
  for (int i = 0; i < 2500; ++i) {
    const std::string key = "p/" + std::to_string(i);
    put(*store, key, "x", static_cast<std::uint32_t>(i % 2));
    keys.insert(key);
  }
  put(*store, "q", "x");
  std::set<std::string> seen;
  REQUIRE(store->for_each("bucket", "p/", [&](const StoredObject& object) {
    CHECK(store->find(object.disk, {"bucket", object.info.key})->sequence == object.sequence);
    return seen.insert(object.info.key).second;
  }));
  CHECK(seen == keys);
  int count = 0;
  REQUIRE(store->for_each("bucket", "", [&](const StoredObject&) { return ++count < 5; }));
  CHECK(count == 5);
}

TEST_CASE("LocalStore.list, for_each: a damaged entry of the index is an error, not an object less", "[object][list]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  {
    const auto store = open_store({disk});
    for (const char* key : {"one", "two", "three"}) put(*store, key, "body");
    REQUIRE(store->close());
  }
  // Behind each copy of the key comes its record, which begins with its form.
  const std::string file = disk + "/index/data.mdb";
  const std::string text = read_file(file);
  const std::string key = std::string("bucket") + '\0' + "three";
  std::size_t found = 0;
  for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + 1)) {
    if (text[at + key.size()] != '\x01') continue;
    flip_byte(file, at + key.size());
    ++found;
  }
  REQUIRE(found > 0);
  const auto store = open_bare_store({disk});
  std::size_t visited = 0;
  const auto walked = store->for_each("bucket", "", [&](const StoredObject&) {
    ++visited;
    return true;
  });
  REQUIRE(!walked);
  CHECK(walked.error().code == ErrorCode::corrupt);
  const auto page = store->list("bucket", {});
  REQUIRE(!page);
  CHECK(page.error().code == ErrorCode::corrupt);
  CHECK(get(*store, "one") == "body");
}
