#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "base/limits.hpp"

namespace tarn::base {

namespace {

constexpr std::uint64_t kBillion = 1'000'000'000;

tl::unexpected<Error> bad_size(std::string_view text) {
  return fail(ErrorCode::invalid, "'" + std::string(text) + "' is not a size; write a number with B, KiB, MiB, GiB, TiB, KB, MB, GB or TB, as 64MiB");
}

/// The factor of "", "B", "K", "KB", "KiB", ...; 0 when it is none of these.
std::uint64_t unit_factor(std::string_view unit) {
  std::string lower;
  for (const char c : unit) lower.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  if (lower.empty() || lower == "b") return 1;
  const auto prefix = std::string_view("kmgt").find(lower[0]);
  if (prefix == std::string_view::npos) return 0;
  const std::string_view rest = std::string_view(lower).substr(1);
  const std::uint64_t base = rest == "ib" || rest == "i" ? 1024 : rest.empty() || rest == "b" ? 1000 : 0;
  std::uint64_t factor = base;
  for (std::size_t i = 0; i < prefix; ++i) factor *= base;
  return factor;
}

bool is_unreserved(unsigned char c) {
  return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~';
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The length of the character at the front and its code point; 0: not UTF-8.
std::size_t decode_utf8(std::string_view text, std::uint32_t& code) noexcept {
  static constexpr std::array<std::uint32_t, 4> kSmallest{0, 0x80, 0x800, 0x10000};  // overlong forms lie below
  const auto lead = static_cast<unsigned char>(text[0]);
  std::size_t extra = 0;
  code = lead;
  if (lead < 0x80) return 1;
  if ((lead & 0xe0) == 0xc0)
    extra = 1, code = lead & 0x1f;
  else if ((lead & 0xf0) == 0xe0)
    extra = 2, code = lead & 0x0f;
  else if ((lead & 0xf8) == 0xf0)
    extra = 3, code = lead & 0x07;
  if (extra == 0 || extra >= text.size()) return 0;
  for (std::size_t k = 1; k <= extra; ++k) {
    const auto next = static_cast<unsigned char>(text[k]);
    if ((next & 0xc0) != 0x80) return 0;
    code = code << 6 | (next & 0x3f);
  }
  if (code < kSmallest[extra] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  return extra + 1;
}

template <class Allowed>
std::string replace_characters(std::string_view text, Allowed allowed) {
  static constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    std::uint32_t code = 0;
    const std::size_t length = decode_utf8(text, code);
    result.append(length > 0 && allowed(code) ? text.substr(0, length) : kReplacement);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

std::tm utc(std::int64_t time_ns) {
  const std::time_t seconds = static_cast<std::time_t>(time_ns / static_cast<std::int64_t>(kBillion));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return parts;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || number < 0) return bad_size(text);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const std::uint64_t factor = unit_factor(unit);
  if (factor == 0) return bad_size(text);
  const double bytes = number * static_cast<double>(factor);
  if (!(bytes < 18e18)) return bad_size(text);
  std::uint64_t whole = 0;  // exact for integers beyond 2^53
  const auto digits = std::from_chars(text.data(), end, whole);
  if (digits.ptr == end && digits.ec == std::errc()) return whole * factor;
  return static_cast<std::uint64_t>(std::llround(bytes));
}

std::string format_size(std::uint64_t size_bytes) {
  static constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(size_bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return buffer.data();
}

Result<void> check_bucket_name(std::string_view bucket) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorCode::invalid, "'" + std::string(bucket.substr(0, 80)) + "' cannot be a bucket name: " + std::string(why));
  };
  if (bucket.size() < limits::kBucketNameBytesMin || bucket.size() > limits::kBucketNameBytesMax) return bad("it must have 2 to 63 characters");
  if (bucket == "v1") return bad("addresses below /v1/ are those of the store itself");
  for (const char c : bucket)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-')) return bad("only a-z, 0-9, '.' and '-' may stand in it");
  const auto edge = [](char c) { return c == '.' || c == '-'; };
  if (edge(bucket.front()) || edge(bucket.back())) return bad("it must begin and end with a letter or digit");
  return {};
}

bool is_utf8(std::string_view text) noexcept {
  std::uint32_t code = 0;
  while (!text.empty()) {
    const std::size_t length = decode_utf8(text, code);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string valid_utf8(std::string_view text) {
  return replace_characters(text, [](std::uint32_t) { return true; });
}

std::string valid_xml_text(std::string_view text) {
  return replace_characters(
      text, [](std::uint32_t code) { return code >= 0x20 ? code != 0xfffe && code != 0xffff : code == '\t' || code == '\n' || code == '\r'; });
}

Result<void> check_key(std::string_view key) {
  if (key.empty()) return fail(ErrorCode::invalid, "a key cannot be empty");
  if (key.size() > limits::kKeyBytesMax)
    return fail(ErrorCode::invalid,
                "key '" + std::string(key.substr(0, 40)) + "...' has " + std::to_string(key.size()) + " bytes; at most 1024 are allowed");
  if (key.find('\0') != std::string_view::npos) return fail(ErrorCode::invalid, "a key cannot hold a NUL byte");
  if (!is_utf8(key)) return fail(ErrorCode::invalid, "the key is not valid UTF-8");
  return {};
}

Result<void> check_name(const ObjectName& name) {
  if (auto bucket = check_bucket_name(name.bucket); !bucket) return bucket;
  return check_key(name.key);
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string substitute(std::string_view text, std::string_view name, std::string_view value) {
  const std::string needle = "{" + std::string(name) + "}";
  std::string result;
  std::size_t from = 0;
  for (std::size_t at = text.find(needle); at != std::string_view::npos; at = text.find(needle, from)) {
    result.append(text.substr(from, at - from)).append(value);
    from = at + needle.size();
  }
  return result.append(text.substr(from));
}

std::string percent_encode(std::string_view text, bool keep_slash) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_unreserved(byte) || (keep_slash && c == '/')) {
      result.push_back(c);
    } else {
      result.push_back('%');
      result.push_back(kDigits[byte >> 4]);
      result.push_back(kDigits[byte & 15]);
    }
  }
  return result;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0) return fail(ErrorCode::invalid, "a '%' in the address is not followed by two hex digits");
    result.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return result;
}

std::string format_iso_time(std::int64_t time_ns) {
  const std::tm parts = utc(time_ns);
  const auto millis = static_cast<int>(time_ns / 1'000'000 % 1000);
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                parts.tm_hour, parts.tm_min, parts.tm_sec, millis);
  return buffer.data();
}

/// By hand: this stands in every answer of the sidecar, and snprintf and gmtime_r take ten times as long.
std::string format_http_time(std::int64_t time_ns) {
  using namespace std::chrono;
  static constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const sys_seconds time = floor<seconds>(sys_time<nanoseconds>(nanoseconds(time_ns)));
  const sys_days day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss<seconds> clock(time - day);
  std::string text = "Sun, 00 Jan 0000 00:00:00 GMT";
  const auto put = [&](std::size_t at, unsigned value, std::size_t digits) {
    for (std::size_t i = digits; i-- > 0; value /= 10) text[at + i] = static_cast<char>('0' + value % 10);
  };
  text.replace(0, 3, kDays.substr(3 * std::size_t{weekday(day).c_encoding()}, 3));
  text.replace(8, 3, kMonths.substr(3 * (std::size_t{static_cast<unsigned>(date.month())} - 1), 3));
  put(5, static_cast<unsigned>(date.day()), 2);
  put(12, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  put(17, static_cast<unsigned>(clock.hours().count()), 2);
  put(20, static_cast<unsigned>(clock.minutes().count()), 2);
  put(23, static_cast<unsigned>(clock.seconds().count()), 2);
  return text;
}

std::optional<std::int64_t> parse_http_time(std::string_view text) {
  static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::tm parts{};
  std::array<char, 4> month{};
  int used = 0;
  const std::string copy(text);
  const int fields = std::sscanf(copy.c_str(), "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &parts.tm_mday, month.data(), &parts.tm_year,
                                 &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &used);
  const auto month_at = kMonths.find(month.data());
  if (fields != 6 || used != static_cast<int>(copy.size()) || month_at == std::string_view::npos || month_at % 3 != 0) return std::nullopt;
  parts.tm_year -= 1900;
  parts.tm_mon = static_cast<int>(month_at / 3);
  return static_cast<std::int64_t>(::timegm(&parts)) * static_cast<std::int64_t>(kBillion);
}

std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace tarn::base
