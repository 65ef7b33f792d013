// threads_test.cpp - which threads of the application may call a store, at each thread level of MPI.
#include <thread>

#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;

TEST_CASE("Store: a thread that MPI does not allow is told so, at once and by every call", "[threads]") {
  int level = 0;
  MPI_Query_thread(&level);
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const std::string key = key_on(store, "data", "k" + std::to_string(world_rank()), world_rank());
  auto writer = store.writer({"data", key});
  REQUIRE(failure(writer) == "");
  std::vector<std::string> outcomes;
  std::string opened;
  std::thread([&] {
    outcomes = {code_of((*writer)->write(test_bytes(10, 1))), code_of((*writer)->commit()), code_of(store.get({"data", key})),
                code_of(store.head({"data", key})), code_of(store.put({"data", key}, test_bytes(20, 1)))};
    if (level < MPI_THREAD_SERIALIZED) {  // otherwise it is collective
      const auto second = open(MPI_COMM_WORLD, test_options(directory));
      opened = failure(second);
      outcomes.push_back(code_of(store.flush()));
      CHECK_FALSE(store.progress());
    }
  }).join();
  for (const auto& outcome : outcomes) CHECK(outcome == (level < MPI_THREAD_SERIALIZED ? "invalid" : "success"));
  if (level < MPI_THREAD_SERIALIZED) CHECK_THAT(opened, Catch::Contains("MPI_THREAD_FUNNELED") && Catch::Contains("MPI_THREAD_MULTIPLE"));
  meet(store);
  CHECK(failure(store.put({"data", key}, test_bytes(20, 1))) == "");
  meet(store);
  REQUIRE(failure(store.close()) == "");
}
