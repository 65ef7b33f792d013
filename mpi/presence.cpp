#include "mpi/presence.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

namespace tarn::mpi {

namespace {
constexpr int kRounds = 3;  // where memory is short a message may be dropped on either side
}

Presence::Presence(Caller& caller, RankId self, int ranks)
    : caller_(caller),
      self_(self),
      limit_(caller.timeout()),
      interval_(std::max(limit_ / 4, std::chrono::milliseconds(1))),
      heard_(static_cast<std::size_t>(ranks)),
      engine_turned_(Clock::now()) {}

void Presence::add_to(PeerService& service) {
  service.on(Op::ping, RunOn::engine, [this](Request request) {
    if (!request.body().empty()) {
      base::Decoder decoder(request.body());
      const auto rank = static_cast<RankId>(decoder.u32());
      std::string message(decoder.text());
      if (!decoder.complete()) return request.responder().fail(malformed("a lost rank"));
      const std::lock_guard lock(mutex_);
      if (!told_) told_ = Error(ErrorCode::rank_lost, std::move(message), rank);
    }
    request.responder().done();
  });
}

std::optional<Error> Presence::told() {
  const std::lock_guard lock(mutex_);
  return told_;
}

bool Presence::over() {
  const std::lock_guard lock(mutex_);
  return told_.has_value();
}

Result<void> Presence::look_patiently() {
  if (auto lost = told()) return fail(std::move(*lost));
  return {};
}

void Presence::tell(RankId rank, const Error& error) {
  if (rank == self_) return;
  base::Encoder message = begin_message();
  message.u32(static_cast<std::uint32_t>(error.rank)).text(error.message);
  static_cast<void>(caller_.start(rank, Op::ping, std::move(message)));
}

void Presence::tell_all(const Error& lost) {
  for (RankId rank = 0; rank < static_cast<RankId>(heard_.size()); ++rank) tell(rank, lost);
}

void Presence::give_up(std::string_view why) noexcept {
  const std::lock_guard lock(mutex_);
  giving_up_ = true;
  try {
    tell_of_giving_up(why);
  } catch (const std::bad_alloc&) {  // on_tick() does it
    return;
  }
}

/// With mutex_ held.
void Presence::tell_of_giving_up(std::string_view why) {
  if (!told_) {
    told_ = Error(ErrorCode::rank_lost,
                  "rank " + std::to_string(self_) + " gave up a collective call, so no further one can end: " + std::string(why) +
                      "; close the store and open it again",
                  self_);
  }
  for (; untold_ < static_cast<RankId>(heard_.size()); ++untold_) tell(untold_, *told_);
  untold_ = 0;
  ++rounds_;
}

void Presence::on_tick(Clock::time_point now) {
  engine_turned_.store(now);
  const std::lock_guard lock(mutex_);
  if (giving_up_ && rounds_ < kRounds) tell_of_giving_up("out of memory");
}

void Presence::heard(RankId source) noexcept {
  heard_[static_cast<std::size_t>(source)].store(Clock::now());
}

Error Presence::lost(const std::vector<RankId>& ranks) const {
  constexpr std::size_t kNamed = 8;
  std::string names;
  for (std::size_t i = 0; i < std::min(ranks.size(), kNamed); ++i) names += (i > 0 ? ", " : "") + std::to_string(ranks[i]);
  if (ranks.size() > kNamed) names += " and " + std::to_string(ranks.size() - kNamed) + " more";
  return Error(ErrorCode::rank_lost,
               (ranks.size() == 1 ? "rank " : "ranks ") + names + " did not answer for " + std::to_string(limit_.count()) +
                   " ms, so this collective call cannot end; end the job, or raise StoreOptions::request_timeout if they were only slow",
               ranks.front());
}

Presence::Wait::Wait(Presence& ranks) : ranks_(ranks), begun_(Clock::now()), looked_(begun_) {}

Result<void> Presence::Wait::look() {
  if (auto told = ranks_.told()) return fail(std::move(*told));
  const auto now = Clock::now();
  // This process slept, or its engine was busy: nobody could be heard.
  if (now - looked_ > 2 * ranks_.interval_ || now - ranks_.engine_turned_.load() > 2 * ranks_.interval_ + std::chrono::seconds(1)) begun_ = now;
  looked_ = now;
  std::vector<RankId> silent;
  for (std::size_t r = 0; r < ranks_.answering_.size(); ++r) {
    const auto id = static_cast<RankId>(r);
    if (id == ranks_.self_ || !ranks_.answering_[r]) continue;
    const auto last = std::max(ranks_.heard_[r].load(), begun_);
    if (now - last >= ranks_.limit_) silent.push_back(id);
    if (now - last >= ranks_.interval_) static_cast<void>(ranks_.caller_.start(id, Op::ping, begin_message()));
  }
  if (silent.empty()) return {};
  Error error = ranks_.lost(silent);
  ranks_.tell_all(error);
  return fail(std::move(error));
}

}  // namespace tarn::mpi
