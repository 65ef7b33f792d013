// S3 on buckets: list them, make, ask for, list and remove one. All but HEAD talk to every rank.
#include <string>
#include <vector>

#include "base/bucket_options.hpp"
#include "base/limits.hpp"
#include "http/object_fields.hpp"
#include "http/routes.hpp"
#include "s3/list_objects.hpp"

namespace tarn::http {

namespace {

s3::ApiError not_implemented(std::string message) {
  return {501, "NotImplemented", std::move(message)};
}

Task<> list_objects(Exchange& exchange) {
  exchange.operation = Operation::list_objects;
  auto& service = exchange.server.service;
  const std::string* type = s3::find_parameter(exchange.target.parameters, "list-type");
  if (type == nullptr && exchange.target.parameters.empty())
    co_return co_await exchange.refuse(not_implemented("listings of version 1 are not something this version does; ask with ?list-type=2"));
  if (type != nullptr && *type != "2") co_return co_await exchange.refuse(s3::ApiError{400, "InvalidArgument", "list-type can only be 2"});
  auto query = s3::parse_list_query(exchange.target.parameters);
  if (!query) co_return co_await exchange.refuse(std::move(query).error());
  if (type == nullptr)
    co_return co_await exchange.refuse(not_implemented("listings of version 1 are not something this version does; ask with ?list-type=2"));
  const std::string bucket = exchange.target.name.bucket;
  if (!service.has_bucket(bucket)) co_return co_await exchange.refuse(no_such_bucket(bucket));
  ListPage none;
  if (query->options.max_keys == 0) co_return co_await exchange.send_xml(200, s3::list_objects_xml(bucket, *query, none));
  // A page of 1,000 keys is some 300 KB of XML: it is made where it delays nobody.
  auto list = [&service, &bucket, &query]() -> Result<std::string> {
    auto page = service.list(bucket, query->options);
    if (!page) return fail(std::move(page).error());
    return s3::list_objects_xml(bucket, *query, *page);
  };
  auto text = co_await exchange.blocking(std::move(list));
  if (!text) co_return co_await exchange.refuse(text.error());
  co_await exchange.send_xml(200, std::move(*text));
}

Task<> make_bucket(Exchange& exchange) {
  exchange.operation = Operation::create_bucket;
  auto& service = exchange.server.service;
  // The body may name a region (CreateBucketConfiguration); there is one here.
  const auto body = co_await exchange.read_document(limits::kHttpDocumentBytesMax);
  if (!body) co_return co_await exchange.refuse(body.error());
  BucketOptions options;
  if (const auto wanted = exchange.head.find(kDurabilityField)) {
    const auto durability = parse_durability(*wanted);
    if (!durability) co_return co_await exchange.refuse(s3::ApiError{400, "InvalidArgument", "x-tarn-durability can be none or sync"});
    options.durability = *durability;
  }
  if (const auto wanted = exchange.head.find(kBucketOptionsField)) {
    const auto parsed = base::parse_bucket_options(*wanted, options.durability);
    if (!parsed) co_return co_await exchange.refuse(parsed.error());
    options = *parsed;
  }
  auto make = [&service, bucket = exchange.target.name.bucket, options] { return service.create_bucket(bucket, options); };
  const auto made = co_await exchange.blocking(std::move(make));
  if (!made) co_return co_await exchange.refuse(made.error());
  exchange.begin_response(200).add("Location", "/" + exchange.target.name.bucket);
  co_await exchange.send(std::string_view());
}

Task<> ask_for_bucket(Exchange& exchange) {
  exchange.operation = Operation::head_bucket;
  if (!exchange.server.service.has_bucket(exchange.target.name.bucket))
    co_return co_await exchange.refuse(no_such_bucket(exchange.target.name.bucket));
  exchange.begin_response(200);
  co_await exchange.send(std::string_view());
}

Task<> remove_bucket(Exchange& exchange) {
  exchange.operation = Operation::delete_bucket;
  auto& service = exchange.server.service;
  auto remove = [&service, bucket = exchange.target.name.bucket] { return service.remove_bucket(bucket); };
  const auto removed = co_await exchange.blocking(std::move(remove));
  if (!removed && removed.error().code == ErrorCode::busy && service.has_bucket(exchange.target.name.bucket))
    co_return co_await exchange.refuse(s3::ApiError{409, "BucketNotEmpty", removed.error().message});
  if (!removed) co_return co_await exchange.refuse(removed.error());
  exchange.begin_response(204);
  co_await exchange.send(std::string_view());
}

}  // namespace

Task<> service_route(Exchange& exchange) {
  exchange.operation = Operation::list_buckets;
  if (exchange.head.method != Method::get && exchange.head.method != Method::head)
    co_return co_await exchange.refuse(s3::ApiError{405, "MethodNotAllowed", "only GET lists the buckets"});
  auto& service = exchange.server.service;
  auto ask = [&service] { return service.buckets(); };
  auto buckets = co_await exchange.blocking(std::move(ask));
  if (!buckets) co_return co_await exchange.refuse(buckets.error());
  co_await exchange.send_xml(200, s3::list_buckets_xml(*buckets));
}

Task<> bucket_route(Exchange& exchange) {
  if (exchange.head.method == Method::get) co_return co_await list_objects(exchange);
  for (const auto& [name, value] : exchange.target.parameters)
    if (name != "x-id")
      co_return co_await exchange.refuse(
          not_implemented("the parameter '" + name.substr(0, 80) + "' on a bucket is not something this version does"));
  switch (exchange.head.method) {
    case Method::put:
      co_return co_await make_bucket(exchange);
    case Method::head:
      co_return co_await ask_for_bucket(exchange);
    case Method::remove:
      co_return co_await remove_bucket(exchange);
    default:
      co_await exchange.refuse(not_implemented("a bucket is listed, made, asked for and removed with GET, PUT, HEAD and DELETE"));
  }
}

}  // namespace tarn::http
