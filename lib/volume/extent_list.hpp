// extent_list.hpp - what an assembled object consists of: the data of the member that stands for it.
// Level 2 (volume). Pure functions; any thread.
//
//   text, a line for each extent in the object's order:  VOLUME OFFSET LENGTH HEADER BLOCKS
//   HEADER: bytes of the member before OFFSET; BLOCKS: 1, a table of block hashes follows the data (block_table.hpp), or 0
//
// The extents are whole members of solo volumes, which were written before: parts of an upload, or of an object that was
// appended to. Nothing is copied when they are assembled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "volume/record.hpp"

namespace tarn::volume {

[[nodiscard]] std::string encode_extent_list(std::span<const Extent> extents);
/// @return nullopt: these bytes are no such list.
[[nodiscard]] std::optional<std::vector<Extent>> decode_extent_list(std::span<const std::byte> bytes);
/// The object's size. @return nullopt: more than a number holds.
[[nodiscard]] std::optional<std::uint64_t> extents_bytes(std::span<const Extent> extents) noexcept;

}  // namespace tarn::volume
