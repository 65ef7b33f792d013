// What GNU tar, libarchive and HDF5 make of our volumes: none of them knows Tarn.
#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "store_fixture.hpp"
#include "volume/member.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

struct Output {
  int status = -1;
  std::string text;  // standard output and error
};

Output run(const std::string& command) {
  Output output;
  FILE* pipe = ::popen(("LC_ALL=C.UTF-8 " + command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[65536];
  for (std::size_t got; (got = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) output.text.append(buffer, got);
  const int status = ::pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

std::string path_of(const std::string& key) {
  volume::Member member;
  member.name = {"bucket", key};
  return volume::member_path(member);
}

/// All volumes of a disk, listed and extracted without a word of complaint; `expected`: key -> body.
void check_with_tar(const std::string& disk, const std::string& target, const std::map<std::string, std::string>& expected) {
  std::filesystem::create_directories(target);
  std::size_t volumes = 0;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(disk + "/volumes")) names.push_back(entry.path());
  std::sort(names.begin(), names.end());
  for (const auto& volume : names) {
    ++volumes;
    const Output listed = run("tar tvf " + volume);
    INFO(volume << ":\n" << listed.text);
    CHECK(listed.status == 0);
    CHECK(listed.text.find("tar:") == std::string::npos);
    const Output libarchive = run("bsdtar tf " + volume);
    INFO(libarchive.text);
    CHECK(libarchive.status == 0);
    CHECK(libarchive.text.find("bsdtar:") == std::string::npos);
    const Output extracted = run("tar --xattrs --xattrs-include='user.*' -xf " + volume + " -C " + target);
    INFO(extracted.text);
    CHECK(extracted.status == 0);
    CHECK(extracted.text.empty());
  }
  CHECK(volumes > 0);
  for (const auto& [key, body] : expected) {
    INFO(key);
    CHECK(std::filesystem::is_regular_file(target + "/" + path_of(key)));
    CHECK(read_file(target + "/" + path_of(key)) == body);
  }
}

std::string attribute(const std::string& path, const std::string& name) {
  std::string value(4096, '\0');
  const ssize_t size = ::getxattr(path.c_str(), ("user.tarn." + name).c_str(), value.data(), value.size());
  if (size < 0) return "(none)";
  value.resize(static_cast<std::size_t>(size));
  return value;
}

}  // namespace

TEST_CASE("tar: every kind of volume lists and extracts: open, sealed, solo, removals, nasty keys", "[object][tar]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  std::map<std::string, std::string> bodies;
  for (const char* key : {"plain.txt",
                          "dir/file",
                          "\xc3\xa4/\xe6\xbc\xa2\xe5\xad\x97",
                          "a b  c",
                          "quote\"'`$(x)\\",
                          "new\nline",
                          "tab\t",
                          "\x01\x7f",
                          "-rf",
                          "*",
                          "a//b",
                          "/lead",
                          "trail/",
                          "../../etc/passwd",
                          "x/../y",
                          "x/./z",
                          ".",
                          "z/..",
                          "%41",
                          "<xml>&amp;"})
    bodies[key] = std::string("body of ") + key;
  bodies[std::string(1024, 'L')] = "long";
  bodies["path/" + std::string(99, 'p') + "/x"] = "longer than a ustar name";
  bodies["empty"] = "";
  bodies["block"] = noise(512, 1);
  bodies["large"] = noise(2'500'000, 2);
  LocalStoreOptions options;
  options.directories = {disk};
  options.volume_bytes_max = 100'000;
  auto opened = LocalStore::open(options);
  REQUIRE(opened);
  const auto store = std::move(*opened);
  REQUIRE(store->create_bucket("bucket", 1));
  put(*store, "gone", "gone");
  for (int i = 0; i < 30; ++i) bodies["many/" + std::to_string(i)] = noise(9'000 + static_cast<std::size_t>(i), static_cast<std::uint64_t>(i));
  for (const auto& [key, body] : bodies) put(*store, key, body);
  REQUIRE(store->remove(0, {"bucket", "gone"}));
  check_with_tar(disk, directory.file("while-open"), bodies);
  REQUIRE(store->close());
  check_with_tar(disk, directory.file("closed"), bodies);
  CHECK(!std::filesystem::exists(directory.file("etc")));
}

TEST_CASE("tar: extraction brings the metadata back as extended attributes", "[object][tar]") {
  const TemporaryDirectory directory;
  const std::string probe = directory.file("probe");
  write_file(probe, "");
  if (::setxattr(probe.c_str(), "user.tarn.probe", "1", 1, 0) != 0) {
    WARN("the file system of " << directory.path() << " has no user attributes: not tested");
    return;
  }
  const std::string disk = directory.file("a");
  Checksum checksum{};
  {
    const auto store = open_store({disk});
    PutOptions options;
    options.content_type = "image/jpeg";
    options.user_metadata = {{"label", "two\nlines"}, {"split", "train"}};
    put(*store, "a//b.jpg", "pixels", 0, options);
    put(*store, "large", noise(1 << 20, 1), 0, options);
    checksum = store->find(0, {"bucket", "a//b.jpg"})->info.checksum;
  }
  check_with_tar(disk, directory.file("out"), {{"a//b.jpg", "pixels"}, {"large", noise(1 << 20, 1)}});
  for (const char* key : {"a//b.jpg", "large"}) {
    const std::string path = directory.file("out") + "/" + path_of(key);
    CHECK(attribute(path, "bucket") == "bucket");
    CHECK(attribute(path, "key") == key);
    CHECK(attribute(path, "type") == "image/jpeg");
    CHECK(attribute(path, "meta.label") == "two\nlines");
    CHECK(attribute(path, "meta.split") == "train");
  }
  CHECK(attribute(directory.file("out") + "/" + path_of("a//b.jpg"), "xxh3") == base::to_hex(checksum));
  const Output shown = run("getfattr -d " + directory.file("out") + "/bucket/large");
  CHECK(shown.text.find("user.tarn.meta.split=\"train\"") != std::string::npos);
}

TEST_CASE("tar: xxhsum of an extracted file is the checksum in its header", "[object][tar]") {
  if (run("xxhsum --version").status != 0) {
    WARN("xxhsum is not installed: not tested");
    return;
  }
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  put(*store, "x", noise(12'345, 1));
  REQUIRE(run("tar -xf " + volume_path(directory.file("a"), 1) + " -C " + directory.path()).status == 0);
  const Output sum = run("xxhsum -q -H2 " + directory.file("bucket/x"));
  CHECK(sum.text.substr(0, 32) == base::to_hex(store->find(0, {"bucket", "x"})->info.checksum));
}

TEST_CASE("HDF5: a file stored as a large object opens straight from its volume", "[object][hdf5]") {
  if (run("h5import -help; command -v h5dump").status != 0) {
    WARN("hdf5-tools are not installed: not tested");
    return;
  }
  const TemporaryDirectory directory;
  std::string numbers;
  for (int i = 0; i < 300'000; ++i) numbers += std::to_string(i) + " ";
  write_file(directory.file("numbers.txt"), numbers);
  const Output made =
      run("h5import " + directory.file("numbers.txt") + " -dims 300000 -path /data -type TEXTIN -size 32 -outfile " + directory.file("in.h5"));
  INFO(made.text);
  REQUIRE(made.status == 0);
  const std::string file = read_file(directory.file("in.h5"));
  REQUIRE(file.size() > limits::kSoloObjectBytesMin);
  const auto store = open_store({directory.file("a")});
  put(*store, "in.h5", file);
  const auto found = store->find(0, {"bucket", "in.h5"});
  REQUIRE(found);
  REQUIRE(found->extents.size() == 1);
  CHECK(found->extents.front().offset == 4096);  // an HDF5 user block may have 512 * 2^n bytes
  const std::string volume = volume_path(store->disks().front().directory, found->extents.front().volume);
  const Output dumped = run("h5dump -d /data -s 299998 -c 2 " + volume);
  INFO(dumped.text);
  CHECK(dumped.status == 0);
  CHECK(dumped.text.find("(299998): 299998, 299999") != std::string::npos);
}
