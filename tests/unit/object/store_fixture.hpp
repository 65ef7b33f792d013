// store_fixture.hpp - what the tests of LocalStore share: a store with the bucket "bucket", bodies, damage.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.hpp"
#include "object/local_store.hpp"
#include "support/temporary_directory.hpp"

namespace tarn::tests {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Not compressible, different for each seed.
inline std::string noise(std::size_t size, std::uint64_t seed) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = base::xxh3_64(std::string_view("noise"), seed * 1'000'003 + i);
    std::memcpy(text.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  return text;
}

inline std::unique_ptr<object::LocalStore> open_bare_store(std::vector<std::string> directories) {
  auto store = object::LocalStore::open({std::move(directories), 0});
  INFO((store ? std::string() : store.error().message));
  REQUIRE(store);
  return std::move(*store);
}
inline std::unique_ptr<object::LocalStore> open_store(std::vector<std::string> directories) {
  auto store = open_bare_store(std::move(directories));
  if (!store->has_bucket("bucket")) REQUIRE(store->create_bucket("bucket", 1));
  return store;
}

inline std::string get(const object::LocalStore& store, const std::string& key, std::uint32_t disk = 0) {
  const auto bytes = store.get(disk, {"bucket", key});
  return bytes ? text_of(*bytes) : "error: " + std::string(to_string(bytes.error().code));
}
inline void put(object::LocalStore& store, const std::string& key, std::string_view text, std::uint32_t disk = 0, const PutOptions& options = {}) {
  const auto info = store.put(disk, {"bucket", key}, bytes_of(text), options);
  INFO((info ? std::string() : info.error().message));
  REQUIRE(info);
}

/// Files in volumes/ of 1 MiB or more: solo volumes, finished or not.
inline std::size_t solo_volumes(const std::string& disk) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(disk + "/volumes")) count += entry.file_size() >= limits::kSoloObjectBytesMin ? 1 : 0;
  return count;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
inline void write_file(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}
inline void flip_byte(const std::string& path, std::uint64_t offset, char mask = 0x20) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  const char changed = static_cast<char>(file.get() ^ mask);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(changed);
}

}  // namespace tarn::tests
