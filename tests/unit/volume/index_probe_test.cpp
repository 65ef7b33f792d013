// What keeps an index from being looked at is not taken for damage: a good one would be thrown away.
#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <new>
#include <string>

#include "base/error.hpp"
#include "support/forwarding_file_system.hpp"
#include "support/temporary_directory.hpp"
#include "volume/index.hpp"
#include "volume/index_probe.hpp"

using namespace tarn;
using namespace tarn::tests;
using namespace tarn::volume;

namespace {

/// What happens where the child opens the index.
class OtherWorld final : public ForwardingFileSystem {
 public:
  int error = 0, signal = 0;
  bool no_memory = false;
  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    if (signal != 0) ::raise(signal);
    if (no_memory) throw std::bad_alloc();
    if (error != 0) return fail(base::errno_error(error, "open", path));
    return ForwardingFileSystem::open(path, mode, permissions);
  }
};

std::string make_index(const TemporaryDirectory& directory) {
  REQUIRE(Index::open(base::posix_file_system(), directory.file("index")));
  return directory.file("index");
}

}  // namespace

TEST_CASE("probe_index: a good index is good, a damaged one is said to be so", "[volume][index]") {
  const TemporaryDirectory directory;
  const std::string path = make_index(directory);
  auto& fs = base::posix_file_system();
  CHECK(probe_index(fs, path).value().empty());
  std::ofstream(path + "/data.mdb") << std::string(20'000, 'x');
  CHECK(probe_index(fs, path).value().find("is damaged") != std::string::npos);
  OtherWorld world;
  world.signal = SIGBUS;
  CHECK(probe_index(world, path).value().find("is damaged") != std::string::npos);
}

TEST_CASE("probe_index: no space, no permission, an I/O error, no memory or a signal from outside are errors, not damage",
          "[volume][index][faults]") {
  const TemporaryDirectory directory;
  const std::string path = make_index(directory);
  OtherWorld world;
  const auto code = [&] {
    const auto probed = probe_index(world, path);
    REQUIRE_FALSE(probed);
    CHECK(probed.error().message.find(path) != std::string::npos);
    return probed.error().code;
  };
  world.error = ENOSPC;
  CHECK(code() == ErrorCode::no_space);
  world.error = EACCES;
  CHECK(code() == ErrorCode::denied);
  world.error = EIO;
  CHECK(code() == ErrorCode::io);
  world.error = EMFILE;
  CHECK(code() == ErrorCode::busy);
  world.error = 0;
  world.no_memory = true;
  CHECK(code() == ErrorCode::busy);
  world.no_memory = false;
  world.signal = SIGKILL;
  CHECK(code() == ErrorCode::busy);
}

TEST_CASE("probe_index: a process that may not open more files says so", "[volume][index][faults]") {
  const TemporaryDirectory directory;
  const std::string path = make_index(directory);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  for (rlim_t files = 3; files < 14; ++files) {
    const rlimit few{files, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const auto probed = probe_index(base::posix_file_system(), path);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    INFO(files << ": " << (probed ? *probed : probed.error().message));
    CHECK((probed ? probed->empty() : probed.error().code == ErrorCode::busy));
  }
  CHECK(probe_index(base::posix_file_system(), path).value().empty());
}
