// disk_table.hpp - the disks of one rank, by their index in LocalStoreOptions::directories.
// Level 3 (object). Constant while the store is open: any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "volume/disk.hpp"

namespace tarn::object {

struct DiskTable {
  std::vector<std::unique_ptr<volume::Disk>> all;

  /// @errors invalid: there is no such disk.
  [[nodiscard]] Result<volume::Disk*> at(std::uint32_t index) const {
    if (index < all.size()) return all[index].get();
    return fail(ErrorCode::invalid, "disk " + std::to_string(index) + ": there are " + std::to_string(all.size()));
  }
};

}  // namespace tarn::object
