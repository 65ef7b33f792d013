// index_probe.hpp - finds out whether an index can be used without risking this process.
// Level 2 (volume). Called while the process has no other threads, with the disk's lock held and its index not open.
#pragma once

#include <string>

#include <tarn/result.hpp>

#include "base/file.hpp"

namespace tarn::volume {

/// Reads every entry of the index and commits an empty change, in a child process: LMDB ends a process that meets a page which
/// contradicts itself, and a page that is missing is a bus error.
/// @return what is wrong with it; empty: nothing. @cost reads the whole index.
/// @errors what kept it from being read although it may be good: no_space, denied, io, busy (too many open files, too little memory or
///         too many processes; ended by a signal from outside).
[[nodiscard]] Result<std::string> probe_index(base::FileSystem& fs, const std::string& directory);

}  // namespace tarn::volume
