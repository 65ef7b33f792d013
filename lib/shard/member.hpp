// member.hpp - the WebDataset rule: which members of an archive form a sample, and under which names.
// Level 2 (shard). Pure. The one place where the rule is written; everything in Tarn calls it.
//
//   photos/cat.7.jpg     key "photos/cat", extension "7.jpg"     key = up to the first dot after the last slash
//   a.JPG                key "a",          extension "jpg"       the extension is lower-cased, the key is not
//   README, .hidden      ignored                                 no key or no dot
//   __meta__, __x__/a.b  ignored                                 WebDataset's own members
//
// Consecutive members of equal key form a sample; ignored members in between do not end it.
// Source: webdataset 1.0.2, tariterators.py (base_plus_ext, tar_file_iterator, group_by_keys).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

namespace tarn::shard {

struct MemberName {
  std::string_view key;   ///< a prefix of the name
  std::string extension;  ///< without its dot, lower case; may be empty or hold dots
};

/// The name's two parts, or nullopt for a member that samples ignore.
/// Of the name only: members that are not regular files are ignored as well, which the caller knows.
[[nodiscard]] std::optional<MemberName> split_member_name(std::string_view name);

/// Follows members in archive order and says where samples begin.
class SampleGrouping {
 public:
  enum class Step {
    ignored,  ///< not part of any sample
    begins,   ///< the first member of a sample; the one before it, if any, is complete
    joins,    ///< one more member of the sample
  };
  /// @errors invalid: the sample has a member of this extension already ("jpg" and "JPG" are the same).
  [[nodiscard]] Result<Step> add(std::string_view name, bool regular);
  /// Of the sample that is open; empty before the first.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }

 private:
  std::string key_;
  bool open_ = false;
  std::vector<std::string> extensions_;  // of the open sample
};

}  // namespace tarn::shard
