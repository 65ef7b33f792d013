#include "http/routes.hpp"

#include <string>

#include "base/text.hpp"
#include "http/access.hpp"
#include "http/redirect_rule.hpp"

// Routing is done by plain functions that hand on the coroutine that answers: a frame less for each step.
namespace tarn::http {

namespace {

constexpr std::int64_t kGrantSeconds = 60;

s3::ApiError name_error(const Error& error, bool of_bucket, const std::string& key) {
  if (of_bucket) return {400, "InvalidBucketName", error.message};
  if (key.size() > limits::kKeyBytesMax) return {400, "KeyTooLongError", error.message};
  return {400, "InvalidArgument", error.message};
}

/// Sub-resources and overrides that this version does not know: answering without them would be wrong.
const std::string* unknown_parameter(const s3::QueryParameters& parameters) {
  for (const auto& [name, value] : parameters)
    if (name != "x-id" && !s3::is_grant_parameter(name)) return &name;
  return nullptr;
}

Task<> object_route(Exchange& exchange) {
  const auto& name = exchange.target.name;
  if (const auto checked = base::check_key(name.key); !checked) return exchange.refuse(name_error(checked.error(), false, name.key));
  if (const auto* parameter = unknown_parameter(exchange.target.parameters))
    return exchange.refuse(
        s3::ApiError{501, "NotImplemented", "the parameter '" + parameter->substr(0, 80) + "' on an object is not something this version does"});
  switch (exchange.head.method) {
    case Method::get:
      exchange.operation = Operation::get_object;
      return get_object(exchange);
    case Method::head:
      exchange.operation = Operation::head_object;
      return head_object(exchange);
    case Method::put:
      exchange.operation = Operation::put_object;
      return put_object(exchange);
    case Method::remove:
      exchange.operation = Operation::delete_object;
      return remove_object(exchange);
    default:
      return exchange.refuse(s3::ApiError{501, "NotImplemented", "an object is read, written and removed with GET, HEAD, PUT and DELETE"});
  }
}

Task<> store_route(Exchange& exchange) {
  const auto& name = exchange.target.name;
  if (name.bucket.empty() && name.key.empty()) return service_route(exchange);
  if (const auto checked = base::check_bucket_name(name.bucket); !checked) return exchange.refuse(name_error(checked.error(), true, name.key));
  return name.key.empty() ? bucket_route(exchange) : object_route(exchange);
}

bool needs_no_token(const Target& target) {
  return target.name.bucket == "-" && (target.name.key == "health" || target.name.key == "ready");
}

}  // namespace

Task<> dispatch(Exchange& exchange) {
  if (const auto parsed = parse_target(exchange.head.target, exchange.target); !parsed) {
    exchange.close_after();  // who sends this may not mean the rest as we read it
    return exchange.refuse(s3::ApiError{400, "InvalidURI", parsed.error().message});
  }
  const std::string& first = exchange.target.name.bucket;
  if (needs_no_token(exchange.target)) return admin_route(exchange);
  auto access = check_access(exchange.worker, exchange.head, exchange.target);
  if (access.refusal) return exchange.refuse(std::move(*access.refusal));
  exchange.grant_epoch = access.grant_epoch;
  if (first == "-") return admin_route(exchange);
  if (!exchange.server.ready.load(std::memory_order_relaxed))
    return exchange.refuse(s3::ApiError{503, "ServiceUnavailable", "the store is starting; try again in a moment"});
  if (first == "v1") return sort_route(exchange);
  return store_route(exchange);
}

Task<bool> redirect_to_owner(Exchange& exchange, RankId owner) {
  const auto& name = exchange.target.name;
  const auto map = exchange.server.service.map();
  const auto index = static_cast<std::size_t>(owner);
  if (owner < 0 || index >= map->ranks.size() || map->ranks[index].url.empty() || !survives_in_url(name.key)) co_return false;
  const std::int64_t expires_s = base::now_ns() / 1'000'000'000 + kGrantSeconds;
  std::string location = map->ranks[index].url;
  location.append("/").append(name.bucket).append("/").append(base::percent_encode(name.key, true)).append("?");
  location.append(exchange.worker.signer.query({exchange.head.method_text, name.bucket, name.key, map->epoch, expires_s}));
  exchange.begin_response(307).add("Location", location);
  exchange.worker.metrics.count_redirect();
  if (!exchange.send_at_once({})) co_await exchange.send_rest();
  co_return true;
}

bool redirected_in_vain(const Exchange& exchange) {
  return exchange.grant_epoch != 0 && exchange.grant_epoch == exchange.server.service.map()->epoch;
}

}  // namespace tarn::http
