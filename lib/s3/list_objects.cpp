#include "s3/list_objects.hpp"

#include <array>
#include <charconv>
#include <optional>

#include "base/bucket_options.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "s3/xml.hpp"

namespace tarn::s3 {

namespace {

constexpr std::string_view kNamespace = "http://s3.amazonaws.com/doc/2006-03-01/";

tl::unexpected<ApiError> bad_argument(std::string message) {
  return tl::unexpected<ApiError>(ApiError{400, "InvalidArgument", std::move(message)});
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::optional<std::string> name_of_token(std::string_view token) {
  if (token.empty() || token.size() % 2 != 0) return std::nullopt;
  std::string name;
  for (std::size_t i = 0; i < token.size(); i += 2) {
    const int high = hex_digit(token[i]);
    const int low = hex_digit(token[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    name.push_back(static_cast<char>(high * 16 + low));
  }
  return name;
}

std::optional<ApiError> read_parameter(ListQuery& query, const std::string& name, const std::string& value) {
  if (name == "prefix") {
    query.options.prefix = value;
  } else if (name == "delimiter") {
    query.options.delimiter = value;
  } else if (name == "start-after") {
    query.start_after = value;
  } else if (name == "continuation-token") {
    query.continuation_token = value;
  } else if (name == "fetch-owner") {
    query.fetch_owner = value == "true";
  } else if (name == "encoding-type") {
    if (value != "url" && !value.empty()) return ApiError{400, "InvalidArgument", "encoding-type can only be 'url'"};
    query.url_encoding = !value.empty();
  } else if (name == "max-keys") {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size())
      return ApiError{400, "InvalidArgument", "max-keys must be a number from 0 to 2147483647, not '" + value.substr(0, 40) + "'"};
    query.options.max_keys = std::min<std::size_t>(number, limits::kListKeysMax);
  } else if (name != "list-type" && name != "x-id" && name != "allow-unordered") {
    return ApiError{501, "NotImplemented", "a listing with the parameter '" + name.substr(0, 80) + "' is not something this version does"};
  }
  return std::nullopt;
}

}  // namespace

const std::string* find_parameter(const QueryParameters& parameters, std::string_view name) noexcept {
  for (const auto& [key, value] : parameters)
    if (key == name) return &value;
  return nullptr;
}

tl::expected<ListQuery, ApiError> parse_list_query(const QueryParameters& parameters) {
  ListQuery query;
  query.options.max_keys = limits::kListKeysMax;
  for (const auto& [name, value] : parameters)
    if (auto error = read_parameter(query, name, value)) return tl::unexpected<ApiError>(std::move(*error));
  query.options.start_after = query.start_after;
  if (!query.continuation_token.empty()) {
    auto name = name_of_token(query.continuation_token);
    if (!name) return bad_argument("the continuation token is not one that this store gave out");
    query.options.start_after = std::move(*name);
  }
  return query;
}

std::string make_continuation_token(std::string_view last_name) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string token;
  token.reserve(2 * last_name.size());
  for (const char c : last_name) {
    token.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    token.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return token;
}

std::string etag_of(const Checksum& checksum) {
  return "\"x3-" + base::to_hex(checksum) + "\"";
}

std::string list_objects_xml(std::string_view bucket, const ListQuery& query, const ListPage& page) {
  const auto encode = [&](std::string_view text) { return query.url_encoding ? base::percent_encode(text, true) : std::string(text); };
  XmlWriter xml("ListBucketResult", kNamespace);
  xml.text("Name", bucket).text("Prefix", encode(query.options.prefix));
  if (!query.options.delimiter.empty()) xml.text("Delimiter", encode(query.options.delimiter));
  if (!query.start_after.empty()) xml.text("StartAfter", encode(query.start_after));
  if (query.url_encoding) xml.text("EncodingType", "url");
  if (!query.continuation_token.empty()) xml.text("ContinuationToken", query.continuation_token);
  xml.number("KeyCount", page.objects.size() + page.common_prefixes.size()).number("MaxKeys", query.options.max_keys);
  xml.text("IsTruncated", page.truncated ? "true" : "false");
  if (page.truncated) xml.text("NextContinuationToken", make_continuation_token(page.next_start_after));
  for (const auto& object : page.objects) {
    xml.open("Contents");
    xml.text("Key", encode(object.key)).text("LastModified", base::format_iso_time(object.modified_ns));
    xml.text("ETag", etag_of(object.checksum)).number("Size", object.size_bytes);
    if (query.fetch_owner) xml.open("Owner").text("ID", "tarn").text("DisplayName", "tarn").close();
    xml.text("StorageClass", "STANDARD").close();
  }
  for (const auto& prefix : page.common_prefixes) xml.open("CommonPrefixes").text("Prefix", encode(prefix)).close();
  return xml.finish();
}

std::string list_buckets_xml(const std::vector<BucketInfo>& buckets) {
  XmlWriter xml("ListAllMyBucketsResult", kNamespace);
  xml.open("Owner").text("ID", "tarn").text("DisplayName", "tarn").close();
  xml.open("Buckets");
  for (const auto& bucket : buckets) {
    xml.open("Bucket").text("Name", bucket.name).text("CreationDate", base::format_iso_time(bucket.created_ns));
    // Not S3's; its clients skip what they do not know.
    if (bucket.options.durability != Durability::none) xml.text("Durability", to_string(bucket.options.durability));
    if (const std::string options = base::encode_bucket_options(bucket.options); !options.empty()) xml.text("Options", options);
    xml.close();
  }
  return xml.close().finish();
}

}  // namespace tarn::s3
