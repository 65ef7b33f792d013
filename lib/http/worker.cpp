#include "http/worker.hpp"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <exception>

#include "base/log.hpp"
#include "http/connection.hpp"

namespace tarn::http {

Worker::Worker(Server& the_server)
    : server(the_server),
      metrics(the_server.service.metrics()),
      signer(the_server.auth.secret_key),
      scratch(limits::kHttpSmallObjectBytesMax),
      guard_(io.get_executor()) {}

Worker::~Worker() {
  stop();
}

void Worker::start() {
  asio::co_spawn(io, tick(), asio::detached);
  thread_ = std::thread([this] { run(); });
}

void Worker::run() {
  // sendfile to a client that has gone raises SIGPIPE, which nobody but this thread gets; the process's own way
  // with that signal is not ours to change.
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  while (true) {
    try {
      io.run();
      return;
    } catch (const std::exception& error) {  // a bug: each connection catches its own
      base::log_error(std::string("sidecar: an I/O thread caught: ") + error.what());
    }
  }
}

/// Counts seconds and ends waits that are overdue: one timer for all connections.
Task<> Worker::tick() {
  Timer timer(io.get_executor());
  while (true) {
    timer.expires_after(std::chrono::seconds(1));
    const auto [error] = co_await timer.async_wait(kAwait);
    if (error) co_return;
    ++clock_s;
    for (Connection* connection : connections) connection->check_deadline();
  }
}

void Worker::adopt(Socket socket) {
  load.fetch_add(1, std::memory_order_relaxed);
  try {
    asio::post(io, [this, socket = std::move(socket)]() mutable { Connection::serve(*this, std::move(socket)); });
  } catch (...) {
    load.fetch_sub(1, std::memory_order_relaxed);
    throw;
  }
}

void Worker::give_away(std::size_t keep, Worker& other) {
  asio::post(io, [this, keep, &other] {
    auto staying = static_cast<std::size_t>(std::count_if(connections.begin(), connections.end(), [](auto* one) { return !one->moving(); }));
    for (Connection* connection : connections) {
      if (staying <= keep) break;
      if (connection->moving()) continue;
      connection->move_to(other);
      --staying;
    }
  });
}

double Worker::cpu_seconds() const noexcept {
  clockid_t clock = 0;
  std::timespec time{};
  if (::pthread_getcpuclockid(const_cast<std::thread&>(thread_).native_handle(), &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void Worker::probe() {
  if (latency_ns_.load() == kPending) return;
  probed_ = std::chrono::steady_clock::now();
  latency_ns_.store(kPending);
  asio::post(io, [this, probed = probed_] { latency_ns_.store((std::chrono::steady_clock::now() - probed).count()); });
}

std::chrono::nanoseconds Worker::latency() const noexcept {
  const std::int64_t latency = latency_ns_.load();
  return latency == kPending ? std::chrono::steady_clock::now() - probed_ : std::chrono::nanoseconds(latency);
}

void Worker::cut_connections(bool all) {
  asio::post(io, [this, all] {
    for (Connection* connection : connections)
      if (all || connection->idle()) connection->cut();
  });
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  guard_.reset();
  io.stop();
  thread_.join();
}

}  // namespace tarn::http
