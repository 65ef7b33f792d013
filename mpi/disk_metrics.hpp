// disk_metrics.hpp - what compaction does on the disks of this rank, set just before the metrics are written out.
// Level 6 (mpi). Any thread.
#pragma once

#include <mutex>
#include <vector>

#include "base/metrics.hpp"
#include "object/local_store.hpp"

namespace tarn::mpi {

class DiskMetrics {
 public:
  /// @param store  null: this rank has no disks.
  DiskMetrics(base::Metrics& metrics, const object::LocalStore* store);
  void update();

 private:
  struct Disk {
    base::Gauge garbage;
    base::Counter moved, returned;
    volume::CompactionStats counted;
  };
  const object::LocalStore* const store_;
  std::mutex mutex_;  // guards disks_
  std::vector<Disk> disks_;
};

}  // namespace tarn::mpi
