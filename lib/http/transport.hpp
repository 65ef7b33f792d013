// transport.hpp - one TCP connection: waits that end at a deadline, writes of several pieces, sendfile.
// Level 5 (http). Belongs to its worker's thread. One read and one write at a time.
//
// Writes are tried at once, on the calling stack; only a full socket buffer suspends. TLS would be another class with
// these functions, send_file() by reading.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "http/asio.hpp"

namespace tarn::http {

/// Work done, in requests, of which 64 KiB of data count as one. One thread adds, any thread reads.
class WorkCount {
 public:
  static constexpr std::uint64_t kBytesPerUnit = 64 * 1024;
  void add_request() noexcept { add(kBytesPerUnit); }
  void add_bytes(std::uint64_t bytes) noexcept { add(bytes); }
  [[nodiscard]] double units() const noexcept { return static_cast<double>(count_.load(std::memory_order_relaxed)) / kBytesPerUnit; }

 private:
  void add(std::uint64_t count) noexcept { count_.store(count_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed); }
  std::atomic<std::uint64_t> count_{0};
};

class Transport {
 public:
  /// @param clock_s  seconds, counted by the worker; must outlive this, as `work` must.
  Transport(Socket socket, const std::uint64_t& clock_s, WorkCount& work);

  /// Every wait from now on ends `timeout` from now (to the second): the connection is then cut.
  void expire_in(std::chrono::seconds timeout) noexcept { deadline_s_ = clock_s_ + static_cast<std::uint64_t>(timeout.count()) + 1; }
  /// Between waits: whatever happens then has limits of its own.
  void never_expire() noexcept { deadline_s_ = 0; }
  /// Called each second by the worker.
  void check_deadline() noexcept;
  /// Ends every wait, now and later.
  void cut() noexcept;
  [[nodiscard]] bool expired() const noexcept { return expired_; }
  /// Ends a read_some() that waits; the connection stays whole.
  void interrupt() noexcept;
  /// Whether interrupt() was called since the last call of this.
  [[nodiscard]] bool take_interrupt() noexcept { return std::exchange(interrupted_, false); }
  /// Gives the connection up, for a Transport on another thread. Nothing may wait.
  [[nodiscard]] Socket release_to(asio::io_context& io);
  [[nodiscard]] bool is_cut() const noexcept { return cut_; }
  /// After expired(): a last answer can be sent.
  void uncut() noexcept {
    never_expire();
    cut_ = false;
  }

  /// @return bytes read; 0: the peer closed, the connection broke, was cut or interrupted.
  Task<std::size_t> read_some(std::span<char> target);

  /// Sends what the socket takes without waiting. @param more  further bytes follow at once (MSG_MORE).
  /// @return bytes sent of head + body; SIZE_MAX: the connection broke.
  [[nodiscard]] std::size_t send_now(std::string_view head, std::span<const std::byte> body, bool more) noexcept;
  /// Sends all of it; `bytes` must live until return. Each wait ends after kHttpIdleTimeout.
  /// @return false: the connection broke or was cut.
  Task<bool> send(std::span<const std::byte> bytes, bool more);
  Task<bool> send_file(int file, std::uint64_t offset, std::uint64_t length_bytes);

  /// Closes so that the peer can still read what was sent: half-closes and reads until the peer closes,
  /// for a bounded time and number of bytes.
  Task<> finish();
  [[nodiscard]] std::string peer() const;

 private:
  Task<bool> wait_writable();

  Socket socket_;
  const std::uint64_t& clock_s_;
  WorkCount& work_;
  std::uint64_t deadline_s_ = 0;  // 0: none
  bool interrupted_ = false;
  bool expired_ = false;
  bool cut_ = false;
};

}  // namespace tarn::http
