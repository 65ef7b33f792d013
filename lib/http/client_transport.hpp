// client_transport.hpp - requests of the client: connection pool, token, retry, redirects, errors of the store.
// Level 5 (http). Any thread.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

#include "http/client_connection.hpp"

namespace tarn::http {

/// An answer whose body is still to be read, on the connection that it came by.
struct ClientAnswer {
  std::unique_ptr<ClientConnection> connection;
  ClientResponse response;
};

class ClientTransport {
 public:
  ClientTransport(const Endpoint& endpoint, std::chrono::milliseconds timeout);

  /// Sends the request to the first of `urls` that can be reached and follows 307s. The answer has a status of 200 to 299;
  /// everything else has become an error.
  /// @param what  names the object or action in messages.
  [[nodiscard]] Result<ClientAnswer> request(const std::vector<std::string>& urls, ClientRequest request, std::string_view what);
  /// Reads the rest of a text answer and gives the connection back. @errors invalid: longer than 64 MiB.
  [[nodiscard]] Result<std::string> read_text(ClientAnswer answer);
  /// For the next request, if it can be used again.
  void give_back(std::unique_ptr<ClientConnection> connection);

 private:
  struct Lease {
    std::unique_ptr<ClientConnection> connection;
    bool fresh = true;
  };
  [[nodiscard]] Result<Lease> lease(const Authority& server, bool fresh);
  [[nodiscard]] Result<ClientAnswer> send(const Authority& server, const ClientRequest& request);
  [[nodiscard]] Result<ClientAnswer> follow(ClientAnswer answer, ClientRequest request, std::string_view what);
  [[nodiscard]] Error store_error(ClientAnswer answer, std::string_view what);

  const std::string endpoint_file_;
  const std::string token_;
  const std::chrono::milliseconds timeout_;
  std::set<Authority> ranks_;  // the only servers that get the token
  std::mutex mutex_;           // guards idle_
  std::multimap<Authority, std::unique_ptr<ClientConnection>> idle_;
};

}  // namespace tarn::http
