// conditions.hpp - Range and the If-* fields (RFC 9110, 13 and 14).
// Level 5 (http). Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include <tarn/object.hpp>

#include "http/message.hpp"

namespace tarn::http {

enum class RangeKind : std::uint8_t {
  whole,          ///< no Range, several ranges, or one that is malformed: 200
  part,           ///< 206
  unsatisfiable,  ///< 416
};

struct ResolvedRange {
  RangeKind kind = RangeKind::whole;
  std::uint64_t first = 0;  ///< of a part: bytes [first, first + length)
  std::uint64_t length = 0;
};

/// "bytes=0-99", "bytes=100-", "bytes=-5" against an object of that size.
[[nodiscard]] ResolvedRange resolve_range(std::string_view field, std::uint64_t size_bytes);

enum class Condition : std::uint8_t { go_on, not_modified, failed };

/// If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, in the order of RFC 9110, 13.2.2.
/// @param etag  with its quotes.
[[nodiscard]] Condition evaluate_conditions(const RequestHead& head, std::string_view etag, std::int64_t modified_ns);
/// Whether the fields above that count for a method that changes something allow it: RFC 9110, 13.2.1.
[[nodiscard]] bool change_allowed(const RequestHead& head, std::string_view etag, std::int64_t modified_ns);
/// The same of an object that is not there.
[[nodiscard]] bool change_of_nothing_allowed(const RequestHead& head);
/// Whether the Range holds for this version: there is no If-Range, or it names this ETag or time.
[[nodiscard]] bool if_range_holds(const RequestHead& head, std::string_view etag, std::int64_t modified_ns);

}  // namespace tarn::http
