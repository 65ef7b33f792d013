#include "mpi/tools/temporary_name.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

namespace tarn::tools {

namespace {

/// A signal handler may touch nothing but lock-free atomics and memory that is always there; hence these globals.
struct Slot {
  enum State : int { free_slot, being_filled, held };
  std::atomic<int> state{free_slot};
  std::array<char, PATH_MAX> path;
};
static_assert(std::atomic<int>::is_always_lock_free);
std::array<Slot, TemporaryName::kHeldMax> slots;
std::atomic<int> ending{0};

void remove_and_end(int number) {
  ending.store(1);
  for (Slot& slot : slots)
    if (slot.state.load() == Slot::held) static_cast<void>(::unlink(slot.path.data()));
  static_cast<void>(::signal(number, SIG_DFL));
  static_cast<void>(::raise(number));  // takes effect when the handler returns
}

void take_over_signals() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    if (::sigaction(number, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) continue;  // ignored: nohup
    struct sigaction action {};
    action.sa_handler = remove_and_end;
    sigfillset(&action.sa_mask);
    static_cast<void>(::sigaction(number, &action, nullptr));
  }
}

}  // namespace

TemporaryName::TemporaryName(std::string path) : path_(std::move(path)) {
  static std::once_flag once;
  std::call_once(once, take_over_signals);
  if (path_.size() >= PATH_MAX) return;  // cannot be made either
  for (int i = 0; i < kHeldMax && slot_ < 0; ++i) {
    Slot& slot = slots[static_cast<std::size_t>(i)];
    int expected = Slot::free_slot;
    if (slot.state.compare_exchange_strong(expected, Slot::being_filled)) slot_ = i;
  }
  if (slot_ < 0) return;
  Slot& slot = slots[static_cast<std::size_t>(slot_)];
  std::memcpy(slot.path.data(), path_.c_str(), path_.size() + 1);
  slot.state.store(Slot::held);
  while (ending.load() != 0) ::pause();  // nothing new is begun any more; asked last: a handler that looked before missed this one
}

TemporaryName::TemporaryName(TemporaryName&& other) noexcept : path_(std::move(other.path_)), slot_(std::exchange(other.slot_, -1)) {}

TemporaryName::~TemporaryName() {
  if (slot_ >= 0) slots[static_cast<std::size_t>(slot_)].state.store(Slot::free_slot);
}

}  // namespace tarn::tools
