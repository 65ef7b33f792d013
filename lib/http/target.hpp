// target.hpp - what a request's target names: a bucket, a key, parameters.
// Level 5 (http). Pure; a Target is reused from request to request to keep its memory.
#pragma once

#include <string>
#include <string_view>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "s3/list_objects.hpp"

namespace tarn::http {

/// "/{bucket}/{key}?a=b&c": decoded. In the path '+' is a plus, in the query it is a space (as HTML forms and S3 have it).
/// "/-/..." and "/v1/..." have "-" and "v1" in the place of the bucket.
struct Target {
  ObjectName name;  ///< parts that are not there are empty
  s3::QueryParameters parameters;
  std::string_view path;  ///< as sent; points into the request
};

/// @errors invalid: not a path, a '%' without two hex digits, a NUL, not UTF-8.
[[nodiscard]] Result<void> parse_target(std::string_view text, Target& target);

}  // namespace tarn::http
