// mpi_test.hpp - what the tests that run under mpirun share. Every TEST_CASE is collective: all ranks run it.
//
// Environment: TARN_TEST_NODES=ranks plays one node per rank (the remote path); TARN_TEST_THREADS=funneled or
// serialized asks MPI for less than MPI_THREAD_MULTIPLE, so that the store runs without a service thread.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <tarn/open.hpp>

namespace tarn::tests {

[[nodiscard]] int world_rank();
[[nodiscard]] int world_size();

/// Waits for all ranks, and lets the store answer them meanwhile.
void meet(Store& store);
void meet();

/// One directory for all ranks, made by rank 0, gone at the end of the test on every rank.
class SharedDirectory {
 public:
  SharedDirectory();
  SharedDirectory(const SharedDirectory&) = delete;
  SharedDirectory& operator=(const SharedDirectory&) = delete;
  ~SharedDirectory();
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// One directory per rank below `directory`, and the node mode of the environment.
[[nodiscard]] StoreOptions test_options(const SharedDirectory& directory);
[[nodiscard]] Store open_store(const StoreOptions& options);

/// The same bytes for the same arguments on every rank.
[[nodiscard]] std::vector<std::byte> test_bytes(std::size_t size, std::uint64_t seed);

/// Changes a byte in every block of object data in a disk's volumes (bytes of test_bytes(): no header or padding looks like noise), so that no
/// object of more than a few hundred bytes is whole. While nobody uses the disk.
void damage_volumes(const std::string& disk);

/// A key of this form whose object lives on that rank.
[[nodiscard]] std::string key_on(const Store& store, const std::string& bucket, const std::string& stem, RankId rank);

/// "" when it succeeded, else the error: REQUIRE(failure(call) == "").
template <class T>
[[nodiscard]] std::string failure(const Result<T>& result) {
  return result ? std::string() : std::string(to_string(result.error().code)) + ": " + result.error().message;
}
/// The code's name, or "success".
template <class T>
[[nodiscard]] std::string code_of(const Result<T>& result) {
  return result ? "success" : std::string(to_string(result.error().code));
}

}  // namespace tarn::tests
