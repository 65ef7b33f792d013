// listen.hpp - from "127.0.0.1" or "hsn0" and a port to a listening socket.
// Level 5 (http). Any thread.
#pragma once

#include <cstdint>
#include <string>

#include <tarn/result.hpp>

#include "base/file.hpp"

namespace tarn::http {

struct Listener {
  base::UniqueFd socket;
  bool ipv6 = false;
  std::uint16_t port = 0;
  std::string url;  ///< "http://127.0.0.1:41001"; of a bind to all addresses, with this host's name
};

/// @param bind  an IPv4 or IPv6 address, or the name of a network interface (its IPv4 address is preferred).
/// @param port  0: the system chooses.
/// @errors invalid (neither; the message lists the interfaces), busy (port in use), denied, io.
[[nodiscard]] Result<Listener> listen_on(const std::string& bind, std::uint16_t port);

}  // namespace tarn::http
