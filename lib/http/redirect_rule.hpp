// redirect_rule.hpp - whether a request for an object of another rank is redirected, served here, or passed on.
// Level 5 (http). Pure. What each client does with a 307 was measured; redirecting is an optimisation: when unknown, proxy.
#pragma once

#include <cstdint>
#include <string_view>

#include <tarn/object.hpp>
#include <tarn/options.hpp>

#include "http/message.hpp"
#include "object/object_service.hpp"

namespace tarn::http {

enum class Handling : std::uint8_t {
  serve,     ///< here, or out of a neighbour's files
  redirect,  ///< 307 to the owner
  proxy,     ///< read or written through messages to the owner
};

/// What a client's User-Agent promises.
struct ClientHabits {
  bool follows_get = false;
  bool follows_put = false;  ///< when it waits for 100 Continue before its body
  bool ours = false;         ///< follows everything, at any time before its body
};

[[nodiscard]] ClientHabits habits_of(std::string_view user_agent) noexcept;

[[nodiscard]] Handling choose_handling(const RequestHead& head, const object::Location& where, RedirectPolicy policy) noexcept;

/// Whether a URL with this key arrives as it was sent: clients take "." and ".." out of paths before they ask.
[[nodiscard]] bool survives_in_url(std::string_view key) noexcept;

}  // namespace tarn::http
