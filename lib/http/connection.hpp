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
  /// Serves in the background; the connection owns itself, and its place in the ConnectionCount. On the worker's thread.
  static void serve(Worker& worker, Socket socket);

  Connection(Worker& worker, Socket socket);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  void check_deadline() noexcept { transport_.check_deadline(); }
  void cut() noexcept { transport_.cut(); }
  /// Goes on on another thread, as soon as no request is under way.
  void move_to(Worker& other) noexcept;
  [[nodiscard]] bool moving() const noexcept { return destination_ != nullptr; }
  /// Waits for a request of which nothing has arrived.
  [[nodiscard]] bool idle() const noexcept { return reader_.idle(); }

 private:
  Task<> run();
  Task<bool> serve_one();
  Task<> refuse_head(HeadRead read);
  void hand_over();

  Worker& worker_;
  Transport transport_;
  RequestReader reader_;
  Exchange exchange_;
  Worker* destination_ = nullptr;
  bool handed_over_ = false;
};

}  // namespace tarn::http
