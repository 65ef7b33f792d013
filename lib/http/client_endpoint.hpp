// client_endpoint.hpp - endpoint.json: where a running store is and what lets a client in.
// Level 5 (http). Value types; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

namespace tarn::http {

/// {"store": uuid, "endpoints": ["http://127.0.0.1:41001", ...], "token": "...", ..., "map_epoch": 1}
struct Endpoint {
  std::string file;               ///< it was read from; for messages
  std::string store;              ///< UUID
  std::vector<std::string> urls;  ///< one per rank that has a sidecar, without a final '/'
  std::string token;              ///< empty: the store is anonymous
};

/// `flag` if it is not empty, else $TARN_ENDPOINT_FILE, else "endpoint.json" here.
[[nodiscard]] std::string endpoint_file_path(std::string_view flag);

/// @errors not_found (with what to do), denied, invalid (not JSON, no endpoints, an URL that is not http://).
[[nodiscard]] Result<Endpoint> read_endpoint_file(const std::string& path);

/// An "http://HOST:PORT" taken apart.
struct Authority {
  std::string host;  ///< IPv6 without brackets
  std::uint16_t port = 80;

  [[nodiscard]] std::string text() const;  ///< as in Host:
  friend bool operator==(const Authority&, const Authority&) = default;
  friend auto operator<=>(const Authority&, const Authority&) = default;
};

struct SplitUrl {
  Authority authority;
  std::string target;  ///< path and query, "/" when empty
};

/// @errors invalid: not an http:// address. unsupported: https://.
[[nodiscard]] Result<SplitUrl> split_url(std::string_view url);

}  // namespace tarn::http
