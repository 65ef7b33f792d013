#include "http/client.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/bucket_options.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "http/client_transport.hpp"
#include "http/object_fields.hpp"
#include "http/stats_json.hpp"
#include "placement/map_json.hpp"
#include "placement/placement.hpp"
#include "s3/list_parse.hpp"

namespace tarn::http {

namespace {

constexpr std::size_t kReadBytes = limits::MiB;
constexpr std::string_view kMetadataPrefix = "x-amz-meta-";

/// Checksums what passes through on its way to the store.
class HashingBody final : public BodySource {
 public:
  explicit HashingBody(BodySource& inner) : inner_(inner) {}
  Result<std::size_t> read(std::span<std::byte> target) override {
    auto count = inner_.read(target);
    if (count) {
      stream_.update(target.first(*count));
      size_bytes_ += *count;
    }
    return count;
  }
  bool rewind() override {
    stream_.reset();
    size_bytes_ = 0;
    return inner_.rewind();
  }
  std::optional<std::uint64_t> size() const override { return inner_.size(); }
  [[nodiscard]] Checksum checksum() const { return stream_.digest(); }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  BodySource& inner_;
  base::ChecksumStream stream_;
  std::uint64_t size_bytes_ = 0;
};

std::string object_target(const ObjectName& name) {
  return "/" + name.bucket + "/" + base::percent_encode(name.key, true);
}

std::string describe(const ObjectName& name) {
  return "tarn://" + name.bucket + "/" + name.key;
}

ObjectInfo info_of(const ObjectName& name, const ClientResponse& response) {
  ObjectInfo info;
  info.key = name.key;
  const auto length = response.header("content-length");
  std::from_chars(length.data(), length.data() + length.size(), info.size_bytes);
  info.checksum = s3::checksum_of_etag(response.header("etag")).value_or(Checksum{});
  info.modified_ns = base::parse_http_time(response.header("last-modified")).value_or(0);
  info.content_type = response.header("content-type");
  for (const auto& [header, value] : response.headers)
    if (header.rfind(kMetadataPrefix, 0) == 0) info.user_metadata[header.substr(kMetadataPrefix.size())] = value;
  return info;
}

Result<std::string> range_header(const ByteRange& range) {
  if (range.length == 0) return fail(ErrorCode::invalid, "a range of no bytes cannot be asked for");
  std::string text = "bytes=" + std::to_string(range.offset) + "-";
  if (range.length != ByteRange::kToEnd && range.length - 1 <= UINT64_MAX - range.offset) text += std::to_string(range.offset + range.length - 1);
  return text;
}

}  // namespace

/// The map with what placement has prepared of it; immutable once made.
struct MapState {
  placement::StoreMap map;
  placement::Placement placement;
};

class Client::Impl {
 public:
  Impl(Endpoint from, const ClientOptions& options) : endpoint(std::move(from)), transport(endpoint, options.timeout) {}

  Result<std::shared_ptr<const MapState>> map();
  Result<std::vector<std::string>> servers(const ObjectName& name);
  Result<std::string> text(ClientRequest request, std::string_view what);
  Result<base::Json> json(ClientRequest request, std::string_view what);

  const Endpoint endpoint;
  ClientTransport transport;
  std::mutex mutex;                           // guards map_state
  std::shared_ptr<const MapState> map_state;  // read from the store once
};

Result<std::shared_ptr<const MapState>> Client::Impl::map() {
  const std::lock_guard lock(mutex);  // held while asking: one question for all threads
  if (map_state) return map_state;
  TARN_TRY(const base::Json json, this->json({.method = "GET", .target = "/-/map"}, "the store's map"));
  TARN_TRY(placement::StoreMap map, placement::map_from_json(json));
  placement::Placement placement(map);
  map_state = std::make_shared<const MapState>(MapState{std::move(map), std::move(placement)});
  return map_state;
}

/// The owner first, then the others: any rank can pass a request on.
Result<std::vector<std::string>> Client::Impl::servers(const ObjectName& name) {
  TARN_TRY(const auto state, map());
  std::vector<std::string> urls;
  if (state->placement.disks() > 0) {
    const auto& disk = state->map.disks[state->placement.home_disk(name.bucket, name.key)];
    const std::string& url = state->map.ranks[static_cast<std::size_t>(disk.rank)].url;
    if (!url.empty()) urls.push_back(url);
  }
  const std::string owner = urls.empty() ? std::string() : urls.front();
  for (const std::string& url : endpoint.urls)
    if (url != owner) urls.push_back(url);
  return urls;
}

Result<std::string> Client::Impl::text(ClientRequest request, std::string_view what) {
  TARN_TRY(ClientAnswer answer, transport.request(endpoint.urls, std::move(request), what));
  return transport.read_text(std::move(answer));
}

Result<base::Json> Client::Impl::json(ClientRequest request, std::string_view what) {
  TARN_TRY(const std::string body, text(std::move(request), what));
  return base::parse_json(body, what);
}

Client::Client(Endpoint endpoint, const ClientOptions& options) : impl_(std::make_unique<Impl>(std::move(endpoint), options)) {}
Client::~Client() = default;

const Endpoint& Client::endpoint() const noexcept {
  return impl_->endpoint;
}

Result<std::shared_ptr<const placement::StoreMap>> Client::map() {
  TARN_TRY(const auto state, impl_->map());
  return std::shared_ptr<const placement::StoreMap>(state, &state->map);
}

Result<ObjectInfo> Client::put(const ObjectName& name, BodySource& body, const PutOptions& options) {
  TARN_CHECK(base::check_name(name));
  TARN_TRY(const auto urls, impl_->servers(name));
  HashingBody hashing(body);
  ClientRequest request{.method = "PUT", .target = object_target(name), .body = &hashing};
  // What can be read only once must not be on its way when a redirect comes.
  request.expect_continue = !body.size();
  if (!options.content_type.empty()) request.headers.emplace_back("Content-Type", options.content_type);
  for (const auto& [key, value] : options.user_metadata) request.headers.emplace_back(std::string(kMetadataPrefix) + key, value);
  TARN_TRY(ClientAnswer answer, impl_->transport.request(urls, request, "put " + describe(name)));
  const auto stored = s3::checksum_of_etag(answer.response.header("etag"));
  TARN_CHECK(impl_->transport.read_text(std::move(answer)));
  if (stored && *stored != hashing.checksum())
    return fail(ErrorCode::corrupt, "put " + describe(name) + ": the store got other bytes than were sent; put it again");
  ObjectInfo info;
  info.key = name.key;
  info.size_bytes = hashing.size_bytes();
  info.checksum = hashing.checksum();
  info.modified_ns = base::now_ns();
  info.content_type = options.content_type;
  info.user_metadata = options.user_metadata;
  return info;
}

Result<ObjectInfo> Client::get(const ObjectName& name, const BodySink& sink, const std::optional<ByteRange>& range) {
  TARN_CHECK(base::check_name(name));
  TARN_TRY(const auto urls, impl_->servers(name));
  ClientRequest request{.method = "GET", .target = object_target(name)};
  if (range) {
    TARN_TRY(std::string header, range_header(*range));
    request.headers.emplace_back("Range", std::move(header));
  }
  TARN_TRY(ClientAnswer answer, impl_->transport.request(urls, request, "get " + describe(name)));
  const ObjectInfo info = info_of(name, answer.response);
  const auto expected = s3::checksum_of_etag(answer.response.header("etag"));
  const bool whole = answer.response.status == 200;
  base::ChecksumStream checksum;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::clamp<std::uint64_t>(info.size_bytes, 1, kReadBytes)));
  for (;;) {
    auto count = answer.connection->read_body(buffer);
    if (!count) return fail(count.error().code, "get " + describe(name) + ": " + count.error().message);
    if (*count == 0) break;
    const auto piece = std::span<const std::byte>(buffer).first(*count);
    if (whole) checksum.update(piece);
    TARN_CHECK(sink(piece));
  }
  impl_->transport.give_back(std::move(answer.connection));
  if (whole && expected && checksum.digest() != *expected)
    return fail(ErrorCode::corrupt, "get " + describe(name) + ": the bytes that arrived do not match the object's checksum");
  return info;
}

Result<ObjectInfo> Client::head(const ObjectName& name) {
  TARN_CHECK(base::check_name(name));
  TARN_TRY(const auto urls, impl_->servers(name));
  auto answer = impl_->transport.request(urls, {.method = "HEAD", .target = object_target(name)}, describe(name));
  if (!answer && answer.error().code == ErrorCode::not_found) return fail(ErrorCode::not_found, "there is no object " + describe(name));
  if (!answer) return fail(std::move(answer).error());
  ObjectInfo info = info_of(name, answer->response);
  impl_->transport.give_back(std::move(answer->connection));
  return info;
}

Result<void> Client::remove(const ObjectName& name) {
  TARN_CHECK(base::check_name(name));
  TARN_TRY(const auto urls, impl_->servers(name));
  TARN_TRY(ClientAnswer answer, impl_->transport.request(urls, {.method = "DELETE", .target = object_target(name)}, "remove " + describe(name)));
  TARN_CHECK(impl_->transport.read_text(std::move(answer)));
  return {};
}

Result<ClientListing> Client::list(std::string_view bucket, const ListOptions& options, std::string_view continuation) {
  TARN_CHECK(base::check_bucket_name(bucket));
  std::string target = "/" + std::string(bucket) + "?list-type=2&encoding-type=url&max-keys=" + std::to_string(options.max_keys);
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) target.append("&").append(name).append("=").append(base::percent_encode(value, false));
  };
  add("prefix", options.prefix);
  add("delimiter", options.delimiter);
  add("start-after", options.start_after);
  add("continuation-token", continuation);
  TARN_TRY(const std::string xml, impl_->text({.method = "GET", .target = target}, "list tarn://" + std::string(bucket) + "/"));
  TARN_TRY(auto parsed, s3::parse_list_objects(xml));
  return ClientListing{std::move(parsed.page), std::move(parsed.continuation)};
}

Result<std::vector<BucketInfo>> Client::buckets() {
  TARN_TRY(const std::string xml, impl_->text({.method = "GET", .target = "/"}, "list the buckets"));
  return s3::parse_list_buckets(xml);
}

Result<void> Client::create_bucket(std::string_view bucket, const BucketOptions& options) {
  TARN_CHECK(base::check_bucket_name(bucket));
  ClientRequest request{.method = "PUT", .target = "/" + std::string(bucket)};
  if (options.durability != Durability::none) request.headers.emplace_back(kDurabilityField, to_string(options.durability));
  if (const std::string others = base::encode_bucket_options(options); !others.empty()) request.headers.emplace_back(kBucketOptionsField, others);
  TARN_CHECK(impl_->text(std::move(request), "create bucket tarn://" + std::string(bucket) + "/"));
  return {};
}

Result<void> Client::remove_bucket(std::string_view bucket) {
  TARN_CHECK(base::check_bucket_name(bucket));
  TARN_CHECK(impl_->text({.method = "DELETE", .target = "/" + std::string(bucket)}, "remove bucket tarn://" + std::string(bucket) + "/"));
  return {};
}

Result<std::string> Client::start_sort(const base::Json& spec) {
  const std::string text = boost::json::serialize(spec);
  SpanBody body(std::as_bytes(std::span(text)));
  ClientRequest request{.method = "POST", .target = "/v1/sort", .headers = {{"Content-Type", "application/json"}}, .body = &body};
  TARN_TRY(std::string answer, impl_->text(std::move(request), "dsort"));
  // AIStore answers the bare id; a quoted one or {"id": ...} is understood as well.
  if (const auto json = base::parse_json(answer, "the answer to dsort")) {
    if (json->is_string()) return std::string(json->get_string());
    if (const auto id = base::json_string(*json, "id")) return *id;
  }
  while (!answer.empty() && (answer.back() == '\n' || answer.back() == '\r')) answer.pop_back();
  if (answer.empty()) return fail(ErrorCode::internal, "dsort: the store gave no job id");
  return answer;
}

Result<std::string> Client::start_rebalance(const RebalanceOptions& options) {
  const std::string text = boost::json::serialize(base::JsonObject{{"bytes_per_second", options.bytes_per_second}});
  SpanBody body(std::as_bytes(std::span(text)));
  return impl_->text({.method = "POST", .target = "/v1/rebalance", .headers = {{"Content-Type", "application/json"}}, .body = &body}, "rebalance");
}

Result<base::Json> Client::sort_status(std::string_view id) {
  return impl_->json({.method = "GET", .target = "/v1/sort?id=" + base::percent_encode(id, false)}, "status of job " + std::string(id));
}

Result<void> Client::abort_sort(std::string_view id) {
  ClientRequest request{.method = "DELETE", .target = "/v1/sort/abort?id=" + base::percent_encode(id, false)};
  TARN_CHECK(impl_->text(std::move(request), "abort dsort " + std::string(id)));
  return {};
}

Result<StoreStats> Client::stats() {
  TARN_TRY(const base::Json json, impl_->json({.method = "GET", .target = "/-/stats"}, "the store's counters"));
  return stats_from_json(json);
}

Result<std::string> Client::fetch_text(const std::string& url, std::string_view path) {
  TARN_TRY(ClientAnswer answer, impl_->transport.request({url}, {.method = "GET", .target = std::string(path)}, url + std::string(path)));
  return impl_->transport.read_text(std::move(answer));
}

}  // namespace tarn::http
