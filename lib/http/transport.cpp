#include "http/transport.hpp"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/limits.hpp"

namespace tarn::http {

namespace {

constexpr std::size_t kSendfileBytesMax = 2 * limits::MiB;  // of one system call
constexpr std::uint64_t kBytesPerTurn = 4 * limits::MiB;    // then other connections of the thread have theirs
constexpr std::size_t kFinishBytesMax = 16 * limits::MiB;   // thrown away of a body that nobody wants
constexpr std::chrono::seconds kFinishTimeout{5};

bool would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK;
}

}  // namespace

Transport::Transport(Socket socket, const std::uint64_t& clock_s, WorkCount& work) : socket_(std::move(socket)), clock_s_(clock_s), work_(work) {
  boost::system::error_code ignored;
  socket_.native_non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

void Transport::check_deadline() noexcept {
  if (deadline_s_ == 0 || clock_s_ < deadline_s_) return;
  expired_ = true;
  cut();
}

void Transport::cut() noexcept {
  cut_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

void Transport::interrupt() noexcept {
  interrupted_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

Socket Transport::release_to(asio::io_context& io) {
  boost::system::error_code error;
  const auto protocol = socket_.local_endpoint(error).protocol();
  Socket moved(io);
  const auto descriptor = socket_.release(error);
  if (error) return moved;
  moved.assign(protocol, descriptor, error);
  if (error) ::close(descriptor);
  return moved;
}

Task<std::size_t> Transport::read_some(std::span<char> target) {
  if (cut_) co_return 0;
  const auto [error, size] = co_await socket_.async_read_some(asio::buffer(target.data(), target.size()), kAwait);
  if (error) co_return 0;
  work_.add_bytes(size);
  co_return size;
}

std::size_t Transport::send_now(std::string_view head, std::span<const std::byte> body, bool more) noexcept {
  if (cut_) return SIZE_MAX;
  std::array<iovec, 2> pieces{{{const_cast<char*>(head.data()), head.size()}, {const_cast<std::byte*>(body.data()), body.size()}}};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = body.empty() ? 1 : 2;
  while (true) {
    const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
    if (sent >= 0) {
      work_.add_bytes(static_cast<std::uint64_t>(sent));
      return static_cast<std::size_t>(sent);
    }
    if (would_block(errno)) return 0;
    if (errno != EINTR) return SIZE_MAX;
  }
}

Task<bool> Transport::wait_writable() {
  if (cut_) co_return false;
  expire_in(limits::kHttpIdleTimeout);
  const auto [error] = co_await socket_.async_wait(Socket::wait_write, kAwait);
  never_expire();
  co_return !error && !cut_;
}

Task<bool> Transport::send(std::span<const std::byte> bytes, bool more) {
  while (!bytes.empty()) {
    const std::size_t sent = send_now({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, {}, more);
    if (sent == SIZE_MAX) co_return false;
    bytes = bytes.subspan(sent);
    if (!bytes.empty() && !co_await wait_writable()) co_return false;
  }
  co_return true;
}

Task<bool> Transport::send_file(int file, std::uint64_t offset, std::uint64_t length_bytes) {
  std::uint64_t in_turn = 0;
  auto position = static_cast<off_t>(offset);
  while (length_bytes > 0) {
    if (cut_) co_return false;
    const ssize_t sent = ::sendfile(socket_.native_handle(), file, &position, std::min<std::uint64_t>(length_bytes, kSendfileBytesMax));
    if (sent > 0) {
      length_bytes -= static_cast<std::uint64_t>(sent);
      work_.add_bytes(static_cast<std::uint64_t>(sent));
      in_turn += static_cast<std::uint64_t>(sent);
      if (length_bytes == 0 || in_turn < kBytesPerTurn) continue;
      in_turn = 0;
      co_await asio::post(TaskToken{});
    } else if (sent < 0 && would_block(errno)) {
      in_turn = 0;
      if (!co_await wait_writable()) co_return false;
    } else if (sent == 0 || errno != EINTR) {  // 0: the file is shorter than its extent says
      co_return false;
    }
  }
  co_return true;
}

Task<> Transport::finish() {
  if (cut_) co_return;
  boost::system::error_code error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (error) co_return;
  expire_in(kFinishTimeout);
  std::array<char, 16 * limits::KiB> thrown_away;  // NOLINT: not read
  for (std::size_t total = 0; total < kFinishBytesMax;) {
    const std::size_t size = co_await read_some(thrown_away);
    if (size == 0) break;
    total += size;
  }
}

std::string Transport::peer() const {
  boost::system::error_code error;
  const auto endpoint = socket_.remote_endpoint(error);
  return error ? std::string() : endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
}

}  // namespace tarn::http
