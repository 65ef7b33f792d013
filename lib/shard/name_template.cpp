#include "shard/name_template.hpp"

#include <algorithm>
#include <charconv>

#include "base/error.hpp"

namespace tarn::shard {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

tl::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid, "name template '" + std::string(text) + "': " + std::string(why) +
                                      "; write it as train-%06d.tar, train-{0000..0999}.tar or train-@0999.tar");
}

/// First position after the digits that begin at `from`.
std::size_t digits_end(std::string_view text, std::size_t from) {
  while (from < text.size() && is_digit(text[from])) ++from;
  return from;
}

/// Where a numbered part begins: '{', or '%' or '@' in front of what makes them one; npos: nowhere.
std::size_t find_part(std::string_view text, std::size_t from) {
  for (std::size_t i = from; i < text.size(); ++i) {
    const std::size_t end = digits_end(text, i + 1);
    if (text[i] == '{' || (text[i] == '@' && end > i + 1) || (text[i] == '%' && end < text.size() && text[end] == 'd')) return i;
  }
  return std::string_view::npos;
}

}  // namespace

Result<NameTemplate> NameTemplate::parse(std::string_view text) {
  NameTemplate result;
  result.text_ = text;
  if (text.empty()) return bad(text, "it is empty");
  const std::size_t part = find_part(text, 0);
  if (part == std::string_view::npos) {
    if (text.find('}') != std::string_view::npos) return bad(text, "there is a '}' without '{'");
    result.prefix_ = text;
    return result;
  }
  result.numbered_ = true;
  if (text[part] == '{') {
    TARN_CHECK(result.parse_braces(part));
  } else {
    const std::size_t end = digits_end(text, part + 1);
    const std::string_view digits = text.substr(part + 1, end - part - 1);
    if (digits.size() > 18) return bad(text, "the number has too many digits");
    if (text[part] == '@') {
      result.digits_ = digits.size();
      result.capacity_ = *to_number(digits) + 1;
      result.parse_tail(part, end);
    } else {
      if (!digits.empty() && digits[0] != '0') return bad(text, "only %d and zero-padded forms such as %06d can be used");
      result.digits_ = std::max<std::size_t>(1, to_number(digits).value_or(1));
      if (result.digits_ > 18) return bad(text, "a number of more than 18 digits");
      result.capacity_.reset();
      result.parse_tail(part, end + 1);
    }
  }
  if (find_part(result.suffix_, 0) != std::string_view::npos) return bad(text, "it may hold only one number");
  return result;
}

Result<void> NameTemplate::parse_braces(std::size_t open) {
  const std::string_view text = text_;
  const std::size_t close = text.find('}', open);
  if (close == std::string_view::npos) return bad(text, "there is a '{' without '}'");
  const std::string_view inside = text.substr(open + 1, close - open - 1);
  const std::size_t dots = inside.find("..");
  if (dots == std::string_view::npos) return bad(text, "only number ranges may stand in braces");
  const std::string_view first = inside.substr(0, dots);
  std::string_view last = inside.substr(dots + 2);
  std::string_view step = "1";
  if (const auto more = last.find(".."); more != std::string_view::npos) {
    step = last.substr(more + 2);
    last = last.substr(0, more);
  }
  const auto first_number = to_number(first);
  const auto last_number = to_number(last);
  const auto step_number = to_number(step);
  if (!first_number || !last_number || !step_number || last.size() > 18) return bad(text, "only number ranges may stand in braces");
  if (*last_number < *first_number) return bad(text, "the range goes backwards");
  if (*step_number == 0) return bad(text, "the step is 0");
  first_ = *first_number;
  step_ = *step_number;
  capacity_ = (*last_number - first_) / step_ + 1;
  const bool is_padded = (first.size() > 1 && first[0] == '0') || (last.size() > 1 && last[0] == '0');
  digits_ = is_padded ? std::max(first.size(), last.size()) : 1;
  parse_tail(open, close + 1);
  return {};
}

void NameTemplate::parse_tail(std::size_t begin, std::size_t end) {
  prefix_ = text_.substr(0, begin);
  suffix_ = text_.substr(end);
}

std::string NameTemplate::name(std::uint64_t index) const {
  if (!numbered_) return prefix_;
  const std::string number = std::to_string(first_ + index * step_);
  std::string result = prefix_;
  if (number.size() < digits_) result.append(digits_ - number.size(), '0');
  return result.append(number).append(suffix_);
}

std::optional<std::uint64_t> NameTemplate::index_of(std::string_view name) const {
  if (!numbered_) return name == prefix_ ? std::optional<std::uint64_t>(0) : std::nullopt;
  if (name.size() <= prefix_.size() + suffix_.size() || !name.starts_with(prefix_) || !name.ends_with(suffix_)) return std::nullopt;
  const std::string_view digits = name.substr(prefix_.size(), name.size() - prefix_.size() - suffix_.size());
  if (digits.size() > 18 || digits.size() < digits_ || (digits.size() > digits_ && digits[0] == '0')) return std::nullopt;
  const auto number = to_number(digits);
  if (!number || *number < first_ || (*number - first_) % step_ != 0) return std::nullopt;
  const std::uint64_t index = (*number - first_) / step_;
  if (capacity_ && index >= *capacity_) return std::nullopt;
  return index;
}

}  // namespace tarn::shard
