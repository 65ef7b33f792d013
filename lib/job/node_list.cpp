#include "job/node_list.hpp"

#include <charconv>
#include <cstdint>
#include <optional>

#include "base/error.hpp"

namespace tarn::job {

namespace {

constexpr std::size_t kNamesMax = 100'000;

tl::unexpected<Error> bad(std::string_view list, std::string_view why) {
  return fail(ErrorCode::invalid, "'" + std::string(list.substr(0, 200)) + "' is not a Slurm list: " + std::string(why));
}

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Splits at commas outside of brackets. @return nullopt: brackets do not match.
std::optional<std::vector<std::string_view>> split(std::string_view list) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  bool inside = false;
  for (std::size_t i = 0; i <= list.size(); ++i) {
    if (i == list.size() || (list[i] == ',' && !inside)) {
      parts.push_back(list.substr(begin, i - begin));
      begin = i + 1;
    } else if (list[i] == '[' || list[i] == ']') {
      if (inside == (list[i] == '[')) return std::nullopt;
      inside = !inside;
    }
  }
  if (inside) return std::nullopt;
  return parts;
}

std::string padded(std::uint32_t number, std::size_t width) {
  std::string digits = std::to_string(number);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return digits;
}

/// "001-003,7" -> 001 002 003 7; nullopt: malformed or too many.
std::optional<std::vector<std::string>> expand_ranges(std::string_view ranges) {
  std::vector<std::string> numbers;
  const auto parts = split(ranges);
  if (!parts) return std::nullopt;
  for (const std::string_view part : *parts) {
    const auto dash = part.find('-');
    const auto first = parse_number(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_number(part.substr(dash + 1));
    if (!first || !last || *last < *first || *last - *first >= kNamesMax) return std::nullopt;
    const std::size_t width = dash == std::string_view::npos ? part.size() : dash;
    for (std::uint64_t number = *first; number <= *last; ++number) numbers.push_back(padded(static_cast<std::uint32_t>(number), width));
    if (numbers.size() > kNamesMax) return std::nullopt;
  }
  return numbers;
}

/// One name with any number of brackets, all of whose contents are combined.
Result<std::vector<std::string>> expand_name(std::string_view list, std::string_view name) {
  std::vector<std::string> expanded{""};
  while (!name.empty()) {
    const auto open = name.find('[');
    for (std::string& head : expanded) head.append(name.substr(0, open));
    if (open == std::string_view::npos) break;
    const auto close = name.find(']', open);  // split() has matched them
    const auto numbers = expand_ranges(name.substr(open + 1, close - open - 1));
    if (!numbers) return bad(list, "the range in '" + std::string(name.substr(0, 80)) + "' is malformed or too long");
    if (expanded.size() * numbers->size() > kNamesMax) return bad(list, "more than 100000 names");
    std::vector<std::string> longer;
    longer.reserve(expanded.size() * numbers->size());
    for (const std::string& head : expanded)
      for (const std::string& number : *numbers) longer.push_back(head + number);
    expanded = std::move(longer);
    name.remove_prefix(close + 1);
  }
  return expanded;
}

}  // namespace

Result<std::vector<std::string>> expand_node_list(std::string_view list) {
  std::vector<std::string> names;
  if (list.empty()) return names;
  const auto parts = split(list);
  if (!parts) return bad(list, "its brackets do not match");
  for (const std::string_view part : *parts) {
    if (part.empty()) return bad(list, "a name is empty");
    TARN_TRY(auto expanded, expand_name(list, part));
    names.insert(names.end(), std::make_move_iterator(expanded.begin()), std::make_move_iterator(expanded.end()));
    if (names.size() > kNamesMax) return bad(list, "more than 100000 names");
  }
  return names;
}

Result<std::vector<unsigned>> expand_task_counts(std::string_view counts) {
  std::vector<unsigned> expanded;
  if (counts.empty()) return expanded;
  const auto parts = split(counts);
  if (!parts) return bad(counts, "it holds brackets");
  for (const std::string_view part : *parts) {
    const auto times = part.find("(x");
    const auto count = parse_number(part.substr(0, times));
    std::optional<std::uint32_t> repeats = 1;
    if (times != std::string_view::npos) {
      const bool closed = part.back() == ')' && part.size() > times + 3;
      repeats = closed ? parse_number(part.substr(times + 2, part.size() - times - 3)) : std::nullopt;
    }
    if (!count || !repeats || *repeats + expanded.size() > kNamesMax) return bad(counts, "expected a count, or a count and (xREPEATS)");
    expanded.insert(expanded.end(), *repeats, *count);
  }
  return expanded;
}

}  // namespace tarn::job
