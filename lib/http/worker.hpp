// worker.hpp - one I/O thread of the sidecar and what all its connections share; and what all workers share.
// Level 5 (http). A Worker's members belong to its thread, but for io; Server is read by all.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include <tarn/options.hpp>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "http/asio.hpp"
#include "http/blocking_pool.hpp"
#include "http/request_metrics.hpp"
#include "http/response_head.hpp"
#include "http/sidecar.hpp"
#include "http/transport.hpp"
#include "object/object_service.hpp"
#include "s3/signature.hpp"

namespace tarn::http {

class Connection;

/// How many connections there are. Any thread.
class ConnectionCount {
 public:
  /// @return false: there are that many already.
  [[nodiscard]] bool try_add(std::size_t most) {
    const std::lock_guard lock(mutex_);
    if (count_ >= most) return false;
    ++count_;
    return true;
  }
  void remove() {
    const std::lock_guard lock(mutex_);
    if (--count_ == 0) none_.notify_all();
  }
  /// @return whether there are none.
  [[nodiscard]] bool wait_for_none(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return none_.wait_for(lock, timeout, [&] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;  // guards count_
  std::condition_variable none_;
  std::size_t count_ = 0;
};

/// What a request needs of the process. Immutable once serving, but for the atomics and the pool.
struct Server {
  Server(object::ObjectService& store, const SidecarOptions& sidecar_options, AuthConfig secrets)
      : service(store),
        options(sidecar_options),
        auth(std::move(secrets)),
        pool(limits::kHttpBlockingThreadsMax, limits::kHttpBlockingQueueMax),
        process(store.metrics()),
        next_request(static_cast<std::uint64_t>(base::now_ns()) + (static_cast<std::uint64_t>(store.rank()) << 48)) {}

  object::ObjectService& service;
  const SidecarOptions options;
  const AuthConfig auth;
  BlockingPool pool;
  ProcessMetrics process;
  std::atomic<bool> ready{false};
  std::atomic<bool> draining{false};
  ConnectionCount connections;
  std::atomic<std::uint64_t> next_request;  ///< no two ranks give the same number soon
};

/// Buffers of kHttpPieceBytes, a few of which are kept.
class BufferCache {
 public:
  using Buffer = std::vector<std::byte>;
  [[nodiscard]] Buffer take() {
    if (free_.empty()) return Buffer(limits::kHttpPieceBytes);
    Buffer buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }
  void give_back(Buffer buffer) {
    if (free_.size() < kKept && !buffer.empty()) free_.push_back(std::move(buffer));
  }

 private:
  static constexpr std::size_t kKept = 16;
  std::vector<Buffer> free_;
};

/// A buffer of the cache for the length of a scope.
class BorrowedBuffer {
 public:
  explicit BorrowedBuffer(BufferCache& cache) : cache_(cache), buffer_(cache.take()) {}
  BorrowedBuffer(const BorrowedBuffer&) = delete;
  BorrowedBuffer& operator=(const BorrowedBuffer&) = delete;
  ~BorrowedBuffer() { cache_.give_back(std::move(buffer_)); }
  [[nodiscard]] std::span<std::byte> bytes() noexcept { return buffer_; }

 private:
  BufferCache& cache_;
  BufferCache::Buffer buffer_;
};

class Worker {
 public:
  explicit Worker(Server& server);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  ///< as stop()

  void start();
  /// Serves a connection, which has its place in server.connections, until it ends. Any thread.
  void adopt(Socket socket);
  /// Moves all but `keep` of its connections to `other`, each between two requests. Any thread.
  void give_away(std::size_t keep, Worker& other);
  /// Of its thread. Any thread.
  [[nodiscard]] double cpu_seconds() const noexcept;
  /// probe() puts an event behind those that wait already, unless the last one still does; latency() is how long that
  /// has taken, or takes already. Both on one thread, which may be another.
  void probe();
  [[nodiscard]] std::chrono::nanoseconds latency() const noexcept;
  /// Ends idle connections; with `all`, every one. Any thread.
  void cut_connections(bool all);
  /// Joins the thread. No connection may be left.
  void stop();

  asio::io_context io{1};
  Server& server;
  std::uint64_t clock_s = 1;
  DateCache date;
  BufferCache buffers;
  RequestMetrics metrics;
  s3::RedirectSigner signer;
  std::vector<std::byte> scratch;  ///< for small bodies; its content does not outlive a suspension
  std::unordered_set<Connection*> connections;
  std::atomic<std::size_t> load{0};  ///< connections that it has or is about to get, for any thread
  WorkCount work;

 private:
  Task<> tick();
  void run();

  std::chrono::steady_clock::time_point probed_;
  std::atomic<std::int64_t> latency_ns_{0};  // kPending: the probe is under way
  static constexpr std::int64_t kPending = -1;
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  std::thread thread_;
};

}  // namespace tarn::http
