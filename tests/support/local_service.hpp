// local_service.hpp - an ObjectService without MPI, for tests: several "ranks" in one process, each over a LocalStore.
// A key "r1/..." belongs to rank 1; others are dealt out by hash. Any thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "object/local_store.hpp"
#include "object/object_service.hpp"

namespace tarn::tests {

struct ClusterOptions {
  std::vector<std::string> directories;  ///< one per rank
  bool same_node = false;                ///< ranks may read each other's files
  bool disagree = false;                 ///< each rank says that the next one is the owner
  std::chrono::milliseconds delay{0};    ///< of each call that goes to another rank
};

class LocalCluster {
 public:
  [[nodiscard]] static Result<std::unique_ptr<LocalCluster>> open(const ClusterOptions& options);
  ~LocalCluster();

  [[nodiscard]] int size() const noexcept;
  [[nodiscard]] object::ObjectService& service(RankId rank) noexcept;
  [[nodiscard]] object::LocalStore& store(RankId rank) noexcept;
  /// Before any service is used by others.
  void set_urls(const std::vector<std::string>& urls);

 private:
  class Service;
  struct State;
  explicit LocalCluster(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tarn::tests
