// Connections that change threads between their requests: every answer is whole and its own.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/file.hpp"
#include "http/asio.hpp"
#include "http/worker.hpp"
#include "support/local_service.hpp"
#include "support/temporary_directory.hpp"

namespace tarn::http {
namespace {

constexpr int kClients = 8;
constexpr int kRequests = 400;

std::string body_of(int number) {
  return std::string(static_cast<std::size_t>(100 + 3000 * (number % 40)), static_cast<char>('a' + number % 26));
}

/// A connected pair: the server's end and the client's.
std::pair<int, base::UniqueFd> connect_pair() {
  const base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  base::UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  const int server = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
  REQUIRE(server >= 0);
  return {server, std::move(client)};
}

/// One response. Empty: the connection ended.
std::string read_response(int fd, std::string& input) {
  const auto more = [&] {
    char buffer[16384];
    const ssize_t size = ::recv(fd, buffer, sizeof(buffer), 0);
    if (size > 0) input.append(buffer, static_cast<std::size_t>(size));
    return size > 0;
  };
  std::size_t head_end = 0;
  while ((head_end = input.find("\r\n\r\n")) == std::string::npos)
    if (!more()) return "";
  const auto at = input.find("Content-Length: ");
  const std::size_t length = at < head_end ? std::stoul(input.substr(at + 16)) : 0;
  while (input.size() < head_end + 4 + length)
    if (!more()) return "";
  std::string response = input.substr(head_end + 4, length);
  if (!input.starts_with("HTTP/1.1 200 ")) response = input.substr(0, head_end);
  input.erase(0, head_end + 4 + length);
  return response;
}

/// Requests one after the other, and every third time three at once. @return answers that were not what was asked for.
int ask(int fd, int client) {
  int wrong = 0;
  std::string input;
  for (int i = 0; i < kRequests;) {
    const int at_once = i % 3 == 0 ? 3 : 1;
    std::string requests;
    for (int j = 0; j < at_once; ++j) requests += "GET /bucket/r0/" + std::to_string((client + i + j) % 100) + " HTTP/1.1\r\nHost: x\r\n\r\n";
    if (::send(fd, requests.data(), requests.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(requests.size())) return kRequests;
    for (int j = 0; j < at_once; ++j) wrong += read_response(fd, input) == body_of((client + i + j) % 100) ? 0 : 1;
    i += at_once;
  }
  return wrong;
}

TEST_CASE("Worker: connections move between threads under load, and no answer is lost or mixed up", "[http]") {
  const tests::TemporaryDirectory directory;
  auto cluster = tests::LocalCluster::open({{directory.file("disk")}});
  REQUIRE(cluster);
  object::LocalStore& store = (*cluster)->store(0);
  REQUIRE(store.create_bucket("bucket", 1));
  for (int i = 0; i < 100; ++i) {
    const std::string body = body_of(i);
    REQUIRE(store.put(0, {"bucket", "r0/" + std::to_string(i)}, std::as_bytes(std::span(body.data(), body.size())), {}));
  }

  SidecarOptions options;
  options.anonymous = true;
  Server server((*cluster)->service(0), options, {});
  server.ready.store(true);
  Worker first(server), second(server);
  first.start();
  second.start();

  std::vector<base::UniqueFd> clients;
  for (int i = 0; i < kClients; ++i) {
    auto [fd, client] = connect_pair();
    REQUIRE(server.connections.try_add(100));
    Socket socket(first.io);
    socket.assign(asio::ip::tcp::v4(), fd);
    first.adopt(std::move(socket));
    clients.push_back(std::move(client));
  }

  std::atomic<int> wrong{0}, running{kClients};
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&, i] {
      wrong += ask(clients[static_cast<std::size_t>(i)].get(), i);
      --running;
    });
  }
  int moves = 0, seen_second = 0;
  while (running.load() > 0) {
    (moves % 2 == 0 ? first : second).give_away(static_cast<std::size_t>(moves / 2 % 3), moves % 2 == 0 ? second : first);
    ++moves;
    std::this_thread::sleep_for(std::chrono::microseconds(300));  // how often they move, not what is waited for
    seen_second += second.load.load() > 0 ? 1 : 0;
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(moves > 10);
  CHECK(seen_second > 0);
  CHECK(first.load.load() + second.load.load() == kClients);

  clients.clear();  // the connections end, wherever they are
  CHECK(server.connections.wait_for_none(std::chrono::seconds(30)));
  server.pool.stop();
  first.stop();
  second.stop();
}

TEST_CASE("Worker: a request that came together with the end of a chunked body is answered before the connection moves", "[http]") {
  const tests::TemporaryDirectory directory;
  auto cluster = tests::LocalCluster::open({{directory.file("disk")}});
  REQUIRE(cluster);
  REQUIRE((*cluster)->store(0).create_bucket("bucket", 1));
  SidecarOptions options;
  options.anonymous = true;
  Server server((*cluster)->service(0), options, {});
  server.ready.store(true);
  Worker first(server), second(server);
  first.start();
  second.start();
  auto [fd, client] = connect_pair();
  const timeval patience{20, 0};
  REQUIRE(::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
  REQUIRE(server.connections.try_add(100));
  Socket socket(first.io);
  socket.assign(asio::ip::tcp::v4(), fd);
  first.adopt(std::move(socket));

  const auto send = [&](std::string_view text) {
    return ::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  };
  std::string input;
  REQUIRE(send("PUT /bucket/r0/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"));
  CHECK(read_response(client.get(), input).starts_with("HTTP/1.1 100 "));  // the request is under way
  std::promise<void> told;
  first.give_away(0, second);
  asio::post(first.io, [&] { told.set_value(); });
  told.get_future().wait();
  CHECK(second.load.load() == 0);  // it moves when the request has ended
  REQUIRE(send("3\r\nabc\r\n0\r\n\r\nGET /bucket/r0/k HTTP/1.1\r\nHost: x\r\n\r\n"));
  CHECK(read_response(client.get(), input).empty());  // the PUT's
  CHECK(read_response(client.get(), input) == "abc");
  REQUIRE(send("GET /bucket/r0/k HTTP/1.1\r\nHost: x\r\n\r\n"));
  CHECK(read_response(client.get(), input) == "abc");
  CHECK(second.load.load() == 1);

  client.reset();
  CHECK(server.connections.wait_for_none(std::chrono::seconds(30)));
  server.pool.stop();
  first.stop();
  second.stop();
}

}  // namespace
}  // namespace tarn::http
