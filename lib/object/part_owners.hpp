// part_owners.hpp - which assembled objects need which volumes: what a check asks when it meets a part that has no name any more.
// Level 3 (object). make() on one thread; then any number of threads may read.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "volume/disk.hpp"
#include "volume/record.hpp"

namespace tarn::object {

class PartOwners {
 public:
  struct Owner {
    ObjectName name;
    std::uint64_t sequence = 0;
  };
  struct Part {
    volume::Extent extent;
    std::size_t owner = 0;  ///< in owners()
  };

  /// @errors those of Disk::scan. @cost one walk through the index; memory for the parts only.
  [[nodiscard]] static Result<PartOwners> make(volume::Disk& disk);
  /// @return nullptr: no assembled object needs it.
  [[nodiscard]] const Part* find(std::uint64_t volume) const;
  [[nodiscard]] const std::map<std::uint64_t, Part>& parts() const noexcept { return parts_; }  ///< by volume
  [[nodiscard]] const Owner& owner_of(const Part& part) const { return owners_[part.owner]; }

 private:
  std::vector<Owner> owners_;
  std::map<std::uint64_t, Part> parts_;
};

}  // namespace tarn::object
