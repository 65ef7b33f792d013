#include "shard/member.hpp"

#include <algorithm>

namespace tarn::shard {

namespace {

/// A name without "/" that begins and ends with "__", or one whose first component holds "__" up to a
/// second "__" at its end: `__[^/]*__($|/)`.
bool is_webdataset_meta(std::string_view name) {
  if (!name.starts_with("__")) return false;
  const std::string_view first = name.substr(0, name.find('/'));
  if (first.size() == name.size()) return first.ends_with("__");  // "__" alone and "___" count as well
  return first.size() >= 4 && first.ends_with("__");
}

/// ASCII letters, and the two-byte UTF-8 letters whose lower case is the same length (Latin-1, Greek,
/// Cyrillic): what Python's str.lower() does to extensions that exist.
std::string to_lower(std::string_view text) {
  std::string lower(text);
  for (std::size_t i = 0; i < lower.size(); ++i) {
    const auto c = static_cast<unsigned char>(lower[i]);
    if (c >= 'A' && c <= 'Z') {
      lower[i] = static_cast<char>(c + 32);
    } else if (c >= 0xc3 && c <= 0xd0 && i + 1 < lower.size()) {
      auto code = static_cast<unsigned>((c & 0x1f) << 6 | (static_cast<unsigned char>(lower[i + 1]) & 0x3f));
      if ((code >= 0xc0 && code <= 0xde && code != 0xd7) || (code >= 0x391 && code <= 0x3a9 && code != 0x3a2) || (code >= 0x410 && code <= 0x42f))
        code += 32;
      else if (code >= 0x400 && code <= 0x40f)
        code += 80;
      lower[i] = static_cast<char>(0xc0 | code >> 6);
      lower[i + 1] = static_cast<char>(0x80 | (code & 0x3f));
      ++i;
    }
  }
  return lower;
}

}  // namespace

std::optional<MemberName> split_member_name(std::string_view name) {
  if (is_webdataset_meta(name)) return std::nullopt;
  // ^((?:.*/|)[^.]+)[.]([^/]*)$ : the directory part is greedy but must leave something before a dot, so
  // the last slash is tried first, then the one before it ("dir/.hidden" is "dir/" + "hidden").
  const auto slash = name.rfind('/');
  const std::size_t base = slash == std::string_view::npos ? 0 : slash + 1;
  const auto dot = name.find('.', base);
  if (dot == std::string_view::npos) return std::nullopt;
  if (dot == base) {
    if (base == 0) return std::nullopt;
    const auto before = name.substr(0, slash).rfind('/');  // "a/b/.c": is "b/" free of dots?
    const std::size_t from = before == std::string_view::npos ? 0 : before + 1;
    if (from < base && name.substr(from, base - from).find('.') != std::string_view::npos) return std::nullopt;
  }
  return MemberName{name.substr(0, dot), to_lower(name.substr(dot + 1))};
}

Result<SampleGrouping::Step> SampleGrouping::add(std::string_view name, bool regular) {
  const auto parts = regular ? split_member_name(name) : std::nullopt;
  if (!parts) return Step::ignored;
  const bool begins = !open_ || parts->key != key_;
  if (begins) {
    open_ = true;
    key_ = parts->key;
    extensions_.clear();
  } else if (std::find(extensions_.begin(), extensions_.end(), parts->extension) != extensions_.end()) {
    return fail(ErrorCode::invalid, "sample '" + key_ + "' has two members with the extension '" + parts->extension + "', the second is '" +
                                        std::string(name) + "'; rename or remove one");
  }
  extensions_.push_back(parts->extension);
  return begins ? Step::begins : Step::joins;
}

}  // namespace tarn::shard
