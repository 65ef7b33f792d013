// client_connection.hpp - one HTTP/1.1 connection of the client: a request out, an answer in, each step with a deadline.
// Level 5 (http). Resource type; one thread at a time. Beast and Asio stay in the .cpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tarn/result.hpp>

#include "http/client_body.hpp"
#include "http/client_endpoint.hpp"

namespace tarn::http {

struct ClientRequest {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  BodySource* body = nullptr;    ///< sent with Content-Length, or chunked when its size is not known
  bool expect_continue = false;  ///< the body waits until the server has said that it wants it
};

struct ClientResponse {
  unsigned status = 0;
  std::map<std::string, std::string, std::less<>> headers;  ///< names in lower case
  [[nodiscard]] std::string_view header(std::string_view lower_name) const;
};

class ClientConnection {
 public:
  /// @errors rank_lost: refused, unreachable, unknown host, no answer in time.
  [[nodiscard]] static Result<std::unique_ptr<ClientConnection>> connect(const Authority& server, std::chrono::milliseconds timeout);
  ~ClientConnection();

  /// Sends a request and reads the head of the final answer. An answer that comes before the body is out ends the sending.
  /// @errors io, timeout; those of the body.
  [[nodiscard]] Result<ClientResponse> exchange(const ClientRequest& request);
  /// The answer's next bytes; 0 at the end. @errors io: the connection ended before the body.
  [[nodiscard]] Result<std::size_t> read_body(std::span<std::byte> target);

  /// Whether the answer has been read to its end and another request may follow.
  [[nodiscard]] bool reusable() const noexcept;
  /// Whether a byte of an answer has arrived since the request began. If not, on a connection that was idle before, the server had
  /// closed it: the request was not processed.
  [[nodiscard]] bool answered() const noexcept;
  [[nodiscard]] const Authority& server() const noexcept;

 private:
  class Impl;
  explicit ClientConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn::http
