// listing.hpp - pages of keys: of one disk, and merged over disks.
// Level 3 (object). Pure functions and a walk of one index; any thread.
#pragma once

#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "volume/disk.hpp"

namespace tarn::object {

/// One page of one disk's keys in a bucket (whose existence is not checked).
/// @cost walks the page's keys; a rolled-up prefix is one seek, whatever it holds.
[[nodiscard]] Result<ListPage> list_disk(volume::Disk& disk, std::string_view bucket, const ListOptions& options);

/// Merges pages that were made with the same options. The newer one of two objects with one key wins.
[[nodiscard]] ListPage merge_pages(std::vector<ListPage> pages, std::size_t max_keys);

}  // namespace tarn::object
