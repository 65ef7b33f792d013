// Collective work from outside. dsort in the form of AIStore's REST: POST /v1/sort, GET /v1/sort?id=, DELETE /v1/sort/abort?id=;
// POST /v1/rebalance with {"bytes_per_second": n} or nothing, then asked for and aborted by its id as a sort is.
#include <string>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "http/routes.hpp"

namespace tarn::http {

namespace {

Task<> start(Exchange& exchange, bool rebalance) {
  auto& service = exchange.server.service;
  auto text = co_await exchange.read_document(limits::kHttpDocumentBytesMax);
  if (!text) co_return co_await exchange.refuse(text.error());
  auto begin = [&service, &text, rebalance]() -> Result<std::string> {
    if (rebalance && text->empty()) *text = "{}";
    const auto spec = base::parse_json(*text, rebalance ? "the options of rebalance" : "the sort's specification");
    if (!spec) return fail(spec.error());
    return service.start_job(rebalance ? base::Json(base::JsonObject{{"rebalance", *spec}}) : *spec);
  };
  const auto id = co_await exchange.blocking(std::move(begin));
  if (!id) co_return co_await exchange.refuse(id.error());
  exchange.begin_response(200).add("Content-Type", "text/plain");
  co_await exchange.send(std::string_view(*id));
}

Task<> status(Exchange& exchange, std::string id) {
  auto& service = exchange.server.service;
  auto ask = [&service, &id] { return service.job_status(id); };
  auto answer = co_await exchange.blocking(std::move(ask));
  if (!answer) co_return co_await exchange.refuse(answer.error());
  co_await exchange.send_json(200, std::move(*answer));
}

Task<> abort(Exchange& exchange, std::string id) {
  auto& service = exchange.server.service;
  auto stop = [&service, &id] { return service.abort_job(id); };
  const auto stopped = co_await exchange.blocking(std::move(stop));
  if (!stopped) co_return co_await exchange.refuse(stopped.error());
  exchange.begin_response(200);
  co_await exchange.send(std::string_view());
}

/// Versions of AIStore differ in the parameter's name.
std::string id_of(const Target& target) {
  for (const std::string_view name : {"id", "uuid"})
    if (const auto* value = s3::find_parameter(target.parameters, name)) return *value;
  return {};
}

}  // namespace

Task<> sort_route(Exchange& exchange) {
  exchange.operation = Operation::sort;
  const std::string& path = exchange.target.name.key;
  const Method method = exchange.head.method;
  if ((path == "sort" || path == "rebalance") && method == Method::post) co_return co_await start(exchange, path == "rebalance");
  const bool asks = path == "sort" && method == Method::get;
  const bool aborts = path == "sort/abort" && method == Method::remove;
  if (!asks && !aborts)
    co_return co_await exchange.refuse(s3::ApiError{
        501, "NotImplemented", "of /v1, this version has POST /v1/sort, POST /v1/rebalance, GET /v1/sort?id=ID and DELETE /v1/sort/abort?id=ID"});
  std::string id = id_of(exchange.target);
  if (id.empty()) co_return co_await exchange.refuse(s3::ApiError{400, "InvalidArgument", "say which job: ?id=ID"});
  if (asks) co_return co_await status(exchange, std::move(id));
  co_await abort(exchange, std::move(id));
}

}  // namespace tarn::http
