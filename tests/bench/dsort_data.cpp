// dsort_data.cpp - writes the data set of the dsort benchmark, the same bytes each time.
//   dsort_data DIR [SHARDS=64 [SAMPLES=1400 [letters]]]      DIR/in-0000.tar ... : samples of a .jpg (8-13 kB) and a .cls
// "letters": of 16 values, so that it compresses to about half.
// One shard after the other, so that their pages lie in the page cache as those of a copy do.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/hash.hpp"
#include "shard/tar_format.hpp"

namespace {

using namespace tarn;

void append_member(std::string& archive, std::string_view name, std::string_view data) {
  const auto headers = shard::make_tar_headers(name, data.size());
  archive.append(reinterpret_cast<const char*>(headers.data()), headers.size());
  archive.append(data);
  archive.resize(shard::padded(archive.size()));
}

/// Bytes that do not compress: XXH3-64 of a counter.
std::string noise(std::size_t size, std::uint64_t seed) {
  std::string text(size + 8, '\0');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = base::xxh3_64(std::string_view("dsort"), seed << 20 | i);
    std::memcpy(text.data() + i, &word, 8);
  }
  text.resize(size);
  return text;
}

std::string letters(std::string noise) {
  for (char& c : noise) c = static_cast<char>('a' + (static_cast<unsigned char>(c) & 15));
  return noise;
}

std::string make_shard(std::uint64_t shard, std::uint64_t samples, bool compressible) {
  std::string archive;
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t id = base::xxh3_64(std::string_view("key"), shard << 32 | i);
    const std::string key = "sample-" + std::to_string(id % 1'000'000'000'000ULL);
    const std::string image = noise(8192 + id % 5000, id);
    append_member(archive, key + ".jpg", compressible ? letters(image) : image);
    append_member(archive, key + ".cls", std::to_string(id % 1000));
  }
  return archive.append(shard::kTrailerBytes, '\0');
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: dsort_data DIR [SHARDS [SAMPLES [letters]]]\n");
    return 64;
  }
  const std::uint64_t shards = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 64;
  const std::uint64_t samples = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1400;
  const bool compressible = argc > 4 && std::strcmp(argv[4], "letters") == 0;
  std::filesystem::create_directories(argv[1]);
  for (std::uint64_t s = 0; s < shards; ++s) {
    std::string number = std::to_string(s);
    number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
    std::ofstream out(std::string(argv[1]) + "/in-" + number + ".tar", std::ios::binary | std::ios::trunc);
    const std::string archive = make_shard(s, samples, compressible);
    out.write(archive.data(), static_cast<std::streamsize>(archive.size()));
    if (!out.flush()) {
      std::fprintf(stderr, "dsort_data: cannot write in-%s.tar\n", number.c_str());
      return 74;
    }
  }
  return 0;
}
