// shard_test.cpp - the WebDataset rule, names, the tar index: against GNU tar and against damage.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>

#include "base/file.hpp"
#include "base/hash.hpp"
#include "shard/member.hpp"
#include "shard/name_template.hpp"
#include "shard/shard_index.hpp"
#include "shard/tar_format.hpp"
#include "support/temporary_directory.hpp"

using namespace tarn;
using namespace tarn::shard;

namespace {

std::string split(std::string_view name) {
  const auto parts = split_member_name(name);
  return parts ? std::string(parts->key) + "|" + parts->extension : "ignored";
}

struct Indexed {
  std::vector<Sample> samples;
  ShardCounts counts;
};

/// Reads at most `piece` bytes a call, so that every alignment of window and entries occurs.
Result<Indexed> index_text(const std::string& archive, std::size_t piece = 1 << 20, std::size_t window_bytes = kIndexWindowBytesMin) {
  Indexed result;
  std::vector<std::byte> window(window_bytes);
  std::uint64_t expected = 0;
  const ShardReadFn read = [&](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
    CHECK(offset == expected);
    const std::size_t size = std::min({piece, target.size(), archive.size() - offset});
    std::memcpy(target.data(), archive.data() + offset, size);
    expected = offset + size;
    return size;
  };
  const SampleFn sink = [&](const Sample& sample) -> Result<void> {
    result.samples.push_back(sample);
    return {};
  };
  auto counts = index_shard("s.tar", archive.size(), read, sink, window);
  if (!counts) return fail(counts.error());
  result.counts = *counts;
  return result;
}

void append_member(std::string& archive, std::string_view name, std::string_view data) {
  const auto headers = make_tar_headers(name, data.size());
  archive.append(reinterpret_cast<const char*>(headers.data()), headers.size());
  archive.append(data);
  archive.resize(padded(archive.size()));
}

std::string read_file(const std::string& path) {
  return *base::read_text_file(base::posix_file_system(), path, 64 << 20);
}

int run(const std::string& command) {
  return std::system(command.c_str());  // NOLINT(concurrency-mt-unsafe): tests run one thread
}

}  // namespace

TEST_CASE("split_member_name: WebDataset's rule, name by name", "[shard]") {
  CHECK(split("a.jpg") == "a|jpg");
  CHECK(split("a.b.c.jpg") == "a|b.c.jpg");
  CHECK(split("d.x/a.jpg") == "d.x/a|jpg");
  CHECK(split("./x.jpg") == "./x|jpg");
  CHECK(split("a.") == "a|");
  CHECK(split("a..b") == "a|.b");
  CHECK(split("A.JPG") == "A|jpg");
  CHECK(split("x.\xc3\x89") == "x|\xc3\xa9");
  CHECK(split("noext") == "ignored");
  CHECK(split(".hidden") == "ignored");
  CHECK(split("d.d/.x") == "ignored");
  CHECK(split("d/noext") == "ignored");
  CHECK(split("dir/.hidden") == "dir/|hidden");
  CHECK(split("a/b/.c") == "a/b/|c");
  CHECK(split("x.y//.z") == "x.y//|z");
  CHECK(split("./.x") == "ignored");
  CHECK(split("__meta__") == "ignored");
  CHECK(split("__x__/a.jpg") == "ignored");
  CHECK(split("__") == "ignored");
  CHECK(split("__/a.b") == "__/a|b");
  CHECK(split("__meta__.json") == "__meta__|json");
  CHECK(split("d/__m__.jpg") == "d/__m__|jpg");
  CHECK(split("__a.jpg") == "__a|jpg");
  CHECK(split("") == "ignored");
}

TEST_CASE("SampleGrouping: consecutive equal keys; ignored members do not end a sample", "[shard]") {
  using Step = SampleGrouping::Step;
  SampleGrouping grouping;
  CHECK(*grouping.add("a.jpg", true) == Step::begins);
  CHECK(*grouping.add("README", true) == Step::ignored);
  CHECK(*grouping.add("b.jpg", false) == Step::ignored);
  CHECK(*grouping.add("a.cls", true) == Step::joins);
  CHECK(*grouping.add("b.jpg", true) == Step::begins);
  CHECK(*grouping.add("a.jpg", true) == Step::begins);
  const auto twice = grouping.add("a.JPG", true);
  REQUIRE(!twice);
  CHECK(twice.error().code == ErrorCode::invalid);
  CHECK(twice.error().message.find("'a'") != std::string::npos);
}

TEST_CASE("NameTemplate: names, their numbers back, and what is not one", "[shard]") {
  const auto braces = NameTemplate::parse("in-{0000..0063}.tar");
  REQUIRE(braces);
  CHECK(*braces->capacity() == 64);
  CHECK(braces->name(7) == "in-0007.tar");
  CHECK(*braces->index_of("in-0063.tar") == 63);
  for (const char* name : {"in-0064.tar", "in-63.tar", "in-00063.tar", "in-.tar", "in-00x1.tar", "xin-0001.tar", "in-0001.tarx", "in-0001"}) {
    INFO(name);
    CHECK(!braces->index_of(name));
  }
  const auto printf_form = NameTemplate::parse("train/%03d.tar");
  REQUIRE(printf_form);
  CHECK(!printf_form->capacity());
  CHECK(printf_form->name(12345) == "train/12345.tar");
  CHECK(*printf_form->index_of("train/12345.tar") == 12345);
  CHECK(!printf_form->index_of("train/0012.tar"));
  CHECK(printf_form->prefix() == "train/");
  CHECK(NameTemplate::parse("x-%d")->name(5) == "x-5");
  const auto at = NameTemplate::parse("s-@100.tar");
  REQUIRE(at);
  CHECK(*at->capacity() == 101);
  CHECK(at->name(2) == "s-002.tar");
  const auto steps = NameTemplate::parse("{1..10..3}");
  REQUIRE(steps);
  CHECK(*steps->capacity() == 4);
  CHECK(steps->name(3) == "10");
  CHECK(!steps->index_of("3"));
  CHECK(NameTemplate::parse("{8..10}")->name(0) == "8");
  CHECK(NameTemplate::parse("{08..10}")->name(0) == "08");
  const auto plain = NameTemplate::parse("user@host 100%.tar");
  REQUIRE(plain);
  CHECK(*plain->capacity() == 1);
  CHECK(*plain->index_of("user@host 100%.tar") == 0);
  for (const char* text : {"", "{a,b}", "{1..", "1}", "{5..1}", "{1..5..0}", "{0..3}-{0..3}", "%d-@3", "%5d", "%00d{", "{0..99999999999999999999}"}) {
    INFO(text);
    const auto bad = NameTemplate::parse(text);
    REQUIRE(!bad);
    CHECK(bad.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("index_shard: what GNU tar and bsd formats write is found, every byte at its place", "[shard]") {
  tests::TemporaryDirectory directory;
  const std::string root = directory.file("in");
  const std::string deep = std::string(60, 'd') + "/" + std::string(60, 'e');
  REQUIRE(run("mkdir -p " + root + "/sub.x/" + deep) == 0);
  std::mt19937 random(7);
  for (const char* name : {"a.jpg", "a.cls", "b.jpg", "sub.x/c.png", "noext"}) {
    std::ofstream out(root + "/" + name, std::ios::binary);
    for (unsigned i = random() % 9000; i > 0; --i) out.put(static_cast<char>(random()));
  }
  std::ofstream(root + "/sub.x/" + deep + "/long.name.txt") << "long";
  std::ofstream(root + "/sub.x/" + deep + "/\xc3\xbc.txt") << "umlaut";
  REQUIRE(run("ln -s a.jpg " + root + "/link.jpg && ln " + root + "/a.jpg " + root + "/zz.jpg") == 0);
  for (const char* format : {"ustar", "gnu", "posix", "v7"}) {
    INFO(format);
    const std::string archive = directory.file(std::string(format) + ".tar");
    const std::string exclude = std::string(format) == "v7" ? " --exclude=./sub.x/d*" : "";
    REQUIRE(run("tar -C " + root + " --sort=name --format=" + format + exclude + " -cf " + archive + " .") == 0);
    const std::string text = read_file(archive);
    const auto whole = index_text(text);
    REQUIRE(whole);
    for (const std::size_t piece : {512UL, 1000UL, 4096UL}) {
      const auto again = index_text(text, piece);
      REQUIRE(again);
      REQUIRE(again->samples.size() == whole->samples.size());
      for (std::size_t i = 0; i < whole->samples.size(); ++i) {
        CHECK(again->samples[i].key == whole->samples[i].key);
        CHECK(again->samples[i].extents == whole->samples[i].extents);
      }
    }
    std::string copy;  // the samples' extents alone are an archive that GNU tar reads: same names, same bytes
    for (const auto& sample : whole->samples)
      for (const auto& extent : sample.extents) {
        const auto bytes = std::string_view(text).substr(extent.offset, extent.length_bytes);
        CHECK(base::xxh3_64(bytes) == extent.hash);
        copy += bytes;
      }
    copy.append(kTrailerBytes, '\0');
    std::ofstream(directory.file("copy.tar"), std::ios::binary) << copy;
    const std::string list = directory.file("list");
    REQUIRE(run("tar tf " + directory.file("copy.tar") + " > " + list) == 0);
    const std::string names = read_file(list);
    CHECK(names.find("./a.cls\n./a.jpg\n./b.jpg\n./sub.x/c.png\n") == 0);
    if (exclude.empty()) {
      CHECK(whole->counts.samples == 5);
      CHECK(names.find(deep + "/long.name.txt\n") != std::string::npos);
    }
    CHECK(names.find("link") == std::string::npos);
    CHECK(names.find("zz") == std::string::npos);
    REQUIRE(run("mkdir " + directory.file(format) + " && tar -C " + directory.file(format) + " -xf " + directory.file("copy.tar") + " && cd " +
                directory.file(format) + " && find . -type f -exec cmp {} " + root + "/{} ';'") == 0);
  }
}

TEST_CASE("index_shard: samples larger than the window hash the same", "[shard]") {
  std::string archive;
  append_member(archive, "big.bin", std::string(3'000'001, 'x'));
  append_member(archive, "big.cls", "1");
  append_member(archive, "other.cls", "2");
  const auto indexed = index_text(archive, 70'001);
  REQUIRE(indexed);
  REQUIRE(indexed->samples.size() == 2);
  REQUIRE(indexed->samples[0].extents.size() == 1);
  const auto extent = indexed->samples[0].extents[0];
  CHECK(extent.hash == base::xxh3_64(std::string_view(archive).substr(extent.offset, extent.length_bytes)));
}

TEST_CASE("index_shard: an ignored member splits the extent, not the sample", "[shard]") {
  std::string archive;
  append_member(archive, "a.jpg", "1");
  append_member(archive, "README", "2");
  append_member(archive, "a.cls", "3");
  const auto indexed = index_text(archive);
  REQUIRE(indexed);
  REQUIRE(indexed->samples.size() == 1);
  CHECK(indexed->samples[0].members == 2);
  CHECK(indexed->samples[0].extents.size() == 2);
  CHECK(indexed->counts.skipped_members == 1);
}

TEST_CASE("index_shard: damage is always an error that names the shard and the offset", "[shard]") {
  std::string archive;
  append_member(archive, "a.jpg", std::string(2000, 'a'));
  append_member(archive, "b.jpg", std::string(2000, 'b'));
  const std::string ended = archive + std::string(1024, '\0');
  REQUIRE(index_text(archive));
  REQUIRE(index_text(ended));
  REQUIRE(index_text(ended + std::string(9216, '\0')));
  CHECK(index_text(std::string(1024, '\0'))->samples.empty());
  const auto refused = [](const std::string& text, std::string_view part) {
    const auto result = index_text(text);
    REQUIRE(!result);
    CHECK(result.error().code == ErrorCode::invalid);
    CHECK(result.error().message.find("s.tar") != std::string::npos);
    CHECK_THAT(result.error().message, Catch::Contains(std::string(part)));
  };
  refused("", "empty");
  refused(archive.substr(0, archive.size() - 1), "offset 2560");
  refused(archive.substr(0, archive.size() - 512), "cut off");
  refused(archive.substr(0, 2560 + 100), "offset 2560");
  refused(archive.substr(0, 511), "cut off");
  refused(ended + archive, "after the end mark");
  refused(std::string(5000, 'x'), "checksum");
  for (std::size_t at = 0; at < 500; at += 13) {  // any flipped bit of a header
    std::string flipped = archive;
    flipped[2560 + at] = static_cast<char>(flipped[2560 + at] ^ 4);
    refused(flipped, "offset 2560");
  }
}

TEST_CASE("index_shard: sparse files are refused, in GNU and in pax form", "[shard]") {
  tests::TemporaryDirectory directory;
  REQUIRE(run("truncate -s 1M " + directory.file("a.bin") + " && echo x >> " + directory.file("a.bin")) == 0);
  for (const char* format : {"gnu", "posix"}) {
    INFO(format);
    REQUIRE(run("tar -C " + directory.path() + " --sparse --format=" + format + " -cf " + directory.file("s.tar") + " a.bin") == 0);
    const auto result = index_text(read_file(directory.file("s.tar")));
    REQUIRE(!result);
    CHECK(result.error().code == ErrorCode::unsupported);
  }
}

TEST_CASE("index_shard: random bytes and random damage end in a result, never in a crash", "[shard]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  std::string archive;
  append_member(archive, std::string(150, 'n') + ".jpg", std::string(700, 'a'));
  append_member(archive, std::string(150, 'n') + "/" + std::string(300, 'm') + ".jpg", std::string(700, 'b'));
  append_member(archive, "c.jpg", "");
  for (int round = 0; round < 2000; ++round) {
    std::string text = archive;
    for (unsigned i = 0; i <= random() % 8; ++i) text[random() % text.size()] = static_cast<char>(random());
    if (round % 3 == 0) text.resize(random() % text.size());
    if (round % 5 == 0 && text.size() > 512) text.replace(random() % (text.size() - 511), 512, 512, '\0');
    const auto result = index_text(text, 1 + random() % 5000);
    if (!result) CHECK(!result.error().message.empty());
  }
}

TEST_CASE("make_tar_headers: GNU tar reads back names of every length", "[shard]") {
  tests::TemporaryDirectory directory;
  std::vector<std::string> names{"a.jpg", "__meta__.json", "uml\xc3\xa4ut.png"};
  for (const std::size_t length : {96UL, 97UL, 151UL, 152UL, 160UL, 250UL, 251UL, 252UL, 400UL, 1020UL}) {
    names.push_back(std::string(length, 'f') + ".jpg");
    names.push_back(std::string(60, 'd') + "/" + std::string(length - 61, 'f') + ".jpg");
    names.push_back("d/" + std::string(length - 62, 'e') + "/" + std::string(60, 'f') + ".jpg");
  }
  std::string archive, expected;
  for (const auto& name : names) {
    CHECK(make_tar_headers(name, 3).size() == tar_headers_bytes(name, 3));
    append_member(archive, name, "abc");
    expected += name + "\n";
  }
  const auto indexed = index_text(archive);
  REQUIRE(indexed);
  CHECK(indexed->counts.members == names.size());
  std::ofstream(directory.file("t.tar"), std::ios::binary) << archive << std::string(1024, '\0');
  REQUIRE(run("tar --quoting-style=literal -tf " + directory.file("t.tar") + " > " + directory.file("list")) == 0);
  CHECK(read_file(directory.file("list")) == expected);
  TarEntry entry;
  const auto huge = make_tar_headers("huge.bin", 9ULL << 30);
  CHECK(huge.size() == tar_headers_bytes("huge.bin", 9ULL << 30));
  REQUIRE(*parse_tar_entry(huge, 0, entry) == TarParse::entry);
  CHECK(entry.data_bytes == 9ULL << 30);
}
