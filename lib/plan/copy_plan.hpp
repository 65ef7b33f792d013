// copy_plan.hpp - what one disk does about its copy of an object, so that all holders get the newest version and nobody else keeps one.
// Level 4 (plan). Pure: every disk decides for itself, by what the holders have, and together they do each thing once, or harmlessly twice.
// A copy that is not in its place goes once all holders have the version: in the same round if it was the only one, else in the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tarn::plan {

/// Of a holder without the object; older than any version.
inline constexpr std::int64_t kNoVersion = INT64_MIN;

struct CopyVerdict {
  std::vector<std::size_t> copy_to;  ///< holders, by their place, that get this disk's version
  bool remove = false;               ///< then this disk's copy goes: it belongs elsewhere, and all holders have it, or a later one
};

/// @param mine      the version on this disk, not kNoVersion.
/// @param my_place  among the holders; nullopt: this disk is none.
/// @param holders   their versions, the home first; at my_place `mine`.
[[nodiscard]] CopyVerdict judge_copy(std::int64_t mine, std::optional<std::size_t> my_place, std::span<const std::int64_t> holders);

}  // namespace tarn::plan
