// connection.hpp - one client's connection: requests one after the other until either side has enough.
// Level 5 (http). Belongs to its worker's thread.
#pragma once

#include "http/asio.hpp"
#include "http/exchange.hpp"
#include "http/request_reader.hpp"
#include "http/transport.hpp"
#include "http/worker.hpp"

namespace tarn::http {

class Connection {
 public:
  /// Serves in the background; the connection owns itself. On the worker's thread.
  static void serve(Worker& worker, Socket socket);

  Connection(Worker& worker, Socket socket);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  void check_deadline() noexcept { transport_.check_deadline(); }
  void cut() noexcept { transport_.cut(); }
  /// Waits for a request of which nothing has arrived.
  [[nodiscard]] bool idle() const noexcept { return reader_.idle(); }

 private:
  Task<> run();
  Task<bool> serve_one();
  Task<> refuse_head(HeadRead read);

  Worker& worker_;
  Transport transport_;
  RequestReader reader_;
  Exchange exchange_;
};

}  // namespace tarn::http
