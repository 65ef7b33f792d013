// scripted_server.hpp - a server for tests of the client: answers each request with whatever a function says, byte for byte.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tarn::tests {

struct ScriptedRequest {
  std::string head;  ///< up to and without the empty line
  std::string body;
  [[nodiscard]] std::string line() const { return head.substr(0, head.find("\r\n")); }
};

struct ScriptedReply {
  std::string bytes;   ///< of the whole answer
  bool close = false;  ///< the connection, after it
};

[[nodiscard]] inline ScriptedReply reply(const std::string& status, const std::string& body, const std::string& fields = "") {
  return {"HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + fields + "\r\n" + body, false};
}

/// One connection after the other is served on a thread of its own until the object goes away.
class ScriptedServer {
 public:
  using Script = std::function<ScriptedReply(const ScriptedRequest&)>;
  /// @param early  answers when the head is there, without reading a body.
  explicit ScriptedServer(Script script, bool early = false) : script_(std::move(script)), early_(early) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 || ::pipe(stop_.data()) != 0)
      std::abort();
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() {
    ::close(stop_[1]);
    acceptor_.join();
    for (auto& thread : connections_) thread.join();
    ::close(listener_);
    ::close(stop_[0]);
  }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::vector<ScriptedRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  [[nodiscard]] std::size_t accepted() const {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }

 private:
  /// @return false: the test ends.
  bool wait_readable(int fd) const {
    std::array<pollfd, 2> fds{{{fd, POLLIN, 0}, {stop_[0], POLLIN, 0}}};
    return ::poll(fds.data(), fds.size(), -1) > 0 && fds[1].revents == 0;
  }
  void accept_all() {
    while (wait_readable(listener_)) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) continue;
      {
        const std::lock_guard lock(mutex_);
        ++accepted_;
      }
      connections_.emplace_back([this, fd] {
        serve(fd);
        ::close(fd);
      });
    }
  }
  bool fill(int fd, std::string& buffer) const {
    std::array<char, 65536> bytes{};
    if (!wait_readable(fd)) return false;
    const auto count = ::read(fd, bytes.data(), bytes.size());
    if (count > 0) buffer.append(bytes.data(), static_cast<std::size_t>(count));
    return count > 0;
  }
  static std::string field(const std::string& head, const std::string& name) {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
  bool read_body(int fd, const std::string& head, std::string& buffer, std::string& body) const {
    if (field(head, "Transfer-Encoding") == "chunked") {
      while (buffer.find("0\r\n\r\n") == std::string::npos)
        if (!fill(fd, buffer)) return false;
      const auto end = buffer.find("0\r\n\r\n") + 5;
      body = buffer.substr(0, end);  // with its framing
      buffer.erase(0, end);
      return true;
    }
    const std::size_t length = std::strtoul(field(head, "Content-Length").c_str(), nullptr, 10);
    while (buffer.size() < length)
      if (!fill(fd, buffer)) return false;
    body = buffer.substr(0, length);
    buffer.erase(0, length);
    return true;
  }
  void serve(int fd) {
    std::string buffer;
    for (;;) {
      while (buffer.find("\r\n\r\n") == std::string::npos)
        if (!fill(fd, buffer)) return;
      ScriptedRequest request;
      request.head = buffer.substr(0, buffer.find("\r\n\r\n"));
      buffer.erase(0, request.head.size() + 4);
      if (!early_) {
        if (field(request.head, "Expect") == "100-continue") send(fd, "HTTP/1.1 100 Continue\r\n\r\n");
        if (!read_body(fd, request.head, buffer, request.body)) return;
      }
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const ScriptedReply answer = script_(request);
      send(fd, answer.bytes);
      if (answer.close) return;
    }
  }
  static void send(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const auto count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  Script script_;
  const bool early_;
  int listener_ = -1;
  std::array<int, 2> stop_{};
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;  // guards requests_ and accepted_
  std::vector<ScriptedRequest> requests_;
  std::size_t accepted_ = 0;
  std::thread acceptor_;
  std::vector<std::thread> connections_;  // of the acceptor's thread until it has ended
};

}  // namespace tarn::tests
