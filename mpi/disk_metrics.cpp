#include "mpi/disk_metrics.hpp"

#include <algorithm>

namespace tarn::mpi {

DiskMetrics::DiskMetrics(base::Metrics& metrics, const object::LocalStore* store) : store_(store) {
  if (store_ == nullptr) return;
  for (const auto& disk : store_->disks()) {
    const base::Labels labels{{"disk", disk.id.to_string()}};
    disks_.push_back(
        {metrics.gauge("tarn_disk_garbage_bytes", "Objects that were overwritten or removed, and removals, that still take space", labels),
         metrics.counter("tarn_compaction_moved_bytes_total", "Copied by compaction", labels),
         metrics.counter("tarn_compaction_returned_bytes_total", "Of volumes that compaction has removed", labels),
         {}});
  }
}

void DiskMetrics::update() {
  if (store_ == nullptr) return;
  const auto now = store_->compaction();
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < std::min(now.size(), disks_.size()); ++i) {
    Disk& disk = disks_[i];
    disk.garbage.set(static_cast<double>(now[i].garbage_bytes));
    disk.moved.add(static_cast<double>(now[i].moved_bytes - std::min(now[i].moved_bytes, disk.counted.moved_bytes)));
    disk.returned.add(static_cast<double>(now[i].returned_bytes - std::min(now[i].returned_bytes, disk.counted.returned_bytes)));
    disk.counted = now[i];
  }
}

}  // namespace tarn::mpi
