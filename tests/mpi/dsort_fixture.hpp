// dsort_fixture.hpp - what the tests of dsort share: data sets, what shards hold, refusals.
#pragma once

#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <random>

#include "dsort_world.hpp"
#include "shard/shard_index.hpp"

namespace tarn::tests {

inline std::string noise(std::mt19937& random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

/// Shards of samples of two members; every fifth shard has things that samples ignore.
inline Objects make_shards(unsigned seed, int shards, int samples, std::size_t size_max = 3000) {
  std::mt19937 random(seed);
  Objects result;
  for (int s = 0; s < shards; ++s) {
    std::string archive;
    for (int i = 0; i < samples; ++i) {
      const std::string key = "class" + std::to_string(random() % 5) + "/img-" + std::to_string(s) + "-" + std::to_string(i);
      append_member(archive, key + ".jpg", noise(random, random() % size_max));
      if (s % 5 == 0 && i % 7 == 0) append_member(archive, "notes", "ignored");
      append_member(archive, key + ".cls", std::to_string(random() % 1000));
    }
    if (s % 3 != 0) archive.append(1024, '\0');
    result["in-" + std::string(s < 10 ? "0" : "") + std::to_string(s) + ".tar"] = archive;
  }
  return result;
}

/// Every member of every archive: name -> bytes. Counts samples by the rule on the way.
inline Objects members_of(const Objects& archives, const std::string& directory, std::size_t* samples = nullptr) {
  Objects members;
  std::vector<std::byte> window(shard::kIndexWindowBytesMin);
  for (const auto& [name, bytes] : archives) {
    const auto read = [&bytes = bytes](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
      const std::size_t n = std::min<std::size_t>(target.size(), bytes.size() - offset);
      std::memcpy(target.data(), bytes.data() + offset, n);
      return n;
    };
    const auto counts = shard::index_shard(
        name, bytes.size(), read, [](const shard::Sample&) -> Result<void> { return {}; }, window);
    REQUIRE(counts);
    if (samples != nullptr) *samples += counts->samples;
  }
  std::system(("rm -rf " + directory + " && mkdir -p " + directory + "/x").c_str());  // NOLINT(concurrency-mt-unsafe)
  for (const auto& [name, bytes] : archives) {
    std::ofstream(directory + "/a.tar", std::ios::binary) << bytes;
    REQUIRE(std::system(("tar -C " + directory + "/x -xf " + directory + "/a.tar 2>&1").c_str()) == 0);  // NOLINT(concurrency-mt-unsafe)
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory + "/x")) {
    if (!entry.is_regular_file() || entry.path().filename() == "notes") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    members[entry.path().lexically_relative(directory + "/x").string()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return members;
}

inline DsortSpec shuffle_spec() {
  DsortSpec spec;
  spec.input.bucket = "input";
  spec.output_bucket = "output";
  spec.output_template = "train-%04d.tar";
  spec.shard_size_bytes = 200'000;
  spec.order = DsortOrder::shuffle;
  spec.seed = 11;
  spec.memory_budget_bytes = 8 << 20;
  return spec;
}

/// The keys of a shard's samples, in order.
inline std::vector<std::string> keys_of(const std::string& bytes) {
  std::vector<std::string> keys;
  std::vector<std::byte> window(shard::kIndexWindowBytesMin);
  const auto read = [&](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
    const std::size_t n = std::min<std::size_t>(target.size(), bytes.size() - offset);
    std::memcpy(target.data(), bytes.data() + offset, n);
    return n;
  };
  const auto take = [&](const shard::Sample& sample) -> Result<void> {
    keys.push_back(sample.key);
    return {};
  };
  REQUIRE(shard::index_shard("x", bytes.size(), read, take, window));
  return keys;
}

inline std::vector<std::string> keys_of(const Objects& shards) {
  std::vector<std::string> keys;
  for (const auto& shard : shards)
    for (auto& key : keys_of(shard.second)) keys.push_back(std::move(key));
  return keys;
}

inline void check_refused(DsortWorld& world, const DsortSpec& spec, ErrorCode code, const std::string& part) {
  const auto report = world.dsort(spec);
  REQUIRE(!report);
  CHECK(report.error().code == code);
  CHECK_THAT(report.error().message, Catch::Contains(part));
  CHECK(world.temporary_files() == 0);
}

}  // namespace tarn::tests
