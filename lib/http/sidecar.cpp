#include "http/sidecar.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "http/asio.hpp"
#include "http/balancer.hpp"
#include "http/listen.hpp"
#include "http/worker.hpp"

namespace tarn::http {

namespace {

constexpr std::chrono::milliseconds kAcceptPause{100};  // when the process has no descriptor left

/// At most half of the descriptors that the process may have: the volumes and the application need the others.
std::size_t connections_max() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return limits::kHttpConnectionsMax;
  return std::clamp<std::size_t>(limit.rlim_cur / 2, 16, limits::kHttpConnectionsMax);
}

void log_dropped(const char* why) noexcept {
  try {
    base::log_error(std::string("sidecar: a connection is dropped: ") + why);
  } catch (...) {  // no memory for that either
    return;
  }
}

}  // namespace

class Sidecar::Impl {
 public:
  Impl(SidecarOptions options, Listener listener) : options_(std::move(options)), listener_(std::move(listener)) {}

  Result<void> start(object::ObjectService& service, AuthConfig auth);
  void stop();
  void set_ready(bool ready) noexcept {
    if (server_) server_->ready.store(ready);
  }
  [[nodiscard]] const Listener& listener() const noexcept { return listener_; }

 private:
  Task<> accept_connections();
  bool admit(Socket& socket);
  void deal(Worker& worker, Socket socket);

  const SidecarOptions options_;
  const std::size_t connections_max_ = connections_max();
  Listener listener_;
  std::optional<Server> server_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<Acceptor> acceptor_;  // these two belong to the first worker's thread once serving
  std::optional<Balancer> balancer_;
};

Result<void> Sidecar::Impl::start(object::ObjectService& service, AuthConfig auth) {
  if (server_) return fail(ErrorCode::invalid, "the sidecar has been started already");
  if (!options_.anonymous && auth.token.empty())
    return fail(ErrorCode::invalid, "the sidecar needs a token, or leave to serve anybody (--anonymous)");
  server_.emplace(service, options_, std::move(auth));
  for (unsigned i = 0; i < std::max(1U, options_.threads); ++i) workers_.push_back(std::make_unique<Worker>(*server_));
  boost::system::error_code error;
  acceptor_.emplace(workers_.front()->io);
  acceptor_->assign(listener_.ipv6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), listener_.socket.release(), error);
  if (error) return fail(ErrorCode::io, "cannot accept connections at " + listener_.url + ": " + error.message());
  balancer_.emplace(workers_);
  asio::co_spawn(workers_.front()->io, accept_connections(), asio::detached);
  for (auto& worker : workers_) worker->start();
  asio::co_spawn(workers_.front()->io, balancer_->run(), asio::detached);
  return {};
}

/// One thread accepts and deals the connections out: docs/adr/0007-few-busy-threads.md.
Task<> Sidecar::Impl::accept_connections() {
  Timer pause(workers_.front()->io.get_executor());
  bool troubled = false;  // the last one could not be accepted: a moment's rest, not a busy loop
  while (true) {
    try {
      if (troubled) {
        pause.expires_after(kAcceptPause);
        const auto [interrupted] = co_await pause.async_wait(kAwait);
        if (interrupted) co_return;
        troubled = false;
      }
      Worker& worker = balancer_->choose();
      Socket socket(worker.io);
      const auto [error] = co_await acceptor_->async_accept(socket, kAwait);
      if (server_->draining.load() || error == asio::error::operation_aborted) co_return;
      troubled = bool(error);
      if (error)
        base::log_warn("sidecar: cannot accept a connection: " + error.message());
      else if (admit(socket))
        deal(worker, std::move(socket));
    } catch (const std::exception& error) {  // without memory this client goes; the next one may find some
      troubled = true;
      log_dropped(error.what());
    }
  }
}

/// Gives a connection that has its place to a worker.
void Sidecar::Impl::deal(Worker& worker, Socket socket) {
  try {
    worker.adopt(std::move(socket));
  } catch (...) {
    server_->connections.remove();
    throw;
  }
}

/// Beyond the limit a client is told so without being read from.
bool Sidecar::Impl::admit(Socket& socket) {
  if (server_->connections.try_add(connections_max_)) return true;
  constexpr std::string_view kFull = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(kFull.data(), kFull.size()), ignored);
  return false;
}

void Sidecar::Impl::stop() {
  if (!server_) return;
  server_->draining.store(true);
  if (!workers_.empty()) {
    asio::post(workers_.front()->io, [this] {
      boost::system::error_code ignored;
      if (acceptor_) acceptor_->close(ignored);
    });
  }
  for (auto& worker : workers_) worker->cut_connections(false);
  if (!server_->connections.wait_for_none(limits::kHttpDrainTimeout)) {
    for (auto& worker : workers_) worker->cut_connections(true);
    // What is left waits for the store, whose calls have limits of their own.
    while (!server_->connections.wait_for_none(limits::kHttpDrainTimeout)) base::log_warn("sidecar: requests still wait for the store");
  }
  server_->pool.stop();
  for (auto& worker : workers_) worker->stop();
  acceptor_.reset();
  workers_.clear();
  balancer_.reset();
  server_.reset();
}

Sidecar::Sidecar(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Sidecar::~Sidecar() {
  stop();
}

Result<std::unique_ptr<Sidecar>> Sidecar::bind(const SidecarOptions& options, RankId rank) {
  const std::uint64_t port = options.port == 0 ? 0 : static_cast<std::uint64_t>(options.port) + static_cast<std::uint64_t>(std::max(rank, 0));
  if (port > 65535)
    return fail(ErrorCode::invalid,
                "port " + std::to_string(options.port) + " + rank " + std::to_string(rank) + " is beyond 65535; choose a lower one, or 0");
  TARN_TRY(auto listener, listen_on(options.bind, static_cast<std::uint16_t>(port)));
  return std::unique_ptr<Sidecar>(new Sidecar(std::make_unique<Impl>(options, std::move(listener))));
}

const std::string& Sidecar::url() const noexcept {
  return impl_->listener().url;
}

std::uint16_t Sidecar::port() const noexcept {
  return impl_->listener().port;
}

Result<void> Sidecar::start(object::ObjectService& service, AuthConfig auth) {
  return impl_->start(service, std::move(auth));
}

void Sidecar::set_ready(bool ready) noexcept {
  impl_->set_ready(ready);
}

void Sidecar::stop() {
  impl_->stop();
}

}  // namespace tarn::http
