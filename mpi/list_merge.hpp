// list_merge.hpp - one page of a bucket out of the pages of all its ranks.
// Level 6 (mpi). Pure.
#pragma once

#include <cstddef>
#include <vector>

#include <tarn/object.hpp>

namespace tarn::mpi {

/// `pages` answer the same ListOptions, each for one rank's objects. A key is on one rank; a common prefix may be on all.
/// A page that was cut short says nothing about what comes after its last entry, so neither does the result.
[[nodiscard]] ListPage merge_pages(std::vector<ListPage> pages, std::size_t max_keys);

}  // namespace tarn::mpi
