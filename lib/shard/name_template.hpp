// name_template.hpp - numbered names: "train-%06d.tar", "in-{0000..0063}.tar", "in-@0063.tar".
// Level 2 (shard). Value type, immutable; any thread.
//
//   %06d  %d           0, 1, 2, ... without end, at least so many digits
//   {0000..0063}       0 to 63; {0..63..3} in steps; padded as bash does: to the longest, if one has a leading 0
//   @0063              0 to 63, as many digits as written (AIStore's form)
//   no such part       that one name
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tarn/result.hpp>

namespace tarn::shard {

class NameTemplate {
 public:
  /// @errors invalid: two ranges, an empty or backward range, a step of 0, braces without a range.
  [[nodiscard]] static Result<NameTemplate> parse(std::string_view text);

  /// How many names there are; nullopt: no end.
  [[nodiscard]] std::optional<std::uint64_t> capacity() const noexcept { return capacity_; }
  /// The index-th name, from 0; index < capacity().
  [[nodiscard]] std::string name(std::uint64_t index) const;
  /// The index whose name this is.
  [[nodiscard]] std::optional<std::uint64_t> index_of(std::string_view name) const;
  /// What all names begin with.
  [[nodiscard]] const std::string& prefix() const noexcept { return prefix_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  Result<void> parse_braces(std::size_t open);
  void parse_tail(std::size_t begin, std::size_t end);

  std::string text_, prefix_, suffix_;
  bool numbered_ = false;
  std::uint64_t first_ = 0, step_ = 1;
  std::size_t digits_ = 1;
  std::optional<std::uint64_t> capacity_ = 1;
};

}  // namespace tarn::shard
