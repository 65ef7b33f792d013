#include "http/connection.hpp"

#include <exception>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "http/routes.hpp"

namespace tarn::http {

Connection::Connection(Worker& worker, Socket socket)
    : worker_(worker), transport_(std::move(socket), worker.clock_s, worker.work), reader_(transport_), exchange_(worker, transport_, reader_) {
  worker_.connections.insert(this);
  worker_.metrics.count_connection(1);
}

Connection::~Connection() {
  worker_.connections.erase(this);
  worker_.load.fetch_sub(1, std::memory_order_relaxed);
  worker_.metrics.count_connection(-1);
  if (!handed_over_) worker_.server.connections.remove();
}

void Connection::serve(Worker& worker, Socket socket) {
  std::shared_ptr<Connection> connection;
  try {
    connection = std::make_shared<Connection>(worker, std::move(socket));
  } catch (...) {  // there is none that would give its place back
    worker.load.fetch_sub(1, std::memory_order_relaxed);
    worker.server.connections.remove();
    throw;
  }
  auto& self = *connection;
  asio::co_spawn(worker.io, self.run(), [connection](const std::exception_ptr& error) {
    if (error == nullptr) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& caught) {
      base::log_error(std::string("sidecar: a request ended with: ") + caught.what());
    }
  });
}

Task<> Connection::run() {
  bool go_on = true;
  while (go_on && (!worker_.server.draining.load(std::memory_order_relaxed) || reader_.has_input())) {
    if (destination_ != nullptr && !reader_.has_input()) co_return hand_over();
    go_on = co_await serve_one();
  }
}

void Connection::move_to(Worker& other) noexcept {
  destination_ = &other;
  if (reader_.idle()) transport_.interrupt();
}

void Connection::hand_over() {
  Socket socket = transport_.release_to(destination_->io);
  if (!socket.is_open()) return;
  destination_->adopt(std::move(socket));
  handed_over_ = true;  // not if it throws: then the place is given back here
}

/// Answers what cannot be read as a request.
Task<> Connection::refuse_head(HeadRead read) {
  if (read == HeadRead::late) {
    transport_.uncut();
    co_await exchange_.refuse_unread({408, "RequestTimeout", "the request's head did not arrive within 20 seconds"});
  } else if (read == HeadRead::failed) {
    const ParseFailure failure = reader_.failure();
    const std::string code = failure.status == 431 ? "RequestHeaderSectionTooLarge" : "InvalidRequest";
    co_await exchange_.refuse_unread({failure.status, code, std::string(failure.message)});
    co_await transport_.finish();
  }
}

/// @return whether another request may follow.
Task<bool> Connection::serve_one() {
  const HeadRead read = co_await reader_.read_head(exchange_.head);  // GCC 12 traps on an await in a switch's condition
  if (read == HeadRead::moving) co_return true;
  if (read != HeadRead::complete) {
    co_await refuse_head(read);
    co_return false;
  }
  exchange_.begin();
  co_await dispatch(exchange_);
  exchange_.end();
  if (exchange_.broken()) co_return false;
  if (exchange_.closing()) {
    co_await transport_.finish();
    co_return false;
  }
  co_return co_await reader_.skip_body(limits::kHttpSmallObjectBytesMax);
}

}  // namespace tarn::http
