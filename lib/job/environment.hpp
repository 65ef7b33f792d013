// environment.hpp - the variables of a process as a map, and how to read them.
// Level 2 (job). Pure but for current_environment().
#pragma once

#include <charconv>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace tarn::job {

using Environment = std::map<std::string, std::string, std::less<>>;

/// A copy of this process's environment.
[[nodiscard]] Environment current_environment();
/// The value, or an empty text.
[[nodiscard]] std::string_view value_of(const Environment& environment, std::string_view name);
/// The first of the variables that is set and not empty; an empty text: none is.
[[nodiscard]] std::string first_of(const Environment& environment, std::initializer_list<std::string_view> names);

/// The first of the variables that holds a number of that type, not negative, and nothing else.
template <class Number>
[[nodiscard]] std::optional<Number> number_of(const Environment& environment, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const std::string_view text = value_of(environment, name);
    Number value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!text.empty() && error == std::errc() && end == text.data() + text.size() && value >= 0) return value;
  }
  return std::nullopt;
}

}  // namespace tarn::job
