// own_objects.hpp - objects of Tarn's own buckets, whose names begin with a dot: no user can name them, no listing shows them.
// Level 3 (object). Any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tarn/result.hpp>

#include "volume/disk.hpp"

namespace tarn::object {

using OwnObject = std::pair<std::string, volume::Record>;  // key

/// Those on a disk whose keys begin with `prefix`, in order. @errors of the index; corrupt.
[[nodiscard]] Result<std::vector<OwnObject>> own_objects_on(volume::Disk& disk, std::string_view bucket, std::string_view prefix);

}  // namespace tarn::object
