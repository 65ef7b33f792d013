#include "mpi/caller.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "mpi/error.hpp"
#include "mpi/guarded.hpp"

namespace tarn::mpi {

namespace {

Error lost(RankId rank, const Error& why) {
  return Error(ErrorCode::rank_lost, "rank " + std::to_string(rank) + " cannot be reached: " + why.message, rank);
}

Error closed() {
  return Error(ErrorCode::aborted, "the store is closed on this rank");
}

}  // namespace

std::shared_ptr<Call> Caller::start(RankId rank, Op op, base::Encoder message, std::span<const std::byte> payload, std::span<std::byte> target) {
  auto call = std::make_shared<Call>(rank, op, Buffer(message.bytes(), payload), target);
  call->deadline_ = Clock::now() + timeout_;
  if (!engine_.execute([this, call] { submit(call); })) {
    call->outcome_ = fail(closed());
    call->done_.set();
  }
  return call;
}

Result<void> Caller::finish(Call& call) {
  bool in_time = engine_.wait(call.done_, call.deadline_);
  // This process was suspended meanwhile: the answer may lie there unread.
  if (const auto deadline = engine_.resumed() + timeout_ / 2; !in_time && deadline > call.deadline_) in_time = engine_.wait(call.done_, deadline);
  if (!in_time) {
    bool receiving = false;
    {
      const std::lock_guard lock(call.mutex_);
      receiving = call.receiving_;
      call.abandoned_ = !receiving;
    }
    // The answer is arriving in the caller's memory: MPI alone can end that, with the bytes or with an error.
    if (receiving) engine_.wait(call.done_, kNoDeadline);
    if (!call.done_.is_set() && engine_.stopped()) return fail(closed());
    if (!call.done_.is_set())
      return fail(ErrorCode::timeout,
                  "rank " + std::to_string(call.rank_) + " did not answer within " + std::to_string(timeout_.count()) +
                      " ms; it may be lost, or busy without a service thread (StoreOptions::request_timeout)",
                  call.rank_);
  }
  return call.outcome_;
}

Result<std::shared_ptr<Call>> Caller::call(RankId rank, Op op, base::Encoder message, std::span<const std::byte> payload,
                                           std::span<std::byte> target) {
  auto call = start(rank, op, std::move(message), payload, target);
  TARN_CHECK(finish(*call));
  return call;
}

void Caller::submit(const std::shared_ptr<Call>& call) {
  auto slot = guarded("a request to another rank", [&] { return take_slot(call); });
  if (!slot) {
    call->outcome_ = fail(std::move(slot).error());
    call->done_.set();
    return;
  }
  try {
    send(call, *slot);
  } catch (const std::bad_alloc&) {
    end(*slot, fail(no_memory()));
  }
}

Result<std::size_t> Caller::take_slot(const std::shared_ptr<Call>& call) {
  if (free_slots_.empty()) {
    if (slots_.size() == kSlotsMax)
      return fail(ErrorCode::busy, "too many requests to other ranks are under way (" + std::to_string(kSlotsMax) + ")");
    if (free_slots_.capacity() == slots_.size()) free_slots_.reserve(std::max<std::size_t>(64, 2 * slots_.size()));
    slots_.emplace_back();
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
  }
  const std::size_t slot = free_slots_.back();
  free_slots_.pop_back();
  slots_[slot] = call;
  ++in_flight_;
  return slot;
}

void Caller::send(const std::shared_ptr<Call>& call, std::size_t slot) {
  Buffer message = std::move(call->message_);
  write_header(message.span(), Header{call->op_, 0, slot});
  const auto post = [&](Buffer& bytes, MPI_Request* request) {
    return MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, call->rank_, kRequestTag, comm_, request);
  };
  engine_.begin("MPI_Isend", std::move(message), post, [this, slot, call](Result<void> outcome, Buffer) {
    if (!outcome && slots_[slot] == call) end(slot, fail(lost(call->rank_, outcome.error())));
  });
  engine_.ring(call->rank_);
}

void Caller::on_reply(MPI_Message message, int source, std::size_t size_bytes) {
  const auto post = [&](Buffer& bytes, MPI_Request* request) {
    return MPI_Imrecv(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, &message, request);
  };
  engine_.begin("MPI_Imrecv", Buffer(size_bytes), post, [this, source](Result<void> outcome, Buffer reply) {
    const auto header = outcome ? read_header(reply.span()) : Result<Header>(fail(outcome.error()));
    if (!header || header->id >= slots_.size() || !slots_[header->id] || slots_[header->id]->rank_ != source) {
      base::log_error("a reply of rank " + std::to_string(source) + " belongs to no request" + (header ? "" : ": " + header.error().message));
      return;
    }
    auto result = guarded("an answer of another rank", [&]() -> Result<void> {
      if (header->status == 0) return {};
      Error error = decode_error(header->status, reply.span().subspan(kHeaderBytes));
      if (error.rank < 0) error.rank = source;
      return fail(std::move(error));
    });
    slots_[header->id]->reply_ = std::move(reply);
    end(header->id, std::move(result));
  });
}

void Caller::on_data(MPI_Message message, int source, std::size_t slot, std::size_t size_bytes) {
  const std::shared_ptr<Call> call = slot < slots_.size() ? slots_[slot] : nullptr;
  Engine::Completion ended = [this, call, slot, source, size_bytes](Result<void> outcome, Buffer) {
    if (!call || slots_[slot] != call) return;
    if (!outcome) outcome = fail(lost(source, outcome.error()));
    if (outcome && size_bytes > call->target_.size()) outcome = fail(malformed("the size of the data"));
    call->data_bytes_ = size_bytes;
    end(slot, std::move(outcome));
  };
  engine_.make_room(1);  // so that nothing throws once finish() waits for MPI
  Buffer scrap;
  std::byte* target = nullptr;
  if (call && call->rank_ == source && size_bytes <= call->target_.size()) {
    const std::lock_guard lock(call->mutex_);
    if (!call->abandoned_) {
      call->receiving_ = true;
      target = call->target_.data();
    }
  }
  if (target == nullptr) {
    scrap = Buffer(size_bytes);
    target = scrap.data();
  }
  const auto post = [&](Buffer&, MPI_Request* request) { return MPI_Imrecv(target, static_cast<int>(size_bytes), MPI_BYTE, &message, request); };
  engine_.begin("MPI_Imrecv", std::move(scrap), post, std::move(ended));
  engine_.expect_transfer();
}

void Caller::end(std::size_t slot, Result<void> outcome) noexcept {
  const std::shared_ptr<Call> call = std::move(slots_[slot]);
  slots_[slot] = nullptr;
  free_slots_.push_back(static_cast<std::uint32_t>(slot));
  --in_flight_;
  {
    const std::lock_guard lock(call->mutex_);
    call->receiving_ = false;
    if (call->abandoned_) return;  // nobody waits
  }
  call->outcome_ = std::move(outcome);
  call->done_.set();
}

void Caller::fail_all(const Error& error) {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot)
    if (slots_[slot]) end(slot, fail(error));
}

}  // namespace tarn::mpi
