#include "http/listen.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <set>

#include "base/error.hpp"

namespace tarn::http {

namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

struct Address {
  sockaddr_storage storage{};
  [[nodiscard]] bool ipv6() const noexcept { return storage.ss_family == AF_INET6; }
  [[nodiscard]] socklen_t size() const noexcept { return ipv6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in); }
  [[nodiscard]] sockaddr_in& v4() noexcept { return reinterpret_cast<sockaddr_in&>(storage); }
  [[nodiscard]] sockaddr_in6& v6() noexcept { return reinterpret_cast<sockaddr_in6&>(storage); }
  [[nodiscard]] sockaddr* raw() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
};

std::optional<Address> parse_address(const std::string& text) {
  Address address;
  if (::inet_pton(AF_INET, text.c_str(), &address.v4().sin_addr) == 1) {
    address.storage.ss_family = AF_INET;
    return address;
  }
  if (::inet_pton(AF_INET6, text.c_str(), &address.v6().sin6_addr) == 1) {
    address.storage.ss_family = AF_INET6;
    return address;
  }
  return std::nullopt;
}

struct FreeInterfaces {
  void operator()(ifaddrs* list) const noexcept { ::freeifaddrs(list); }
};

Result<Address> address_of_interface(const std::string& name) {
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0) return fail(base::errno_error(errno, "list the network interfaces for", name));
  const std::unique_ptr<ifaddrs, FreeInterfaces> list(raw);
  std::optional<Address> found;
  std::set<std::string> names;
  for (const ifaddrs* entry = list.get(); entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    names.insert(entry->ifa_name);
    if (name != entry->ifa_name) continue;
    Address address;
    std::memcpy(&address.storage, entry->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address.v6().sin6_addr)) continue;  // clients would need a scope
    if (!found || (found->ipv6() && family == AF_INET)) found = address;
  }
  if (found) return *found;
  std::string known;
  for (const auto& one : names) known.append(known.empty() ? "" : ", ").append(one);
  return fail(ErrorCode::invalid,
              "'" + name + "' is neither an address of this host nor a network interface with an address; the interfaces are: " + known);
}

std::string host_of(Address& address) {
  const bool any = address.ipv6() ? IN6_IS_ADDR_UNSPECIFIED(&address.v6().sin6_addr) : address.v4().sin_addr.s_addr == htonl(INADDR_ANY);
  if (any) {
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) == 0 && host[0] != '\0') return host.data();
    return address.ipv6() ? "[::1]" : "127.0.0.1";
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (!address.ipv6()) return ::inet_ntop(AF_INET, &address.v4().sin_addr, text.data(), text.size());
  return "[" + std::string(::inet_ntop(AF_INET6, &address.v6().sin6_addr, text.data(), text.size())) + "]";
}

Error bind_error(int error, const std::string& bind, std::uint16_t port) {
  const std::string where = bind + ", port " + std::to_string(port);
  if (error == EADDRINUSE)
    return {ErrorCode::busy, "cannot listen on " + where + ": another process does; choose another port, or 0 for any free one"};
  if (error == EADDRNOTAVAIL) return {ErrorCode::invalid, "cannot listen on " + where + ": this host does not have that address"};
  return base::errno_error(error, "listen on", where);
}

}  // namespace

Result<Listener> listen_on(const std::string& bind, std::uint16_t port) {
  auto parsed = parse_address(bind);
  if (!parsed) {
    TARN_TRY(parsed, address_of_interface(bind));
  }
  Address address = *parsed;
  (address.ipv6() ? address.v6().sin6_port : address.v4().sin_port) = htons(port);

  Listener listener;
  listener.ipv6 = address.ipv6();
  listener.socket = base::UniqueFd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.socket) return fail(base::errno_error(errno, "open a socket for", bind));
  const int on = 1;
  ::setsockopt(listener.socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // a port in TIME_WAIT is free
  if (::bind(listener.socket.get(), address.raw(), address.size()) != 0) return fail(bind_error(errno, bind, port));
  if (::listen(listener.socket.get(), kBacklog) != 0) return fail(bind_error(errno, bind, port));
  socklen_t size = sizeof address.storage;
  if (::getsockname(listener.socket.get(), address.raw(), &size) != 0) return fail(base::errno_error(errno, "read the address of", bind));
  listener.port = ntohs(address.ipv6() ? address.v6().sin6_port : address.v4().sin_port);
  listener.url = "http://" + host_of(address) + ":" + std::to_string(listener.port);
  return listener;
}

}  // namespace tarn::http
