// text.hpp - sizes, durations and names as people write them.
// Level 1 (base). Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

namespace tarn::base {

/// "64MiB", "16MB", "1.5 GiB", "4096": K, M, G, T with iB are powers of 1024, with B or alone of 1000.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);
/// "0 B", "12.3 KiB", "4.0 GiB"
[[nodiscard]] std::string format_size(std::uint64_t size_bytes);

/// @errors invalid, with the rule that is broken. 2 to 63 of [a-z0-9.-], first and last a letter or digit;
/// "v1" is taken by the addresses of the sidecar.
[[nodiscard]] Result<void> check_bucket_name(std::string_view bucket);
/// @errors invalid: empty, longer than 1,024 bytes, not UTF-8, or with a NUL.
[[nodiscard]] Result<void> check_key(std::string_view key);
[[nodiscard]] Result<void> check_name(const ObjectName& name);
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;
/// The text with U+FFFD for each byte that is not part of valid UTF-8.
[[nodiscard]] std::string valid_utf8(std::string_view text);
/// The same, and U+FFFD for each character that no XML 1.0 document can hold, not even as a reference (section 2.2).
[[nodiscard]] std::string valid_xml_text(std::string_view text);

/// Without the white space (ASCII) around it.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;
/// Replaces every "{name}" by value.
[[nodiscard]] std::string substitute(std::string_view text, std::string_view name, std::string_view value);

/// RFC 3986: everything but unreserved characters (and '/', when keep_slash) as %XX.
[[nodiscard]] std::string percent_encode(std::string_view text, bool keep_slash);
/// @errors invalid: a '%' without two hex digits.
[[nodiscard]] Result<std::string> percent_decode(std::string_view text);

/// "2026-01-31T12:34:56.789Z" of nanoseconds since the epoch.
[[nodiscard]] std::string format_iso_time(std::int64_t time_ns);
/// "Sat, 31 Jan 2026 12:34:56 GMT" (RFC 9110)
[[nodiscard]] std::string format_http_time(std::int64_t time_ns);
/// Nanoseconds since the epoch of that form; the two obsolete forms of RFC 9110 count as malformed.
[[nodiscard]] std::optional<std::int64_t> parse_http_time(std::string_view text);
[[nodiscard]] std::int64_t now_ns() noexcept;

}  // namespace tarn::base
