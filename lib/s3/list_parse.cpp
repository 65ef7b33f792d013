#include "s3/list_parse.hpp"

#include <charconv>
#include <cstdio>
#include <ctime>

#include <pugixml.hpp>

#include "base/bucket_options.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"

namespace tarn::s3 {

namespace {

/// Loads `xml` and gives its root if that has the name.
Result<pugi::xml_node> load(pugi::xml_document& document, std::string_view xml, const char* root_name) {
  const auto loaded = document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node root = document.child(root_name);
  if (!loaded || !root) return fail(ErrorCode::invalid, std::string("the answer is not a ") + root_name + " document");
  return root;
}

Result<std::string> decoded(pugi::xml_node node, bool url_encoded) {
  if (!url_encoded) return std::string(node.child_value());
  return base::percent_decode(node.child_value());
}

Result<ObjectInfo> parse_contents(pugi::xml_node node, bool url_encoded) {
  ObjectInfo info;
  TARN_TRY(info.key, decoded(node.child("Key"), url_encoded));
  const std::string_view size = node.child_value("Size");
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), info.size_bytes);
  if (info.key.empty() || error != std::errc() || end != size.data() + size.size())
    return fail(ErrorCode::invalid, "the listing has an entry without a key or a size");
  info.checksum = checksum_of_etag(node.child_value("ETag")).value_or(Checksum{});
  info.modified_ns = parse_iso_time(node.child_value("LastModified")).value_or(0);
  return info;
}

}  // namespace

Result<ParsedListing> parse_list_objects(std::string_view xml) {
  pugi::xml_document document;
  TARN_TRY(const pugi::xml_node root, load(document, xml, "ListBucketResult"));
  const bool url_encoded = std::string_view(root.child_value("EncodingType")) == "url";
  ParsedListing result;
  for (const pugi::xml_node node : root.children("Contents")) {
    TARN_TRY(ObjectInfo info, parse_contents(node, url_encoded));
    result.page.objects.push_back(std::move(info));
  }
  for (const pugi::xml_node node : root.children("CommonPrefixes")) {
    TARN_TRY(std::string prefix, decoded(node.child("Prefix"), url_encoded));
    result.page.common_prefixes.push_back(std::move(prefix));
  }
  result.page.truncated = std::string_view(root.child_value("IsTruncated")) == "true";
  result.continuation = root.child_value("NextContinuationToken");
  if (result.page.truncated && result.continuation.empty())
    return fail(ErrorCode::invalid, "the listing is truncated but does not say where to go on");
  return result;
}

Result<std::vector<BucketInfo>> parse_list_buckets(std::string_view xml) {
  pugi::xml_document document;
  TARN_TRY(const pugi::xml_node root, load(document, xml, "ListAllMyBucketsResult"));
  std::vector<BucketInfo> buckets;
  for (const pugi::xml_node node : root.child("Buckets").children("Bucket"))
    buckets.push_back(
        {node.child_value("Name"), parse_iso_time(node.child_value("CreationDate")).value_or(0),
         base::decode_bucket_options(node.child_value("Options"), parse_durability(node.child_value("Durability")).value_or(Durability::none))});
  return buckets;
}

std::optional<ParsedError> parse_error(std::string_view xml) {
  pugi::xml_document document;
  const auto root = load(document, xml, "Error");
  if (!root) return std::nullopt;
  return ParsedError{root->child_value("Code"), root->child_value("Message")};
}

std::optional<Checksum> checksum_of_etag(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  if (etag.substr(0, 3) != "x3-") return std::nullopt;
  return base::checksum_from_hex(etag.substr(3));
}

std::optional<std::int64_t> parse_iso_time(std::string_view text) {
  std::tm parts{};
  int used = 0;
  const std::string copy(text);
  const int fields = std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
                                 &parts.tm_min, &parts.tm_sec, &used);
  if (fields != 6 || used == 0) return std::nullopt;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  std::int64_t fraction_ns = 0;
  std::string_view rest = std::string_view(copy).substr(static_cast<std::size_t>(used));
  if (!rest.empty() && rest.front() == '.') {
    rest.remove_prefix(1);
    std::int64_t unit_ns = 100'000'000;
    for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; rest.remove_prefix(1), unit_ns /= 10)
      fraction_ns += (rest.front() - '0') * unit_ns;
  }
  if (rest != "Z") return std::nullopt;
  return static_cast<std::int64_t>(::timegm(&parts)) * 1'000'000'000 + fraction_ns;
}

}  // namespace tarn::s3
