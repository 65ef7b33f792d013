#include "mpi/doorbell.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string_view>
#include <utility>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/uuid.hpp"
#include "mpi/wire.hpp"

namespace tarn::mpi {

namespace {

constexpr std::chrono::seconds kDeaf{1};  // after a datagram of a stranger, who must not keep this thread awake
constexpr int kRingsAtOnce = 64;

/// An address in the abstract namespace: a zero byte, then the name; no file, nothing to remove.
struct Address {
  sockaddr_un bytes{};
  socklen_t size = 0;

  Address(const std::string& store, RankId rank) noexcept {
    bytes.sun_family = AF_UNIX;
    const int length = std::snprintf(bytes.sun_path + 1, sizeof(bytes.sun_path) - 1, "%s-%d", store.c_str(), rank);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
  }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&bytes); }
};

}  // namespace

Result<void> Doorbell::open(Collectives& collectives) {
  base::Encoder encoder;
  if (collectives.rank() == 0) encoder.text("tarn-" + base::random_hex(16)).text(base::random_hex(16));
  TARN_TRY(const auto bytes, collectives.broadcast(0, encoder.bytes()));
  base::Decoder decoder(bytes);
  name_ = decoder.text();
  cookie_ = decoder.text();
  if (!decoder.complete()) return fail(malformed("the name of the doorbells"));
  const auto ranks = static_cast<std::size_t>(collectives.size());
  reaches_.assign(ranks, false);
  last_sent_.assign(ranks, Clock::time_point());
  const bool bound = bind_socket(collectives.rank());
  TARN_CHECK(collectives.barrier());  // all that will be there are there
  std::uint64_t missing = bound ? 0 : 1;
  for (std::size_t r = 0; r < ranks && bound; ++r) {
    reaches_[r] = reaches(static_cast<RankId>(r));
    if (!reaches_[r]) ++missing;
  }
  TARN_CHECK(collectives.all_reduce_sum(std::span(&missing, 1)));
  all_ring_ = missing == 0;
  return {};
}

bool Doorbell::bind_socket(RankId rank) noexcept {
  base::UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const Address address(name_, rank);
  if (!socket || ::bind(socket.get(), address.get(), address.size) != 0) return false;
  socket_ = std::move(socket);
  return true;
}

bool Doorbell::reaches(RankId rank) const noexcept {
  const base::UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Address address(name_, rank);
  return socket && ::connect(socket.get(), address.get(), address.size) == 0;
}

void Doorbell::ring(RankId rank, Clock::time_point now) noexcept {
  const auto r = static_cast<std::size_t>(rank);
  if (r >= reaches_.size() || now - std::exchange(last_sent_[r], now) <= kRingAfter || !reaches_[r]) return;
  const Address address(name_, rank);
  // No room: enough rings lie there. Nobody there: the message is lost as well.
  static_cast<void>(::sendto(socket_.get(), cookie_.data(), cookie_.size(), MSG_DONTWAIT | MSG_NOSIGNAL, address.get(), address.size));
}

bool Doorbell::answer(Clock::time_point now) noexcept {
  bool rung = false;
  for (int i = 0; i < kRingsAtOnce; ++i) {
    std::array<char, 64> bytes;
    const auto size = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0) break;
    if (std::string_view(bytes.data(), static_cast<std::size_t>(size)) == cookie_) {
      rung = true;
    } else {
      deaf_until_ = now + kDeaf;
    }
  }
  return rung;
}

}  // namespace tarn::mpi
