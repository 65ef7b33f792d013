// quarantine.hpp - takes damaged objects out of a disk's listing, without losing what is left of them: `tarn check --quarantine`.
// Level 3 (object). One thread; nobody else uses the disk.
//
//   <disk>/quarantine/SEQ.tar    a tar of its own: the object's header as the index knows it, and its bytes as they are on the disk
#pragma once

#include <cstdint>
#include <string>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/file.hpp"
#include "volume/disk.hpp"

namespace tarn::object {

[[nodiscard]] bool in_quarantine(base::FileSystem& fs, const std::string& directory, std::uint64_t sequence);

/// Copies what can be read of the object's current version out, onto stable storage, reads the copy again, and then removes the object.
/// @return the copy's path; empty: nothing of it was left. @errors io (the copy is not what was written, too), no_space; busy:
///         its bytes turn out to be intact. The object stays as it is.
/// @cost   space for a copy of it, and the time to write and read that.
[[nodiscard]] Result<std::string> quarantine(base::FileSystem& fs, volume::Disk& disk, const ObjectName& name);

/// Writes an object whose bytes are intact anew, with what belongs to them; its properties and its time stay.
/// @errors corrupt: its bytes are not intact; io, no_space: it stays as it is.
[[nodiscard]] Result<void> write_anew(volume::Disk& disk, const ObjectName& name);

}  // namespace tarn::object
