// system_calls.hpp - the calls of the operating system by which files are read and written, in the hands of a test. They take the
// place of libc's in the whole program, also for libraries: LMDB writes its file by itself, not through a FileSystem.
#pragma once

#include <cstddef>

#include "fault_plan.hpp"

namespace tarn::tests {

/// Decides over the calls on the index's file; nullptr: nobody does. Change it only while no store is open.
extern FaultPlan* index_plan;
/// No call moves more bytes to or from any other file, and every third one is interrupted. 0: as they are.
extern std::size_t transfer_bytes_max;

}  // namespace tarn::tests
