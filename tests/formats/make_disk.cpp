// make_disk.cpp - for formats_test.py: fills a disk with everything that is awkward, and tells what the store makes of one.
//   make_disk fill DISK [killed]      killed: the process ends as by kill -9, everything acknowledged, nothing closed
//   make_disk dump DISK TARGET        TARGET/objects.json: what LocalStore lists; TARGET/0, 1, ...: what it reads, in that order
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.hpp"
#include "base/json.hpp"
#include "object/local_store.hpp"

using namespace tarn;

namespace {

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "make_disk: %s\n", why.c_str());
  std::exit(1);
}
template <class T>
T need(Result<T> result) {
  if (!result) stop(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::string noise(std::size_t size, std::uint64_t seed) {
  std::string text(size + 8, '\0');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = base::xxh3_64(std::string_view("formats"), seed << 32 | i);
    std::memcpy(text.data() + i, &word, 8);
  }
  text.resize(size);
  return text;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::unique_ptr<object::LocalStore> open_store(const std::string& directory) {
  object::LocalStoreOptions options;
  options.directories = {directory};
  options.volume_bytes_max = 300'000;  // several volumes, most of them sealed
  return need(object::LocalStore::open(options));
}

/// 1,024 bytes: one part; one part of characters of four bytes; only slashes; dots; escapes.
std::vector<std::string> long_keys() {
  std::string wide, dots, escapes;
  for (int i = 0; i < 256; ++i) wide += "\xf0\x9f\x90\xa2", dots += "../.", escapes += "%2E%";
  return {std::string(1024, 'L'), wide, std::string(1024, '/'), dots, escapes, "path/" + std::string(1019, 'p')};
}

const char* const kNastyKeys[] = {"plain.txt",
                                  "a",
                                  "a/b",
                                  "a//b",
                                  "a/",
                                  "/lead",
                                  "trail/",
                                  "..",
                                  "../../etc/passwd",
                                  ".",
                                  "x/../y",
                                  "x/./z",
                                  "z/..",
                                  "%",
                                  "%41",
                                  "%/%+x",
                                  "%2E",
                                  "new\nline",
                                  "tab\t",
                                  "\x01\x7f",
                                  "<xml>&amp;\"'",
                                  "]]>",
                                  "\xef\xbf\xbf",
                                  "\xc3\xa4/\xe6\xbc\xa2\xe5\xad\x97",
                                  "e\xcc\x81",
                                  " a b  c ",
                                  "-rf",
                                  "*",
                                  "=",
                                  "1 =\n",
                                  "back\\slash",
                                  "$(x)`y`",
                                  "a?b#c&d=e",
                                  ":"};

class Filler {
 public:
  explicit Filler(const std::string& directory) : directory_(directory), store_(open_store(directory)) {}

  void run() {
    for (const char* bucket : {"bucket", "other", "gone", "twice"}) need(store_->create_bucket(bucket, 1));
    need(store_->create_bucket("synced", 2, {Durability::sync}));
    std::uint64_t seed = 0;
    for (const char* key : kNastyKeys) {
      ++seed;
      put("bucket", key, noise(seed * 37, seed));
    }
    for (const auto& key : long_keys()) put("bucket", key, "body of " + key);
    for (const std::size_t size : {0U, 1U, 511U, 512U, 513U, 65536U, 200'000U, (1U << 20) - 1, 1U << 20, (1U << 20) + 1, 3'000'000U})
      put("other", "size/" + std::to_string(size), noise(size, size));
    put("synced", "durable", "in a bucket with durability sync");
    metadata();
    parts();
    change();
    volume_in_volume();
    for (int i = 0; i < 500; ++i) put("twice", "many/" + std::to_string(i), noise(static_cast<std::size_t>(i), 7));
    for (int i = 0; i < 500; i += 3) need(store_->remove(0, {"twice", "many/" + std::to_string(i)}));
  }
  void close() { need(store_->close()); }

 private:
  void put(const char* bucket, const std::string& key, const std::string& body, const PutOptions& options = {}) {
    need(store_->put(0, {bucket, key}, std::as_bytes(std::span(body.data(), body.size())), options));
  }
  void metadata() {
    PutOptions options{"text/html; charset=\"utf-8\"", {{"author", "J\xc3\xbcrgen"}, {"x-newline", "a\nb=c\n"}, {"empty", ""}}};
    put("other", "with metadata", "body", options);
    put("other", "large with metadata", noise(1'500'000, 1), options);
    options.user_metadata = {{std::string(200, 'n'), std::string(1848, 'v')}};
    put("other", "much metadata", noise(1'200'000, 2), options);
    put("other", "much metadata, small", "", options);
  }
  void parts() {
    const PutOptions options{"text/parts", {{"part", "of it"}}};
    auto& uploads = store_->uploads();
    const ObjectName name{"other", "in parts"};
    const auto upload = need(uploads.begin(0, name, options)), left = need(uploads.begin(0, {"other", "not complete"}, {}));
    for (const std::uint32_t number : {3U, 1U, 2U}) {
      for (const auto& one : {upload, left}) {
        const auto writer = need(uploads.part(0, one.name, one.id, number, UINT64_MAX));
        const std::string body = noise(number == 3 ? 70'000 : 1'100'000 + number, 60 + number);
        need(writer->write(std::as_bytes(std::span(body.data(), body.size()))));
        need(writer->commit());
      }
    }
    need(uploads.complete(0, name, upload.id, std::vector<object::WantedPart>{{1, {}}, {2, {}}, {3, {}}}));
    put("synced", "appended to", noise(1'100'000, 70));
    const std::string more = noise(20'000, 71);
    need(store_->append(0, {"synced", "appended to"}, std::as_bytes(std::span(more.data(), more.size()))));
  }
  void change() {
    put("bucket", "small to small", "old");
    put("bucket", "small to small", "new");
    put("bucket", "small to large", "old");
    put("bucket", "small to large", noise(1'100'000, 3));
    put("bucket", "large to small", noise(1'100'000, 4));
    put("bucket", "large to small", "new");
    put("bucket", "removed", "x");
    need(store_->remove(0, {"bucket", "removed"}));
    put("bucket", "removed large", noise(1'100'000, 5));
    need(store_->remove(0, {"bucket", "removed large"}));
    put("bucket", "removed and back", "old");
    need(store_->remove(0, {"bucket", "removed and back"}));
    put("bucket", "removed and back", "new");
    put("gone", "x", "y");
    need(store_->remove(0, {"gone", "x"}));
    need(store_->remove_bucket("gone"));
    need(store_->remove_bucket("twice"));
    need(store_->create_bucket("twice", 3));
  }
  /// Objects that look like what they lie in.
  void volume_in_volume() {
    const std::string volume = read_file(object::volume_path(directory_, 1));
    put("bucket", "a volume, small", volume.substr(0, 250'000));
    std::string large = volume;
    while (large.size() < (1U << 20)) large += volume;
    put("bucket", "a volume, large", large);
  }

  const std::string directory_;
  std::unique_ptr<object::LocalStore> store_;
};

void dump(const std::string& directory, const std::string& target) {
  const auto store = open_store(directory);
  base::JsonArray objects, buckets;
  for (const auto& bucket : store->buckets()) {
    buckets.push_back(
        base::JsonObject{{"name", bucket.name}, {"created_ns", bucket.created_ns}, {"durability", to_string(bucket.options.durability)}});
    ListOptions options;
    options.max_keys = 7;
    for (ListPage page{{}, {}, true, {}}; page.truncated; options.start_after = page.next_start_after) {
      page = need(store->list(bucket.name, options));
      for (const auto& object : page.objects) {
        base::JsonObject metadata;
        for (const auto& [name, value] : object.user_metadata) metadata[name] = value;
        const auto body = store->get(0, {bucket.name, object.key});
        if (body) {
          std::ofstream file(target + "/" + std::to_string(objects.size()), std::ios::binary);
          file.write(reinterpret_cast<const char*>(body->data()), static_cast<std::streamsize>(body->size()));
        }
        objects.push_back(base::JsonObject{{"bucket", bucket.name},
                                           {"key", object.key},
                                           {"size", object.size_bytes},
                                           {"xxh3", base::to_hex(object.checksum)},
                                           {"mtime", object.modified_ns},
                                           {"type", object.content_type},
                                           {"meta", metadata},
                                           {"readable", body.has_value()}});
      }
    }
  }
  std::ofstream(target + "/objects.json") << boost::json::serialize(base::JsonObject{{"buckets", buckets}, {"objects", objects}});
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() >= 2 && arguments[0] == "fill") {
    Filler filler(arguments[1]);
    filler.run();
    if (arguments.size() > 2) ::kill(::getpid(), SIGKILL);
    filler.close();
    return 0;
  }
  if (arguments.size() == 3 && arguments[0] == "dump") {
    dump(arguments[1], arguments[2]);
    return 0;
  }
  std::fprintf(stderr, "usage: make_disk fill DISK [killed] | make_disk dump DISK TARGET\n");
  return 64;
}
