#include "plan/selection.hpp"

#include <utility>

#include "base/error.hpp"
#include "shard/member.hpp"

namespace tarn::plan {

namespace {

std::string in_lower_case(const std::string& extension) {
  return shard::split_member_name("x." + extension)->extension;
}

}  // namespace

Result<Selection> Selection::make(const DsortSpec& spec) {
  Selection selection;
  if (!spec.keep_extensions.empty() && !spec.drop_extensions.empty())
    return fail(ErrorCode::invalid, "dsort: give either the members to keep or those to drop");
  selection.keep_ = spec.drop_extensions.empty();
  for (const auto& extension : selection.keep_ ? spec.keep_extensions : spec.drop_extensions) {
    if (extension.find('/') != std::string::npos) return fail(ErrorCode::invalid, "dsort: '" + extension + "' is not the extension of a member");
    selection.extensions_.insert(in_lower_case(extension));
  }
  const std::pair<const char*, const std::string*> needed[] = {{"sorted", spec.order == DsortOrder::content ? &spec.content_extension : nullptr},
                                                               {"counted", &spec.class_extension}};
  for (const auto& [what, extension] : needed)
    if (extension != nullptr && !extension->empty() && !selection.keeps_member(in_lower_case(*extension)))
      return fail(ErrorCode::invalid, "dsort: members '." + *extension + "' are left out, but samples are " + what + " by them; keep them");
  if (spec.key_pattern.empty()) return selection;
  auto pattern = base::Regex::compile(spec.key_pattern);
  if (!pattern) return fail(pattern.error().code, "dsort: " + pattern.error().message);
  selection.pattern_ = std::move(*pattern);
  return selection;
}

}  // namespace tarn::plan
