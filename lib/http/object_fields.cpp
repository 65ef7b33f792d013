#include "http/object_fields.hpp"

#include <algorithm>
#include <array>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace tarn::http {

namespace {

constexpr std::string_view kMetaPrefix = "x-amz-meta-";

struct KeptField {
  std::string_view field;
  std::string_view metadata;
};
constexpr std::array<KeptField, 5> kKeptFields{{{"Cache-Control", "@cache-control"},
                                                {"Content-Disposition", "@content-disposition"},
                                                {"Content-Encoding", "@content-encoding"},
                                                {"Content-Language", "@content-language"},
                                                {"Expires", "@expires"}}};

// x-amz- fields that change nothing here, or are looked at elsewhere.
constexpr std::array<std::string_view, 11> kHarmless{"x-amz-date",
                                                     "x-amz-content-sha256",
                                                     "x-amz-user-agent",
                                                     "x-amz-security-token",
                                                     "x-amz-checksum-sha1",
                                                     "x-amz-checksum-sha256",
                                                     "x-amz-sdk-checksum-algorithm",
                                                     "x-amz-checksum-algorithm",
                                                     "x-amz-request-payer",
                                                     "amz-sdk-invocation-id",
                                                     "amz-sdk-request"};

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

/// Fields that ask for more than a plain PUT. An upload without them would look as if they had been obeyed.
bool is_harmless(std::string_view name, std::string_view value) {
  if (name == "if-match" || name == "if-none-match" || name == "content-range") return false;
  if (!name.starts_with("x-amz-")) return true;
  if (name == "x-amz-acl") return value == "private";
  if (name == "x-amz-storage-class") return value == "STANDARD";
  return std::find(kHarmless.begin(), kHarmless.end(), name) != kHarmless.end();
}

}  // namespace

void add_object_fields(ResponseHead& response, const ObjectInfo& info, std::string_view etag) {
  response.add("Content-Type", info.content_type.empty() ? std::string_view("application/octet-stream") : std::string_view(info.content_type));
  response.add("ETag", etag).add("Last-Modified", base::format_http_time(info.modified_ns)).add("Accept-Ranges", "bytes");
  std::uint64_t missing = 0;
  for (const auto& [name, value] : info.user_metadata) {
    const auto kept = std::find_if(kKeptFields.begin(), kKeptFields.end(), [&name = name](const KeptField& field) { return field.metadata == name; });
    const bool sendable = is_field_value(value);
    if (sendable && kept != kKeptFields.end())
      response.add(kept->field, value);
    else if (sendable && is_field_name(name))
      response.add(std::string(kMetaPrefix) + name, value);
    else
      ++missing;
  }
  if (missing > 0) response.add("x-amz-missing-meta", missing);
}

void add_content_range(ResponseHead& response, std::uint64_t first, std::uint64_t length, std::uint64_t size_bytes) {
  response.add("Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(first + length - 1) + "/" + std::to_string(size_bytes));
}

tl::expected<PutOptions, s3::ApiError> put_options_of(const RequestHead& head) {
  const auto refuse = [](std::string code, int status, std::string message) {
    return tl::unexpected<s3::ApiError>(s3::ApiError{status, std::move(code), std::move(message)});
  };
  PutOptions options;
  std::size_t metadata_bytes = 0;
  const auto keep = [&](std::string name, std::string_view value) {
    auto& text = options.user_metadata[std::move(name)];
    text.append(text.empty() ? "" : ",").append(value);  // a repeated field is a list (RFC 9110, 5.3)
  };
  for (const auto& [field_name, value] : head.fields) {
    const std::string name = lower(field_name);
    if (name == "content-type") {
      options.content_type = std::string(value);
    } else if (name.starts_with(kMetaPrefix)) {
      keep(name.substr(kMetaPrefix.size()), value);
    } else if (name == "content-encoding" && lower(value).find("aws-chunked") != std::string::npos) {
      return refuse("NotImplemented", 501, "bodies in aws-chunked encoding are not something this version takes; send the plain body");
    } else if (!is_harmless(name, value)) {
      return refuse("NotImplemented", 501, "a PUT with the field '" + name.substr(0, 80) + "' is not something this version does");
    } else {
      const auto kept = std::find_if(kKeptFields.begin(), kKeptFields.end(), [&](const KeptField& field) { return lower(field.field) == name; });
      if (kept != kKeptFields.end()) keep(std::string(kept->metadata), value);
    }
  }
  for (const auto& [name, value] : options.user_metadata) metadata_bytes += name.size() + value.size();
  if (metadata_bytes > limits::kUserMetadataBytesMax)
    return refuse("MetadataTooLarge", 400, "the metadata headers have " + std::to_string(metadata_bytes) + " bytes; at most 2048 are kept");
  return options;
}

s3::ApiError no_such_bucket(std::string_view bucket) {
  return {404, "NoSuchBucket", "there is no bucket '" + std::string(bucket) + "'"};
}

s3::ApiError not_owner(const ObjectName& name) {
  return {503, "ServiceUnavailable",
          "the rank that sent you here and this one disagree about who holds '" + name.bucket + "/" + name.key + "'; ask again"};
}

}  // namespace tarn::http
