// XXH3 is the same on every machine: all kernels agree, for every size and every cut into pieces.
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "base/hash.hpp"
#include "base/hash_kernels.hpp"
#include "support/temporary_directory.hpp"

namespace tarn::base {
namespace {

std::vector<std::byte> sample(std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::uint32_t value = 12345;
  for (auto& byte : bytes) byte = static_cast<std::byte>((value = value * 1664525 + 1013904223) >> 24);
  return bytes;
}

TEST_CASE("Hash: the kernel that this machine gets has the values of the plain one") {
  const auto bytes = sample(5000);
  for (std::size_t size = 0; size <= bytes.size(); size += size < 600 ? 1 : 37) {
    const std::span part(bytes.data(), size);
    INFO("size " << size);
    CHECK(xxh3_64(part, 7) == kPlainHashKernels.hash_64(part.data(), size, 7));
    const Hash128 plain = kPlainHashKernels.hash_128(part.data(), size);
    const Checksum checksum = xxh3_128(part);
    std::uint64_t high = 0;
    for (std::size_t i = 0; i < 8; ++i) high = high << 8 | checksum[i];
    CHECK(high == plain.high);
  }
}

TEST_CASE("Hash: pieces hash like the whole") {
  const auto bytes = sample(100'000);
  for (const std::size_t piece : {1UL, 63UL, 255UL, 256UL, 1000UL, 65536UL}) {
    ChecksumStream checksum;
    HashStream hash, seeded;
    seeded.reset(7);
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const auto part = std::span(bytes).subspan(at, std::min(piece, bytes.size() - at));
      checksum.update(part);
      hash.update(part);
      seeded.update(part);
    }
    CHECK(checksum.digest() == xxh3_128(bytes));
    CHECK(hash.digest() == xxh3_64(std::span<const std::byte>(bytes)));
    CHECK(seeded.digest() == xxh3_64(std::span<const std::byte>(bytes), 7));
  }
}

TEST_CASE("Hash: the values are those of the command xxhsum") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.file("data");
  for (const std::size_t size : {0UL, 1UL, 16UL, 200UL, 1024UL, 99'999UL}) {
    const auto bytes = sample(size);
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(size));
    std::FILE* pipe = ::popen(("xxhsum -q -H2 '" + path + "'").c_str(), "r");
    REQUIRE(pipe != nullptr);
    char text[64] = {};
    const bool read = std::fgets(text, sizeof(text), pipe) != nullptr;
    REQUIRE(::pclose(pipe) == 0);
    REQUIRE(read);
    CHECK(std::string(text, 32) == to_hex(xxh3_128(bytes)));
  }
}

}  // namespace
}  // namespace tarn::base
