// selection.hpp - which members and samples a dsort takes.
// Level 4 (plan). Constant: any thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <tarn/dsort.hpp>
#include <tarn/result.hpp>

#include "base/regex.hpp"

namespace tarn::plan {

class Selection {
 public:
  /// @errors invalid: the spec's regular expression; members to keep and to drop at once; a member that is sorted or counted by is not kept.
  [[nodiscard]] static Result<Selection> make(const DsortSpec& spec);

  /// Whether any member is left out.
  [[nodiscard]] bool selects_members() const noexcept { return !extensions_.empty(); }
  /// @param extension  in lower case, as MemberName has it.
  [[nodiscard]] bool keeps_member(const std::string& extension) const { return extensions_.empty() || extensions_.contains(extension) == keep_; }
  [[nodiscard]] bool keeps_sample(std::string_view key) const noexcept { return !pattern_ || pattern_->matches(key); }

 private:
  std::set<std::string> extensions_;  // empty: all
  bool keep_ = true;                  // these, or all but these
  std::optional<base::Regex> pattern_;
};

}  // namespace tarn::plan
