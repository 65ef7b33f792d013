// part_proof.hpp - whether the parts that an assembled object lists are there, as they were when it was made: asked after a loss of power.
// Level 2 (volume). Any thread.
#pragma once

#include <cstdint>
#include <string>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "volume/record.hpp"

namespace tarn::volume {

/// unknown: some bytes cannot be read.
enum class Whole : std::uint8_t { no, unknown, yes };

/// The parts were written before the list; but after a loss of power one of them may be missing, or not be what it was. One without
/// its header, or cut in its padding, is none: its volume does not stay. Notes in the record which have lost their block hashes.
/// @errors those of opening a file, but not_found and io. @cost reads all bytes, unless a look at the ends of each part says no.
[[nodiscard]] Result<Whole> parts_are_whole(base::FileSystem& fs, const std::string& directory, const base::Uuid& disk, Record& assembled);

}  // namespace tarn::volume
