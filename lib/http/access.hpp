// access.hpp - who may come in: the bearer token, or the grant of the rank that redirected the client.
// Level 5 (http). Belongs to the worker's thread.
#pragma once

#include <cstdint>
#include <optional>

#include "http/message.hpp"
#include "http/target.hpp"
#include "http/worker.hpp"
#include "s3/api_error.hpp"

namespace tarn::http {

struct Access {
  std::optional<s3::ApiError> refusal;  ///< not set: come in
  std::uint64_t grant_epoch = 0;        ///< of the map by which the client was redirected; 0: it was not
};

/// A grant is looked at before an Authorization field, which clients may keep from another host.
[[nodiscard]] Access check_access(Worker& worker, const RequestHead& head, const Target& target);

}  // namespace tarn::http
