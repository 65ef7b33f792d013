#include "http/conditions.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "base/text.hpp"

namespace tarn::http {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::optional<std::int64_t> parse_seconds(std::string_view text) {
  const auto time_ns = base::parse_http_time(text);
  if (!time_ns) return std::nullopt;
  return *time_ns / kSecond;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Digits only; a number beyond 64 bits is "very far".
std::optional<std::uint64_t> parse_position(std::string_view digits) {
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  std::uint64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return result.ec == std::errc() ? value : UINT64_MAX;
}

/// "*", or a list of entity tags, one of which is ours. Weak ones match by their text: our bytes never differ under one tag.
bool lists_tag(std::string_view field, std::string_view etag) {
  while (!field.empty()) {
    const auto comma = std::min(field.find(','), field.size());
    std::string_view item = trimmed(field.substr(0, comma));
    field.remove_prefix(std::min(comma + 1, field.size()));
    if (item.starts_with("W/")) item.remove_prefix(2);
    const std::string_view bare = etag.substr(1, etag.size() - 2);  // some clients leave the quotes away
    if (item == "*" || item == etag || item == bare) return true;
  }
  return false;
}

/// If-Match, or If-Unmodified-Since without it.
bool is_version_asked_for(const RequestHead& head, std::string_view etag, std::int64_t modified_s) {
  if (const auto tags = head.find("If-Match")) return lists_tag(*tags, etag);
  const auto since = head.find("If-Unmodified-Since");
  const auto time_s = since ? parse_seconds(*since) : std::nullopt;
  return !time_s || modified_s <= *time_s;
}

}  // namespace

ResolvedRange resolve_range(std::string_view field, std::uint64_t size_bytes) {
  constexpr std::string_view kUnit = "bytes=";
  if (field.size() < kUnit.size() || !equal_ignoring_case(field.substr(0, kUnit.size()), kUnit)) return {};
  const std::string_view spec = trimmed(field.substr(kUnit.size()));
  const auto dash = spec.find('-');
  if (dash == std::string_view::npos || spec.find(',') != std::string_view::npos) return {};
  const std::string_view first_text = spec.substr(0, dash);
  const std::string_view last_text = spec.substr(dash + 1);
  if (first_text.empty()) {  // the last N bytes
    const auto count = parse_position(last_text);
    if (!count) return {};
    if (*count == 0 || size_bytes == 0) return {RangeKind::unsatisfiable, 0, 0};
    const std::uint64_t length = std::min(*count, size_bytes);
    return {RangeKind::part, size_bytes - length, length};
  }
  const auto first = parse_position(first_text);
  const auto last = last_text.empty() ? std::optional<std::uint64_t>(UINT64_MAX) : parse_position(last_text);
  if (!first || !last || *last < *first) return {};
  if (*first >= size_bytes) return {RangeKind::unsatisfiable, 0, 0};
  return {RangeKind::part, *first, std::min(*last, size_bytes - 1) - *first + 1};
}

Condition evaluate_conditions(const RequestHead& head, std::string_view etag, std::int64_t modified_ns) {
  const std::int64_t modified_s = modified_ns / kSecond;
  if (!is_version_asked_for(head, etag, modified_s)) return Condition::failed;
  if (const auto tags = head.find("If-None-Match")) {
    if (lists_tag(*tags, etag)) return Condition::not_modified;
  } else if (const auto since = head.find("If-Modified-Since")) {
    if (const auto time_s = parse_seconds(*since); time_s && modified_s <= *time_s) return Condition::not_modified;
  }
  return Condition::go_on;
}

bool change_allowed(const RequestHead& head, std::string_view etag, std::int64_t modified_ns) {
  const auto others = head.find("If-None-Match");
  return is_version_asked_for(head, etag, modified_ns / kSecond) && !(others && lists_tag(*others, etag));
}

bool change_of_nothing_allowed(const RequestHead& head) {
  return !head.find("If-Match");
}

bool if_range_holds(const RequestHead& head, std::string_view etag, std::int64_t modified_ns) {
  const auto field = head.find("If-Range");
  if (!field) return true;
  if (const auto time_s = parse_seconds(*field)) return modified_ns / kSecond == *time_s;
  return *field == etag;
}

}  // namespace tarn::http
