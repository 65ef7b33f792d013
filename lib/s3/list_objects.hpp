// list_objects.hpp - ListObjectsV2 and ListBuckets: the query that comes in, the XML that goes out.
// Level 5 (s3). Pure.
// @source docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "s3/api_error.hpp"

namespace tarn::s3 {

/// Decoded query parameters in the order of the request; a name without '=' has an empty value.
using QueryParameters = std::vector<std::pair<std::string, std::string>>;

/// The first parameter of that name; nullptr: none.
[[nodiscard]] const std::string* find_parameter(const QueryParameters& parameters, std::string_view name) noexcept;

struct ListQuery {
  ListOptions options;             ///< start_after is the token's when there is one
  std::string start_after;         ///< as given
  std::string continuation_token;  ///< as given
  bool url_encoding = false;
  bool fetch_owner = false;
};

/// Reads the parameters of ListObjectsV2.
/// @errors InvalidArgument: max-keys, encoding-type or continuation-token is malformed; NotImplemented: a parameter
///         that would change the answer in a way this version does not know.
[[nodiscard]] tl::expected<ListQuery, ApiError> parse_list_query(const QueryParameters& parameters);

[[nodiscard]] std::string list_objects_xml(std::string_view bucket, const ListQuery& query, const ListPage& page);
[[nodiscard]] std::string list_buckets_xml(const std::vector<BucketInfo>& buckets);

/// Opaque to clients: the last name of a page, in hex.
[[nodiscard]] std::string make_continuation_token(std::string_view last_name);

/// `"x3-<32 hex digits>"` with its quotes: not an MD5, and it says so to clients by its '-'.
[[nodiscard]] std::string etag_of(const Checksum& checksum);

}  // namespace tarn::s3
