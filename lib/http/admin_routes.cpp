// Operations: /-/health, /-/ready, /-/map, /-/stats, /-/metrics.
#include <string>

#include "base/json.hpp"
#include "http/routes.hpp"
#include "http/stats_json.hpp"
#include "placement/map_json.hpp"

namespace tarn::http {

namespace {

Task<> health(Exchange& exchange) {
  const auto troubles = exchange.server.service.troubles();
  base::JsonArray list;
  for (const auto& trouble : troubles) list.emplace_back(trouble);
  base::JsonObject answer{{"status", troubles.empty() ? "ok" : "trouble"}, {"rank", exchange.server.service.rank()}, {"troubles", std::move(list)}};
  return exchange.send_json(troubles.empty() ? 200 : 503, std::move(answer));
}

Task<> ready(Exchange& exchange) {
  const bool is_ready = exchange.server.ready.load();
  return exchange.send_json(is_ready ? 200 : 503, base::JsonObject{{"ready", is_ready}, {"rank", exchange.server.service.rank()}});
}

Task<> map(Exchange& exchange) {
  base::Json answer = placement::map_to_json(*exchange.server.service.map());
  answer.as_object()["rank"] = exchange.server.service.rank();
  return exchange.send_json(200, std::move(answer));
}

Task<> metrics(Exchange& exchange) {
  exchange.server.process.update();
  exchange.server.service.update_metrics();
  const std::string text = exchange.server.service.metrics().text();
  exchange.begin_response(200).add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  co_await exchange.send(std::string_view(text));
}

/// Asks every rank.
Task<> stats(Exchange& exchange) {
  auto ask = [&service = exchange.server.service] { return service.stats(); };
  const auto counters = co_await exchange.blocking(std::move(ask));
  if (!counters) co_return co_await exchange.refuse(counters.error());
  base::Json answer = stats_to_json(*counters);
  co_await exchange.send_json(200, std::move(answer));
}

Task<> contents(Exchange& exchange) {
  base::JsonObject answer{{"store", exchange.server.service.map()->store_id.to_string()},
                          {"rank", exchange.server.service.rank()},
                          {"paths", base::JsonArray{"/-/health", "/-/ready", "/-/map", "/-/stats", "/-/metrics"}}};
  return exchange.send_json(200, std::move(answer));
}

}  // namespace

Task<> admin_route(Exchange& exchange) {
  exchange.operation = Operation::admin;
  if (exchange.head.method != Method::get && exchange.head.method != Method::head)
    return exchange.refuse(s3::ApiError{405, "MethodNotAllowed", "everything below /-/ is read with GET"});
  const std::string& path = exchange.target.name.key;
  if (path == "health") return health(exchange);
  if (path == "ready") return ready(exchange);
  if (path == "map") return map(exchange);
  if (path == "stats") return stats(exchange);
  if (path == "metrics") return metrics(exchange);
  if (path.empty()) return contents(exchange);
  return exchange.refuse(s3::ApiError{404, "NotFound", "there is no such page; /-/ lists those there are"});
}

}  // namespace tarn::http
