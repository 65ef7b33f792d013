#include <catch2/catch.hpp>

#include <cerrno>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/forwarding_file_system.hpp"
#include "support/temporary_directory.hpp"
#include "volume/patient_file.hpp"

using namespace tarn;
using namespace tarn::tests;
using namespace tarn::volume;

namespace {

constexpr std::size_t kSize = 100'000;

/// What is asked of the disk, and what it refuses.
struct Disk {
  std::uint64_t bad_begin = 0, bad_end = 0;
  int refusals = -1;  ///< so many; -1: always
  int error = EIO;
  std::uint64_t reads = 0;
};

class StubbornFile final : public ForwardingFile {
 public:
  StubbornFile(Disk& disk, std::unique_ptr<base::File> real) : ForwardingFile(std::move(real)), disk_(disk) {}
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override {
    ++disk_.reads;
    const bool touches = offset < disk_.bad_end && offset + target.size() > disk_.bad_begin;
    if (touches && disk_.refusals != 0) {
      if (disk_.refusals > 0) --disk_.refusals;
      return fail(base::errno_error(disk_.error, "read", path()));
    }
    return ForwardingFile::read_at(offset, target);
  }

 private:
  Disk& disk_;
};

PatientFile open(Disk& disk, const TemporaryDirectory& directory, std::size_t size = kSize) {
  auto file = base::posix_file_system().open(directory.file("f"), base::OpenMode::create).value();
  REQUIRE(file->write_at(0, std::span<const std::byte>(std::vector<std::byte>(size, std::byte{'x'}))));
  return PatientFile(std::make_unique<StubbornFile>(disk, std::move(file)));
}

}  // namespace

TEST_CASE("PatientFile: what fails once is read again, and nobody sees a difference", "[volume][faults]") {
  const TemporaryDirectory directory;
  Disk disk{5000, 5001, 1};
  const PatientFile file = open(disk, directory);
  std::vector<std::byte> target(kSize + 1);
  CHECK(file.read_at(0, target).value() == kSize);
  target.pop_back();
  CHECK(target == std::vector<std::byte>(kSize, std::byte{'x'}));
  CHECK(file.unreadable().empty());
}

TEST_CASE("PatientFile: a page that cannot be read is zeros, noted, and not asked for again", "[volume][faults]") {
  const TemporaryDirectory directory;
  Disk disk{5000, 5001};
  const PatientFile file = open(disk, directory);
  std::vector<std::byte> target(kSize);
  CHECK(file.read_at(0, target).value() == kSize);
  for (std::size_t i = 0; i < kSize; ++i) REQUIRE(target[i] == (i / 4096 == 1 ? std::byte{0} : std::byte{'x'}));
  CHECK(file.unreadable() == PatientFile::Ranges{{4096, 8192}});
  CHECK(file.lacks(8191, 1));
  CHECK(file.lacks(0, 4097));
  CHECK_FALSE(file.lacks(0, 4096));
  CHECK_FALSE(file.lacks(8192, 1000));
  CHECK(file.reason().find("Input/output error") != std::string::npos);
  disk.reads = 0;
  CHECK(file.read_at(4096, std::span(target).first(4096)).value() == 4096);
  CHECK(disk.reads == 0);
}

TEST_CASE("PatientFile: a file of which nothing can be read is asked for a bounded number of times", "[volume][faults]") {
  const TemporaryDirectory directory;
  Disk disk{0, UINT64_MAX};
  constexpr std::size_t kLarge = 8 << 20;
  const PatientFile file = open(disk, directory, kLarge);
  std::vector<std::byte> target(512);
  for (std::uint64_t at = 0; at < kLarge; at += target.size()) REQUIRE(file.read_at(at, target).value() == target.size());
  CHECK(file.unreadable() == PatientFile::Ranges{{0, kLarge}});
  CHECK(disk.reads <= PatientFile::kReadsMax + 1);
}

TEST_CASE("PatientFile: other errors are errors", "[volume][faults]") {
  const TemporaryDirectory directory;
  Disk disk{0, UINT64_MAX, -1, EACCES};
  const PatientFile file = open(disk, directory);
  std::vector<std::byte> target(512);
  CHECK(file.read_at(0, target).error().code == ErrorCode::denied);
}
