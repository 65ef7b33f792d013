// object_fields.hpp - what is known of an object, as header fields: out of an ObjectInfo, into PutOptions.
// Level 5 (http). Pure.
//
//   x-amz-meta-NAME                        user_metadata["NAME"], lower case
//   Cache-Control, Content-Encoding,       user_metadata["@cache-control"], ...: no client can send
//   Content-Disposition, -Language, Expires      a name with '@' in x-amz-meta-
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "http/message.hpp"
#include "http/response_head.hpp"
#include "s3/api_error.hpp"

namespace tarn::http {

/// Of a request that makes a bucket: "none" or "sync".
inline constexpr std::string_view kDurabilityField = "x-tarn-durability";
/// The same: its other properties, as "mirror=2 placement=hash" (base/bucket_options.hpp).
inline constexpr std::string_view kBucketOptionsField = "x-tarn-bucket-options";

/// Content-Type, ETag, Last-Modified, Accept-Ranges and the metadata. Metadata that no header can carry
/// is counted in x-amz-missing-meta, as S3 does.
void add_object_fields(ResponseHead& response, const ObjectInfo& info, std::string_view etag);
void add_content_range(ResponseHead& response, std::uint64_t first, std::uint64_t length, std::uint64_t size_bytes);

/// Metadata and content type of a PUT.
/// @errors NotImplemented: a field that asks for something this version does not do (and S3 would);
///         MetadataTooLarge.
[[nodiscard]] tl::expected<PutOptions, s3::ApiError> put_options_of(const RequestHead& head);

[[nodiscard]] s3::ApiError no_such_bucket(std::string_view bucket);
/// 503 for a client that was redirected to here although the map in force says otherwise.
[[nodiscard]] s3::ApiError not_owner(const ObjectName& name);

}  // namespace tarn::http
