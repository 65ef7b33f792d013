// tar_stream_test.cpp - packed archives: what is unpacked is what was packed; damage anywhere is an error, never other bytes.
#include "shard/tar_stream.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "shard/shard_index.hpp"
#include "shard/tar_format.hpp"
#include "shard/tar_packer.hpp"

using namespace tarn;
using namespace tarn::shard;

namespace {

/// A tar of `samples` samples, each a .jpg of some hundred bytes and a .cls.
std::string make_tar(int samples, unsigned seed) {
  std::mt19937 random(seed);
  std::string tar;
  const auto add = [&](const std::string& name, const std::string& body) {
    const auto headers = make_tar_headers(name, body.size());
    tar.append(reinterpret_cast<const char*>(headers.data()), headers.size());
    tar += body;
    tar.resize(padded(tar.size()));
  };
  for (int i = 0; i < samples; ++i) {
    std::string body(random() % 900, ' ');
    for (char& c : body) c = static_cast<char>(random());
    add("dir/" + std::to_string(1000 + i) + ".jpg", body);
    add("dir/" + std::to_string(1000 + i) + ".cls", std::to_string(random() % 10));
  }
  return tar + std::string(kTrailerBytes, '\0');
}

/// Packs with libarchive, as anybody else would.
std::string pack(ArchiveKind kind, const std::string& tar) {
  archive* const handle = archive_write_new();
  std::string packed;
  const auto take = [](archive*, void* to, const void* bytes, std::size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
  };
  archive_write_set_bytes_in_last_block(handle, 1);
  archive_entry* const entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  if (kind == ArchiveKind::zip) {
    REQUIRE(archive_write_set_format_zip(handle) == ARCHIVE_OK);
    REQUIRE(archive_write_open(handle, &packed, nullptr, take, nullptr) == ARCHIVE_OK);
    TarEntry member;
    for (std::size_t at = 0; at + kTrailerBytes < tar.size(); at += member.entry_bytes()) {
      REQUIRE(parse_tar_entry(std::as_bytes(std::span(tar)).subspan(at), at, member).value() == TarParse::entry);
      archive_entry_clear(entry);
      archive_entry_set_filetype(entry, AE_IFREG);
      archive_entry_set_pathname(entry, member.name.c_str());
      archive_entry_set_size(entry, static_cast<la_int64_t>(member.data_bytes));
      REQUIRE(archive_write_header(handle, entry) == ARCHIVE_OK);
      REQUIRE(archive_write_data(handle, tar.data() + at + member.header_bytes, member.data_bytes) == static_cast<la_ssize_t>(member.data_bytes));
    }
  } else {
    REQUIRE(archive_write_set_format_raw(handle) == ARCHIVE_OK);
    const int filter = kind == ArchiveKind::tar_gz    ? archive_write_add_filter_gzip(handle)
                       : kind == ArchiveKind::tar_zst ? archive_write_add_filter_zstd(handle)
                       : kind == ArchiveKind::tar_lz4 ? archive_write_add_filter_lz4(handle)
                                                      : archive_write_add_filter_xz(handle);
    REQUIRE(filter == ARCHIVE_OK);
    REQUIRE(archive_write_open(handle, &packed, nullptr, take, nullptr) == ARCHIVE_OK);
    REQUIRE(archive_write_header(handle, entry) == ARCHIVE_OK);
    REQUIRE(archive_write_data(handle, tar.data(), tar.size()) == static_cast<la_ssize_t>(tar.size()));
  }
  archive_entry_free(entry);
  REQUIRE(archive_write_close(handle) == ARCHIVE_OK);
  archive_write_free(handle);
  return packed;
}

Result<std::string> unpack(ArchiveKind kind, const std::string& packed, std::size_t piece = 100'000) {
  const ArchiveReadFn read = [&](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
    const std::size_t size = std::min(target.size(), packed.size() - offset);
    std::memcpy(target.data(), packed.data() + offset, size);
    return size;
  };
  auto stream = open_tar_stream(kind, "x", packed.size(), read);
  if (!stream) return tl::unexpected(stream.error());
  std::string tar;
  std::vector<std::byte> buffer(piece);
  for (;;) {
    const auto got = (*stream)->read(buffer);
    if (!got) return tl::unexpected(got.error());
    if (*got == 0) return tar;
    tar.append(reinterpret_cast<const char*>(buffer.data()), *got);
  }
}

constexpr ArchiveKind kKinds[] = {ArchiveKind::tar,     ArchiveKind::tar_gz, ArchiveKind::tar_zst,
                                  ArchiveKind::tar_lz4, ArchiveKind::tar_xz, ArchiveKind::zip};
constexpr ArchiveKind kPacked[] = {ArchiveKind::tar_gz, ArchiveKind::tar_zst, ArchiveKind::tar_lz4, ArchiveKind::tar_xz, ArchiveKind::zip};

}  // namespace

TEST_CASE("ArchiveKind: by the end of a name, in any case", "[shard]") {
  CHECK(archive_kind("a.tar") == ArchiveKind::tar);
  CHECK(archive_kind("a/b.TGZ") == ArchiveKind::tar_gz);
  CHECK(archive_kind("a.tar.Gz") == ArchiveKind::tar_gz);
  CHECK(archive_kind("a.tar.zst") == ArchiveKind::tar_zst);
  CHECK(archive_kind("a.zip") == ArchiveKind::zip);
  CHECK_FALSE(archive_kind("a.gz"));
  CHECK_FALSE(archive_kind("a.tar.bz2"));
  CHECK_FALSE(archive_kind("tar"));
  for (const auto kind : kKinds) CHECK(archive_kind("x" + std::string(archive_extension(kind))) == kind);
}

TEST_CASE("TarStream: gives the tar that was packed, in pieces of any size", "[shard]") {
  const std::string tar = make_tar(300, 1);
  for (const auto kind : kKinds) {
    INFO(archive_extension(kind));
    const std::string packed = kind == ArchiveKind::tar ? tar : pack(kind, tar);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{511}, std::size_t{1} << 20}) CHECK(unpack(kind, packed, piece).value() == tar);
  }
}

TEST_CASE("TarStream: gzip members that were joined are one stream, zeros behind them are padding", "[shard]") {
  const std::string tar = make_tar(10, 2);
  const std::string halves = pack(ArchiveKind::tar_gz, tar.substr(0, 700)) + pack(ArchiveKind::tar_gz, tar.substr(700));
  CHECK(unpack(ArchiveKind::tar_gz, halves).value() == tar);
  CHECK(unpack(ArchiveKind::tar_gz, halves + std::string(100'000, '\0')).value() == tar);
  const auto stray = unpack(ArchiveKind::tar_gz, halves + "stray");
  REQUIRE_FALSE(stray);
  CHECK(stray.error().code == ErrorCode::invalid);
}

TEST_CASE("TarStream: what is cut off anywhere is an error", "[shard]") {
  const std::string tar = make_tar(12, 3);
  for (const auto kind : kPacked) {
    const std::string packed = pack(kind, tar);
    for (std::size_t size = 0; size < packed.size(); size += size < 64 || packed.size() - size < 64 ? 1 : 37) {
      const auto got = unpack(kind, packed.substr(0, size));
      INFO(archive_extension(kind) << " cut off at " << size << " of " << packed.size());
      // An xz, zst or lz4 without its checksum may still give all of the tar: never less without a word.
      CHECK((!got || *got == tar));
      if (!got) CHECK(got.error().message.find("shard 'x'") != std::string::npos);
    }
  }
}

TEST_CASE("TarStream: a byte that has changed is an error, or changes nothing", "[shard]") {
  const std::string tar = make_tar(6, 4);
  std::mt19937 random(5);
  for (const auto kind : kPacked) {
    const std::string packed = pack(kind, tar);
    std::size_t harmless = 0;
    for (std::size_t at = 0; at < packed.size(); at += 1 + random() % 5) {
      std::string changed = packed;
      changed[at] = static_cast<char>(changed[at] ^ (1 << random() % 8));
      const auto got = unpack(kind, changed);
      INFO(archive_extension(kind) << " changed at " << at << " of " << packed.size());
      if (kind != ArchiveKind::zip && kind != ArchiveKind::tar_zst) CHECK((!got || *got == tar));  // their names or frames have no checksum
      harmless += got && *got == tar ? 1 : 0;
    }
    CHECK(harmless < packed.size() / 3);
  }
}

TEST_CASE("TarStream: another format than the name says is an error that says so", "[shard]") {
  const std::string tar = make_tar(3, 6);
  for (const auto kind : kPacked) {
    const auto got = unpack(kind, tar);
    INFO(archive_extension(kind));
    REQUIRE_FALSE(got);
    CHECK(got.error().code == ErrorCode::invalid);
    CHECK_FALSE(unpack(kind, ""));
  }
}

TEST_CASE("TarStream: of a zip only files come, the rest is counted", "[shard]") {
  archive* const handle = archive_write_new();
  std::string packed;
  REQUIRE(archive_write_set_format_zip(handle) == ARCHIVE_OK);
  archive_write_set_bytes_in_last_block(handle, 1);
  REQUIRE(archive_write_open(
              handle, &packed, nullptr,
              [](archive*, void* to, const void* bytes, std::size_t size) {
                static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
                return static_cast<la_ssize_t>(size);
              },
              nullptr) == ARCHIVE_OK);
  archive_entry* const entry = archive_entry_new();
  for (const auto& [name, type] : {std::pair("d/", AE_IFDIR), std::pair("d/a.txt", AE_IFREG), std::pair("link", AE_IFLNK)}) {
    archive_entry_clear(entry);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0755);
    archive_entry_set_pathname(entry, name);
    if (type == AE_IFLNK) archive_entry_set_symlink(entry, "d/a.txt");
    archive_entry_set_size(entry, type == AE_IFREG ? 5 : 0);
    REQUIRE(archive_write_header(handle, entry) == ARCHIVE_OK);
    if (type == AE_IFREG) REQUIRE(archive_write_data(handle, "hello", 5) == 5);
  }
  archive_entry_free(entry);
  REQUIRE(archive_write_close(handle) == ARCHIVE_OK);
  archive_write_free(handle);

  const ArchiveReadFn read = [&](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
    const std::size_t size = std::min(target.size(), packed.size() - offset);
    std::memcpy(target.data(), packed.data() + offset, size);
    return size;
  };
  const auto stream = open_tar_stream(ArchiveKind::zip, "x", packed.size(), read).value();
  std::vector<std::byte> tar(10'000);
  CHECK(stream->read(tar).value() == 512 + 512 + kTrailerBytes);
  CHECK(std::memcmp(tar.data(), "d/a.txt", 8) == 0);
  CHECK(std::memcmp(tar.data() + 512, "hello", 6) == 0);
  CHECK(stream->left_out() == 2);
}

TEST_CASE("TarPacker: what it packs is unpacked to the same, and packed the same again", "[shard]") {
  const std::string tar = make_tar(200, 7);
  for (const auto kind : {ArchiveKind::tar_gz, ArchiveKind::tar_zst}) {
    std::string first;
    for (const std::size_t piece : {std::size_t{1000}, std::size_t{1} << 20}) {
      std::string packed;
      const auto packer = TarPacker::open(kind, [&](std::span<const std::byte> bytes) -> Result<void> {
                            packed.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                            return {};
                          }).value();
      for (std::size_t at = 0; at < tar.size(); at += piece)
        REQUIRE(packer->write(std::as_bytes(std::span(tar)).subspan(at, std::min(piece, tar.size() - at))));
      REQUIRE(packer->finish());
      CHECK(unpack(kind, packed).value() == tar);
      if (first.empty()) first = packed;
      CHECK(packed == first);
    }
  }
}

TEST_CASE("TarPacker: the sink's error comes back", "[shard]") {
  const std::string tar = make_tar(400, 8);
  const auto packer = TarPacker::open(ArchiveKind::tar_zst, [](std::span<const std::byte>) -> Result<void> {
                        return tl::unexpected(Error(ErrorCode::no_space, "the disk is full"));
                      }).value();
  Result<void> outcome;
  for (int i = 0; i < 100 && outcome; ++i) outcome = packer->write(std::as_bytes(std::span(tar)));
  if (outcome) outcome = packer->finish();
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().message == "the disk is full");
}

TEST_CASE("TarPacker: who gives up in the middle writes nothing more", "[shard]") {
  const std::string tar = make_tar(200, 9);
  for (const auto kind : {ArchiveKind::tar_gz, ArchiveKind::tar_zst}) {
    bool gone = false;
    int after = 0;
    {
      const auto packer = TarPacker::open(kind, [&](std::span<const std::byte>) -> Result<void> {
                            after += gone ? 1 : 0;
                            return {};
                          }).value();
      REQUIRE(packer->write(std::as_bytes(std::span(tar))));
      gone = true;
    }
    CHECK(after == 0);
  }
}
