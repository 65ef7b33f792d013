#include "mpi/peer_client.hpp"

#include <algorithm>
#include <deque>
#include <new>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "mpi/extents.hpp"
#include "mpi/guarded.hpp"
#include "mpi/peer_reader.hpp"
#include "mpi/peer_writer.hpp"

namespace tarn::mpi {

using base::Decoder;
using base::Encoder;

namespace {
/// What is read of a disk, sent and checked at the same time are pieces of one object: small enough for that, and for a core's cache, and whole
/// blocks, so that none is verified twice.
constexpr std::uint64_t kReadPieceBytes = 256 * limits::KiB;
static_assert(kReadPieceBytes <= limits::kPeerTransferBytes);
}  // namespace

Encoder begin_object_message(std::uint32_t disk, const ObjectName& name) {
  Encoder encoder = begin_message();
  encoder.u32(disk);
  encode(encoder, name);
  return encoder;
}

Result<object::StoredObject> PeerClient::find(Home home, const ObjectName& name) {
  TARN_TRY(const auto call, caller_.call(home.rank, Op::find, begin_object_message(home.disk, name)));
  Decoder decoder(call->body());
  auto stored = decode_stored(decoder);
  if (!decoder.complete()) return fail(malformed("an object's description"));
  return stored;
}

Result<OpenedObject> PeerClient::open(Home home, const ObjectName& name) {
  auto message = begin_object_message(home.disk, name);
  message.u64(limits::kPeerInlineBytesMax);
  TARN_TRY(const auto call, caller_.call(home.rank, Op::open, std::move(message)));
  Decoder decoder(call->body());
  OpenedObject opened;
  opened.stored = decode_stored(decoder);
  if (decoder.u8() != 0) {
    opened.session = decoder.u64();
    if (decoder.complete() && opened.session != 0) {
      keep(home.rank, opened.session);
      return opened;
    }
  } else if (!decoder.failed() && decoder.rest().size() == opened.stored.info.size_bytes) {
    opened.bytes.assign(decoder.rest().begin(), decoder.rest().end());
    return opened;
  }
  return fail(malformed("an object's description"));
}

Result<void> PeerClient::read_session(RankId rank, std::uint64_t session, std::uint64_t offset, std::span<std::byte> target,
                                      const ArrivedFn& arrived) {
  std::deque<std::pair<std::shared_ptr<Call>, std::span<std::byte>>> under_way;
  Result<void> outcome;
  while (!target.empty() || !under_way.empty()) {
    while (outcome && !target.empty() && under_way.size() < limits::kPeerTransfersInFlight) {
      const auto piece = target.first(std::min<std::size_t>(target.size(), kReadPieceBytes - offset % kReadPieceBytes));
      try {
        under_way.emplace_back(nullptr, piece);  // before the call: once it is started it has to be finished
        Encoder message = begin_message();
        message.u64(session).u64(offset).u64(piece.size());
        under_way.back().first = caller_.start(rank, Op::read, std::move(message), {}, piece);
      } catch (const std::bad_alloc&) {
        if (!under_way.empty() && !under_way.back().first) under_way.pop_back();
        outcome = fail(no_memory());
        break;
      }
      offset += piece.size();
      target = target.subspan(piece.size());
    }
    // Every call is finished, also after an error: their targets are the caller's memory.
    if (under_way.empty()) break;
    const auto& [call, piece] = under_way.front();
    auto ended = caller_.finish(*call);
    if (ended && call->data_bytes() != piece.size()) ended = fail(malformed("the length of a piece"));
    if (!ended && outcome) outcome = std::move(ended);
    if (outcome && arrived) arrived(piece);
    under_way.pop_front();
  }
  return outcome;
}

Result<std::vector<std::byte>> PeerClient::get(Home home, const ObjectName& name) {
  TARN_TRY(auto opened, open(home, name));
  if (opened.session != 0) {
    opened.bytes.resize(static_cast<std::size_t>(opened.stored.info.size_bytes));
    base::ChecksumStream stream;  // of what has come, while the rest is on its way
    auto outcome = read_session(home.rank, opened.session, 0, opened.bytes, [&](std::span<const std::byte> piece) { stream.update(piece); });
    end(home.rank, opened.session, Op::close);
    TARN_CHECK(std::move(outcome));
    TARN_CHECK(verify(name, opened.stored.info, stream.digest(), home.rank));
    return std::move(opened.bytes);
  }
  TARN_CHECK(verify(name, opened.stored.info, base::xxh3_128(opened.bytes), home.rank));
  return std::move(opened.bytes);
}

Result<std::size_t> PeerClient::read(Home home, const ObjectName& name, std::uint64_t offset, std::span<std::byte> target) {
  if (target.size() <= limits::kPeerTransferBytes) {
    auto message = begin_object_message(home.disk, name);
    message.u64(offset).u64(target.size());
    TARN_TRY(const auto call, caller_.call(home.rank, Op::read_range, std::move(message), {}, target));
    return call->data_bytes();
  }
  TARN_TRY(const auto reader, open_reader(home, name));
  return reader->read(offset, target);
}

Result<std::unique_ptr<object::ObjectReader>> PeerClient::open_reader(Home home, const ObjectName& name) {
  TARN_TRY(auto opened, open(home, name));
  if (opened.session == 0) {
    TARN_CHECK(verify(name, opened.stored.info, base::xxh3_128(opened.bytes), home.rank));
    return std::make_unique<MemoryReader>(std::move(opened.stored.info), std::move(opened.bytes));
  }
  return std::make_unique<PeerReader>(*this, home.rank, opened.session, name, std::move(opened.stored.info));
}

Result<ObjectInfo> PeerClient::put(Home home, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options,
                                   const object::CopyTerms& terms) {
  if (bytes.size() > limits::kPeerTransferBytes) {
    TARN_TRY(const auto writer, create(home, name, options, bytes.size()));
    TARN_CHECK(writer->write(bytes));
    return writer->commit_as(terms);
  }
  auto message = begin_object_message(home.disk, name);
  encode(message, options);
  encode(message, terms);
  TARN_TRY(const auto call, caller_.call(home.rank, Op::put, std::move(message), bytes));
  Decoder decoder(call->body());
  auto info = decode_info(decoder);
  if (!decoder.complete()) return fail(malformed("an object's description"));
  return info;
}

Result<std::unique_ptr<object::CopyWriter>> PeerClient::create(Home home, const ObjectName& name, const PutOptions& options,
                                                               std::uint64_t size_hint) {
  auto message = begin_object_message(home.disk, name);
  encode(message, options);
  message.u64(size_hint);
  TARN_TRY(const auto call, caller_.call(home.rank, Op::put_begin, std::move(message)));
  Decoder decoder(call->body());
  const auto session = decoder.u64();
  const auto credit = decoder.u32();
  if (!decoder.complete() || credit == 0) return fail(malformed("a writer's credit"));
  keep(home.rank, session);
  return std::make_unique<PeerWriter>(*this, home.rank, session, credit);
}

Result<void> PeerClient::remove(Home home, const ObjectName& name, const std::optional<Checksum>& version) {
  auto message = begin_object_message(home.disk, name);
  if (version) message.raw(std::as_bytes(std::span(*version)));
  TARN_CHECK(caller_.call(home.rank, Op::remove, std::move(message)));
  return {};
}

Result<bool> PeerClient::remove_copy(Home home, const ObjectName& name, std::int64_t not_after_ns) {
  auto message = begin_object_message(home.disk, name);
  message.i64(not_after_ns);
  TARN_TRY(const auto call, caller_.call(home.rank, Op::remove_copy, std::move(message)));
  Decoder decoder(call->body());
  const bool removed = decoder.u8() != 0;
  if (!decoder.complete()) return fail(malformed("the answer to a removal"));
  return removed;
}

std::shared_ptr<Call> PeerClient::start_fetch(RankId rank, std::span<const WireExtent> extents, std::span<std::byte> target) {
  Encoder message = begin_message();
  encode(message, extents);
  return caller_.start(rank, Op::fetch, std::move(message), {}, target);
}

void PeerClient::keep(RankId rank, std::uint64_t session) {
  const std::lock_guard lock(mutex_);
  sessions_[rank].insert(session);
}

void PeerClient::forget(RankId rank, std::uint64_t session) noexcept {
  const std::lock_guard lock(mutex_);
  if (const auto at = sessions_.find(rank); at != sessions_.end()) at->second.erase(session);
}

void PeerClient::end(RankId rank, std::uint64_t session, Op op) noexcept {
  forget(rank, session);
  try {
    Encoder message = begin_message();
    message.u64(session);
    static_cast<void>(caller_.start(rank, op, std::move(message)));
  } catch (const std::bad_alloc&) {  // nobody touches it any more: the owner ends it
    return;
  }
}

void PeerClient::on_tick(Clock::time_point now) {
  if (now < next_touch_ || !touching_.load()) return;
  const std::lock_guard lock(mutex_);
  for (const auto& [rank, sessions] : sessions_) {
    if (sessions.empty()) continue;
    Encoder message = begin_message();
    message.u32(static_cast<std::uint32_t>(sessions.size()));
    for (const auto session : sessions) message.u64(session);
    static_cast<void>(caller_.start(rank, Op::touch, std::move(message)));
  }
  next_touch_ = now + caller_.timeout() / 4;
}

}  // namespace tarn::mpi
