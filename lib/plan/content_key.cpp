#include "plan/content_key.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/error.hpp"
#include "base/text.hpp"

namespace tarn::plan {

namespace {

constexpr char kFirst = 0, kPresent = 1, kLast = 2;
constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
constexpr std::uint64_t kNotANumber = UINT64_MAX;  // greater than any number's code, in both directions

tl::unexpected<Error> not_a(std::string_view type, std::string_view text) {
  return fail(ErrorCode::invalid, "'" + std::string(text.substr(0, 80)) + "' is not " + std::string(type));
}

template <class Number>
std::optional<Number> parse(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::uint64_t code_of(double number) {
  const auto bits = std::bit_cast<std::uint64_t>(number == 0 ? 0.0 : number);
  return (bits & kSign) != 0 ? ~bits : bits ^ kSign;
}

std::string number_key(std::uint64_t code) {
  std::string key(1, kPresent);
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(code >> shift & 0xff));
  return key;
}

std::string text_key(std::string_view text, bool decreasing) {
  std::string key(1, kPresent);
  for (const char c : text) key.push_back(decreasing ? static_cast<char>(~c) : c);
  if (decreasing) key.push_back(static_cast<char>(0xff));
  return key;
}

}  // namespace

Result<std::optional<std::string>> content_key(const DsortSpec& spec, std::optional<std::string_view> value) {
  if (!value) {
    switch (spec.missing_content) {
      case MissingContent::first:
        return std::string(1, kFirst);
      case MissingContent::last:
        return std::string(1, kLast);
      case MissingContent::drop:
        return std::nullopt;
      case MissingContent::abort:
        break;
    }
    return fail(ErrorCode::invalid, "it has no member '." + spec.content_extension + "'");
  }
  const std::string_view text = base::trimmed(*value);
  const auto turned = [&](std::uint64_t code) { return spec.decreasing ? ~code : code; };
  if (spec.content_type == ContentType::integer) {
    const auto number = parse<std::int64_t>(text);
    if (!number) return not_a("a whole number of 64 bits", text);
    return number_key(turned(static_cast<std::uint64_t>(*number) ^ kSign));
  }
  if (spec.content_type == ContentType::real) {
    const auto number = parse<double>(text);
    if (!number) return not_a("a number", text);
    return number_key(std::isnan(*number) ? kNotANumber : turned(code_of(*number)));
  }
  if (text.find('\0') != std::string_view::npos) return not_a("text: it holds a zero byte", text.substr(0, text.find('\0')));
  return text_key(text, spec.decreasing);
}

}  // namespace tarn::plan
