#include <catch2/catch.hpp>

#include <set>
#include <string>

#include "base/hash.hpp"
#include "volume/member.hpp"
#include "volume/tar_format.hpp"

using namespace tarn;
using namespace tarn::volume;

namespace {
const base::Uuid kDisk = *base::Uuid::parse("01234567-89ab-4cde-8f01-23456789abcd");

Member object_member(std::string key) {
  Member member;
  member.name = {"bucket", std::move(key)};
  member.sequence = 42;
  member.size_bytes = 5;
  member.checksum = base::xxh3_128({});
  member.modified_ns = 1'700'000'000'123'456'789;
  member.content_type = "text/plain; charset=utf-8";
  member.user_metadata = {{"label", "line\nbreak = \xc3\xa4"}, {"empty", ""}};
  return member;
}

Member path_member(std::string key) {
  return object_member(std::move(key));
}
}  // namespace

TEST_CASE("append_pax: the length counts itself, around every change of its digits", "[volume][tar]") {
  for (std::size_t size = 0; size < 1100; ++size) {
    std::string records;
    tar::append_pax(records, "k", std::string(size, 'v'));
    tar::append_pax(records, "next", "1");
    tar::PaxReader reader(records);
    REQUIRE(reader.next());
    CHECK(reader.value().size() == size);
    REQUIRE(reader.next());
    CHECK(reader.keyword() == "next");
    CHECK(!reader.next());
    CHECK(!reader.malformed());
  }
  for (std::size_t bytes = tar::kPaxCommentBytesMin; bytes < 1100; ++bytes) {
    std::string records;
    tar::append_pax_comment(records, bytes);
    CHECK(records.size() == bytes);
    tar::PaxReader reader(records);
    CHECK(reader.next());
  }
}

TEST_CASE("PaxReader: malformed records are said to be so", "[volume][tar]") {
  for (const char* text :
       {"5", "x k=v\n", "6 k=v", "9 k=v\n", "0 k=v\n", "6 kkv\n", "5 =v\n", "99999999999999999999 k=v\n", "-6 k=v\n", "6  =v\n\n"}) {
    tar::PaxReader reader(text);
    while (reader.next()) {
    }
    INFO(text);
    CHECK(reader.malformed());
  }
}

TEST_CASE("header: every kind of member comes back as it was, at every data offset", "[volume]") {
  const Place place{kDisk, 17, 512 * 99};
  std::vector<Member> members{object_member("a/b.txt"), object_member(std::string(1024, 'k')), object_member("\xc3\xa4/\x01 x")};
  for (const MemberKind kind : {MemberKind::deleted, MemberKind::bucket_created, MemberKind::bucket_removed}) {
    Member note = object_member(kind == MemberKind::deleted ? "k" : "");
    note.kind = kind;
    note.size_bytes = 0;
    note.checksum = {};
    members.push_back(note);
    if (kind != MemberKind::bucket_created) continue;
    members.push_back(note);
    members.back().bucket.durability = Durability::sync;
    members.push_back(members.back());
    members.back().bucket = {Durability::none, 3, {PlacementPolicy::Kind::rank, 7}, ChecksumPolicy::always};
  }
  members.push_back(object_member("huge"));
  members.back().size_bytes = 5ULL << 40;
  members.push_back(object_member("metadata"));
  for (int i = 0; i < 8; ++i) members.back().user_metadata["name" + std::to_string(i)] = std::string(240, 'm');
  for (Member member : members) {
    for (const bool solo : {false, true}) {
      member.solo = solo;
      const auto header = encode_header(member, place, solo ? solo_data_offset(member) : 0);
      if (solo) CHECK(header.size() == solo_data_offset(member));
      CHECK(header_length(std::span(header).first<tar::kBlockBytes>(), place) == header.size());
      const auto back = decode_header(header, place);
      REQUIRE(back);
      CHECK(*back == member);
    }
  }
  CHECK(solo_data_offset(object_member("x")) == 4096);
}

TEST_CASE("header: no flipped bit, and no other place, is believed", "[volume]") {
  const Place place{kDisk, 17, 1024};
  Member member = object_member("k");
  const auto header = encode_header(member, place);
  CHECK(!decode_header(header, Place{kDisk, 17, 1536}));
  CHECK(!decode_header(header, Place{kDisk, 18, 1024}));
  CHECK(!decode_header(header, Place{base::Uuid::random(), 17, 1024}));
  for (std::size_t bit = 0; bit < header.size() * 8; ++bit) {
    auto copy = header;
    copy[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    CHECK(!decode_header(copy, place));
  }
}

TEST_CASE("member_path: relative, without dots or empty parts, short parts, and one to one", "[volume]") {
  std::set<std::string> paths;
  const std::vector<std::string> keys{"a",
                                      "a/b",
                                      "a//b",
                                      "/a",
                                      "a/",
                                      "/",
                                      "//",
                                      ".",
                                      "..",
                                      "../../etc/passwd",
                                      "a/../b",
                                      "a/./b",
                                      "%",
                                      "%2E",
                                      "%2E%2E",
                                      "a/%/b",
                                      "%25",
                                      "%+x",
                                      "...",
                                      "a/.b",
                                      std::string(1024, 'x'),
                                      std::string(240, 'x') + "/%+" + std::string(784, 'x'),
                                      std::string(240, 'x') + "/" + std::string(783, 'x')};
  for (const auto& key : keys) {
    const std::string path = member_path(path_member(key));
    INFO(key << " -> " << path);
    CHECK(paths.insert(path).second);
    CHECK(path.front() != '/');
    CHECK(path.back() != '/');
    std::size_t begin = 0;
    while (begin <= path.size()) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      const std::string part = path.substr(begin, end - begin);
      CHECK((!part.empty() && part != "." && part != ".." && part.size() <= 255));
      begin = end + 1;
    }
  }
  std::string umlauts;
  for (int i = 0; i < 400; ++i) umlauts += "\xc3\xa4";
  const std::string path = member_path(path_member("x" + umlauts));
  CHECK(path.find("\xc3/") == std::string::npos);  // cut between characters
}

TEST_CASE("check_options: what a header cannot carry is refused", "[volume]") {
  CHECK(check_options({}));
  CHECK(check_options({"a/b", {{"k", std::string(2047, 'v')}}}));
  CHECK(!check_options({"a/b", {{"k", std::string(2048, 'v')}}}));
  CHECK(!check_options({std::string(2000, 't'), {}}));
  for (const char* name : {"", "a=b", "a b", "\xc3\xa4", "a\n"}) CHECK(!check_options({"", {{name, "v"}}}));
}
