// list_parse.hpp - the XML that an S3 server answers, as our client reads it: listings, buckets, errors.
// Level 5 (s3). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

namespace tarn::s3 {

/// One page of ListObjectsV2. Keys come decoded (encoding-type=url or not).
struct ParsedListing {
  ListPage page;             ///< next_start_after is left empty: the token says where to go on
  std::string continuation;  ///< NextContinuationToken; set when the page is truncated
};

struct ParsedError {
  std::string code;  ///< "NoSuchKey"
  std::string message;
};

/// @errors invalid: not XML, another document, a number or key that is malformed.
[[nodiscard]] Result<ParsedListing> parse_list_objects(std::string_view xml);
[[nodiscard]] Result<std::vector<BucketInfo>> parse_list_buckets(std::string_view xml);
/// nullopt: not an S3 error document.
[[nodiscard]] std::optional<ParsedError> parse_error(std::string_view xml);

/// The checksum in our own form of ETag, `"x3-<32 hex digits>"`; nullopt: another kind.
[[nodiscard]] std::optional<Checksum> checksum_of_etag(std::string_view etag);

/// Nanoseconds since the epoch of "2026-01-31T12:34:56.789Z".
[[nodiscard]] std::optional<std::int64_t> parse_iso_time(std::string_view text);

}  // namespace tarn::s3
