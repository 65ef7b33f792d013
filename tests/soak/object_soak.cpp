// object_soak.cpp - an object that is larger than memory: written as a stream, read whole and in ranges, the process staying small.
//
//   object_soak [--mib N=20480] [--ranges N=2000] [--seed N] [--dir D=/tmp]
//
// The bytes are computed from their offset, so that any range can be checked without a second copy. Ends with status 1 when a byte is
// wrong or memory grew, 77 when the disk has no room.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "object/local_store.hpp"

using namespace tarn;

namespace {

constexpr std::uint64_t kPieceMax = 4 << 20;
constexpr double kGrowthMibMax = 16;  // beyond what the process has once it writes
const ObjectName kName{"soak", "large"};

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "object_soak: %s\n", why.c_str());
  std::exit(1);
}
template <class T>
T need(Result<T> result) {
  if (!result) stop(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

/// The word at an offset (of 8 bytes): splitmix64.
std::uint64_t word_at(std::uint64_t index) {
  std::uint64_t z = (index + 1) * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

/// Bytes [offset, offset + target.size()) of the object.
void make(std::uint64_t offset, std::span<std::byte> target) {
  while (!target.empty()) {
    const std::uint64_t word = word_at(offset / 8);
    const std::size_t skip = offset % 8, size = std::min<std::size_t>(8 - skip, target.size());
    std::memcpy(target.data(), reinterpret_cast<const char*>(&word) + skip, size);
    offset += size;
    target = target.subspan(size);
  }
}

class Soak {
 public:
  Soak(std::string base, std::uint64_t size_bytes, std::uint64_t seed) : size_bytes_(size_bytes), random_(seed), directory_(std::move(base)) {
    directory_ += "/object-soak-XXXXXX";
    if (::mkdtemp(directory_.data()) == nullptr) stop("cannot make " + directory_);
    open();
    need(store_->create_bucket(kName.bucket, 1));
  }
  ~Soak() {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  Soak(const Soak&) = delete;
  Soak& operator=(const Soak&) = delete;

  void open() {
    store_.reset();
    object::LocalStoreOptions options;
    options.directories = {directory_};
    store_ = need(object::LocalStore::open(options));
  }

  void write() {
    const auto writer = need(store_->create(0, kName, {}, UINT64_MAX));
    double first = 0;
    for (std::uint64_t at = 0; at < size_bytes_;) {
      const auto piece = next_piece(at);
      make(at, piece);
      need(writer->write(piece));
      at += piece.size();
      if (first == 0 && at >= 4 * kPieceMax) first = peak_mib();
    }
    need(writer->commit());
    base_mib_ = first == 0 ? peak_mib() : first;
  }

  void read_whole() {
    const auto reader = need(store_->open_reader(0, kName));
    if (reader->info().size_bytes != size_bytes_) stop("the object has another size");
    for (std::uint64_t at = 0; at < size_bytes_;) {
      const auto piece = next_piece(at);
      check(*reader, at, piece);
      at += piece.size();
    }
    if (!reader->verified()) stop("reading it whole did not verify it");
  }

  void read_ranges(std::size_t count) {
    const auto reader = need(store_->open_reader(0, kName));
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t at = random_() % size_bytes_;
      check(*reader, at, next_piece(at));
    }
  }

  [[nodiscard]] double growth_mib() const { return peak_mib() - base_mib_; }

 private:
  std::span<std::byte> next_piece(std::uint64_t at) {
    return std::span(buffer_).first(std::min<std::uint64_t>(1 + random_() % kPieceMax, size_bytes_ - at));
  }
  void check(object::ObjectReader& reader, std::uint64_t at, std::span<std::byte> target) {
    if (need(reader.read(at, target)) != target.size()) stop("the object ends at byte " + std::to_string(at));
    const auto expected = std::span(expected_).first(target.size());
    make(at, expected);
    if (std::memcmp(expected.data(), target.data(), target.size()) != 0) stop("wrong bytes behind offset " + std::to_string(at));
  }

  const std::uint64_t size_bytes_;
  std::mt19937_64 random_;
  std::string directory_;
  std::unique_ptr<object::LocalStore> store_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kPieceMax), expected_ = std::vector<std::byte>(kPieceMax);
  double base_mib_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t mib = 20 * 1024, seed = std::random_device()();
  std::size_t ranges = 2000;
  std::string base = "/tmp";
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    if (option == "--mib") mib = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--ranges") ranges = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--seed") seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--dir") base = argv[i + 1];
  }
  const std::uint64_t size_bytes = mib << 20;
  if (std::filesystem::space(base).available < size_bytes + (2ULL << 30)) {
    std::printf("SKIPPED: %s has no room for an object of %llu MiB\n", base.c_str(), static_cast<unsigned long long>(mib));
    return 77;
  }
  std::printf("an object of %llu MiB, seed %llu\n", static_cast<unsigned long long>(mib), static_cast<unsigned long long>(seed));
  Soak soak(base, size_bytes, seed);
  const auto step = [&](const char* what, const auto& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::printf("%-32s %7.1f s, at most %5.1f MiB of memory\n", what, seconds, peak_mib());
    std::fflush(stdout);
  };
  step("written", [&] { soak.write(); });
  step("read in ranges", [&] { soak.read_ranges(ranges); });
  step("read whole", [&] { soak.read_whole(); });
  step("opened again, read in ranges", [&] {
    soak.open();
    soak.read_ranges(ranges);
  });
  if (soak.growth_mib() > kGrowthMibMax) stop("memory grew by " + std::to_string(soak.growth_mib()) + " MiB with the object");
  return 0;
}
