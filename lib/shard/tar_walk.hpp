// tar_walk.hpp - every entry of a tar in order, those too that samples ignore.
// Level 2 (shard). One thread per call.
#pragma once

#include <cstdint>
#include <functional>

#include <tarn/result.hpp>

#include "shard/tar_format.hpp"
#include "shard/tar_stream.hpp"

namespace tarn::shard {

/// @param offset  of the entry's first header block in the tar. An error ends the walk.
using TarEntryFn = std::function<Result<void>(const TarEntry& entry, std::uint64_t offset)>;

/// @errors invalid, unsupported: damage, with its offset; the message does not name the archive. What the stream and `take` return.
/// @cost   reads every byte once.
[[nodiscard]] Result<void> walk_tar(TarStream& stream, const TarEntryFn& take);

}  // namespace tarn::shard
