// check_table.hpp - what the index says of each object, as a small table that a check compares members with.
// Level 3 (object). make() on one thread; then any number of threads may read.
//
// A member is met in the order of its volume, its entry in the index lies where its key is: looked up one by one, each costs a
// walk down a tree that is in no cache. So the index is read once, in its own order, and kept as 16 bytes an object: the
// sequence, and a hash of key and record. A member whose hash is the one of its sequence is current, lies where the index says
// and has the properties that the index has; of a sequence that is not in the table no key of the index speaks. Whatever
// else there is has to be looked up.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

#include "volume/disk.hpp"
#include "volume/record.hpp"

namespace tarn::object {

class CheckTable {
 public:
  /// @param bytes_max  it would be larger: an empty optional; nor is there one where the index has a damaged entry, or one that
  ///                   looking it up does not find.
  /// @errors those of Disk::scan. @cost one walk through the index, and 16 bytes an object; a look-up for each end of a page.
  [[nodiscard]] static Result<std::optional<CheckTable>> make(volume::Disk& disk, std::uint64_t bytes_max);

  enum class Answer {
    absent,  ///< no object of the index has this sequence
    same,    ///< one has, and it is this one, this place and these properties
    other,   ///< one has, and something is different
  };
  /// @param hint  where the last answer was found, 0 at first: sequences that follow each other are found at once.
  [[nodiscard]] Answer compare(std::string_view key, const volume::Record& record, std::size_t& hint) const;
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    std::uint64_t sequence = 0;
    std::uint64_t hash = 0;
  };
  class Builder;
  explicit CheckTable(std::vector<Entry> entries) : entries_(std::move(entries)) {}

  std::vector<Entry> entries_;  // by sequence
};

}  // namespace tarn::object
