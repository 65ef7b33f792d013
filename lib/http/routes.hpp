// routes.hpp - from a request to the function that answers it.
// Level 5 (http). Belongs to the worker's thread. Each answers exactly once.
//
//   /-/health /-/ready            no token
//   /-/map /-/stats /-/metrics    operations          admin_routes.cpp
//   /v1/sort ...                  dsort               sort_routes.cpp
//   /  /{bucket}                  S3 buckets, lists   bucket_routes.cpp
//   /{bucket}/{key}               S3 objects          get_object.cpp, put_object.cpp
#pragma once

#include "http/exchange.hpp"

namespace tarn::http {

Task<> dispatch(Exchange& exchange);

Task<> admin_route(Exchange& exchange);
Task<> sort_route(Exchange& exchange);
Task<> service_route(Exchange& exchange);
Task<> bucket_route(Exchange& exchange);
Task<> get_object(Exchange& exchange);
Task<> head_object(Exchange& exchange);
Task<> put_object(Exchange& exchange);
Task<> remove_object(Exchange& exchange);

/// Sends the client to the owner, with a grant. @return false: the owner has no address, or the key does not survive in one.
Task<bool> redirect_to_owner(Exchange& exchange, RankId owner);

/// Whether another rank redirected the client to here by the map that is in force, and wrongly: never send it in circles.
[[nodiscard]] bool redirected_in_vain(const Exchange& exchange);

}  // namespace tarn::http
