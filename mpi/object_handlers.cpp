#include "mpi/object_handlers.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "mpi/extents.hpp"

namespace tarn::mpi {

using base::Decoder;
using base::Encoder;

namespace {

/// disk, name: how every request for an object begins.
struct Target {
  std::uint32_t disk = 0;
  ObjectName name;
};

Target decode_target(Decoder& decoder) {
  Target target;
  target.disk = decoder.u32();
  target.name = decode_name(decoder);
  return target;
}

std::size_t bounded(std::uint64_t size_bytes) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(size_bytes, limits::kPeerPieceBytesMax));
}

// session, offset, length
std::size_t read_answer_size(std::span<const std::byte> body) {
  Decoder decoder(body);
  static_cast<void>(decoder.u64());
  static_cast<void>(decoder.u64());
  return bounded(decoder.u64());
}

std::size_t open_answer_size(std::span<const std::byte> body) {
  Decoder decoder(body);
  static_cast<void>(decode_target(decoder));
  return static_cast<std::size_t>(std::min<std::uint64_t>(decoder.u64(), limits::kPeerInlineBytesMax));
}

std::size_t range_answer_size(std::span<const std::byte> body) {
  Decoder decoder(body);
  static_cast<void>(decode_target(decoder));
  static_cast<void>(decoder.u64());
  return bounded(decoder.u64());
}

std::uint64_t total_bytes(std::span<const WireExtent> extents) {
  std::uint64_t total = 0;
  for (const auto& extent : extents) total += std::min<std::uint64_t>(extent.length_bytes, limits::kPeerPieceBytesMax + 1);  // no overflow
  return total;
}

std::size_t fetch_answer_size(std::span<const std::byte> body) {
  Decoder decoder(body);
  return bounded(total_bytes(decode_extents(decoder)));
}

/// Answers with the value's error, or hands the value to `answer`.
template <class T, class Answer>
void answer_with(Request& request, Result<T> value, Answer answer) {
  if (value) {
    answer(*value);
  } else {
    request.responder().fail(value.error());
  }
}

void answer_void(Request& request, const Result<void>& outcome) {
  if (outcome) {
    request.responder().done();
  } else {
    request.responder().fail(outcome.error());
  }
}

}  // namespace

void ObjectHandlers::add_to(PeerService& service) {
  // Also look-ups read the disk: a slow one must not hold up the messages of all other peers.
  service.on(Op::find, RunOn::data, [this](Request r) { find(std::move(r)); });
  service.on(
      Op::open, RunOn::data, [this](Request r) { open(std::move(r)); }, open_answer_size);
  service.on(
      Op::read, RunOn::data, [this](Request r) { read(std::move(r)); }, read_answer_size);
  service.on(
      Op::read_range, RunOn::data, [this](Request r) { read_range(std::move(r)); }, range_answer_size);
  service.on(
      Op::fetch, RunOn::data, [this](Request r) { fetch(std::move(r)); }, fetch_answer_size);
  service.on(Op::put, RunOn::data, [this](Request r) { put(std::move(r)); });
  service.on(Op::put_begin, RunOn::data, [this](Request r) { put_begin(std::move(r)); });
  service.on(Op::put_piece, RunOn::engine, [this](Request r) { put_piece(std::move(r)); });
  service.on(Op::put_prepare, RunOn::data, [this](Request r) {
    const auto session = writer_of(r);
    answer_void(r, session ? (*session)->prepare() : Result<void>(fail(session.error())));
  });
  service.on(
      Op::put_read_back, RunOn::data, [this](Request r) { put_read_back(std::move(r)); }, read_answer_size);
  service.on(Op::put_commit, RunOn::data, [this](Request r) { put_commit(std::move(r)); });
  const auto forget = [this](Request r) {  // on a worker: destroying a writer removes its file
    sessions_.remove(Decoder(r.body()).u64(), r.source());
    r.responder().done();
  };
  service.on(Op::put_abort, RunOn::data, forget);
  service.on(Op::close, RunOn::data, forget);
  service.on(Op::touch, RunOn::engine, [this](Request r) { touch(std::move(r)); });
  service.on(Op::remove, RunOn::data, [this](Request r) {
    Decoder decoder(r.body());
    const auto target = decode_target(decoder);
    std::optional<Checksum> version;
    if (!decoder.rest().empty()) version = decode_checksum(decoder);
    answer_void(r, decoder.complete() ? store_.remove(target.disk, target.name, version) : Result<void>(fail(malformed("a name"))));
  });
  service.on(Op::remove_copy, RunOn::data, [this](Request r) { remove_copy(std::move(r)); });
  service.on(Op::survey, RunOn::data, [this](Request r) { survey(std::move(r)); });
  service.on(Op::versions, RunOn::data, [this](Request r) { versions(std::move(r)); });
  service.on(Op::where, RunOn::data, [this](Request r) { where(std::move(r)); });
  service.on(Op::point, RunOn::data, [this](Request r) { point(std::move(r)); });
  service.on(Op::unpoint, RunOn::data, [this](Request r) { unpoint(std::move(r)); });
  service.on(Op::list, RunOn::data, [this](Request r) { list(std::move(r)); });
}

void ObjectHandlers::find(Request request) {
  Decoder decoder(request.body());
  const auto target = decode_target(decoder);
  if (!decoder.complete()) return request.responder().fail(malformed("a name"));
  answer_with(request, store_.find(target.disk, target.name), [&](const object::StoredObject& stored) {
    Encoder encoder = begin_message();
    encode(encoder, stored);
    request.responder().reply(std::move(encoder));
  });
}

// Reply: stored object, u8 kind: 0 the bytes follow, 1 u64 session.
void ObjectHandlers::open(Request request) {
  Decoder decoder(request.body());
  const auto target = decode_target(decoder);
  const std::uint64_t inline_max = std::min<std::uint64_t>(decoder.u64(), limits::kPeerInlineBytesMax);
  if (!decoder.complete()) return request.responder().fail(malformed("a name"));
  const auto answer = [&]() -> Result<Buffer> {
    TARN_TRY(auto opened, store_.open_version(target.disk, target.name));
    auto& [stored, extents] = opened;
    Encoder encoder = begin_message();
    encode(encoder, stored);
    if (stored.info.size_bytes > inline_max) {
      TARN_TRY(const auto id, sessions_.add(std::make_shared<ReadSession>(target.name, stored, std::move(extents)), request.source()));
      encoder.u8(1).u64(id);
      return Buffer(encoder.bytes());
    }
    encoder.u8(0);
    Buffer message(encoder.size() + static_cast<std::size_t>(stored.info.size_bytes));
    std::copy(encoder.bytes().begin(), encoder.bytes().end(), message.data());
    TARN_CHECK(read_extents(extents, 0, message.span().subspan(encoder.size())));
    return message;
  };
  answer_with(request, answer(), [&](Buffer& message) { request.responder().reply(std::move(message)); });
}

void ObjectHandlers::read(Request request) {
  Decoder decoder(request.body());
  const auto id = decoder.u64();
  const auto offset = decoder.u64();
  const auto length = decoder.u64();
  if (!decoder.complete() || length > limits::kPeerPieceBytesMax) return request.responder().fail(malformed("a range"));
  const auto answer = [&]() -> Result<Buffer> {
    TARN_TRY(const auto session, sessions_.reader(id, request.source()));
    TARN_TRY(const auto size, clip(session->version.info, offset, length));
    // A reader for each piece: several are under way at once, and it is the disk that remembers what was verified.
    TARN_TRY(const auto reader, store_.reader_of(session->name, session->version, session->extents));
    Buffer bytes(size);
    TARN_TRY(const auto got, reader->read(offset, bytes.span()));
    bytes.shrink(got);
    return bytes;
  };
  answer_with(request, answer(), [&](Buffer& bytes) { request.responder().data(std::move(bytes)); });
}

void ObjectHandlers::read_range(Request request) {
  Decoder decoder(request.body());
  const auto target = decode_target(decoder);
  const auto offset = decoder.u64();
  const auto length = decoder.u64();
  if (!decoder.complete() || length > limits::kPeerPieceBytesMax) return request.responder().fail(malformed("a range"));
  const auto answer = [&]() -> Result<Buffer> {
    // The local reader verifies: the whole object when it is small, else the blocks that the range touches.
    TARN_TRY(const auto reader, store_.open_reader(target.disk, target.name));
    TARN_TRY(const auto size, clip(reader->info(), offset, length));
    Buffer bytes(size);
    TARN_TRY(const auto got, reader->read(offset, bytes.span()));
    bytes.shrink(got);
    return bytes;
  };
  answer_with(request, answer(), [&](Buffer& bytes) { request.responder().data(std::move(bytes)); });
}

void ObjectHandlers::fetch(Request request) {
  Decoder decoder(request.body());
  const auto extents = decode_extents(decoder);
  const std::uint64_t total = total_bytes(extents);
  if (!decoder.complete() || total > limits::kPeerPieceBytesMax) return request.responder().fail(malformed("a batch of extents"));
  const auto answer = [&]() -> Result<Buffer> {
    Buffer bytes(static_cast<std::size_t>(total));
    std::size_t at = 0;
    for (const auto& extent : extents) {
      TARN_TRY(const auto file, store_.volume_file(extent.disk, extent.volume));
      const auto part = bytes.span().subspan(at, static_cast<std::size_t>(extent.length_bytes));
      TARN_TRY(const auto got, file->read_at(extent.offset, part));
      if (got != part.size()) return tarn::fail(ErrorCode::out_of_range, "volume " + file->path() + " ends before the extent that was asked for");
      at += part.size();
    }
    return bytes;
  };
  answer_with(request, answer(), [&](Buffer& bytes) { request.responder().data(std::move(bytes)); });
}

void ObjectHandlers::put(Request request) {
  Decoder decoder(request.body());
  const auto target = decode_target(decoder);
  const auto options = decode_put_options(decoder);
  const auto terms = decode_copy_terms(decoder);
  if (decoder.failed()) return request.responder().fail(malformed("a name"));
  answer_with(request, store_.put(target.disk, target.name, decoder.rest(), options, terms), [&](const ObjectInfo& info) {
    Encoder encoder = begin_message();
    encode(encoder, info);
    request.responder().reply(std::move(encoder));
  });
}

// Reply: u64 session, u32 credit: pieces that may be under way without an answer.
void ObjectHandlers::put_begin(Request request) {
  Decoder decoder(request.body());
  const auto target = decode_target(decoder);
  const auto options = decode_put_options(decoder);
  const auto size_hint = decoder.u64();
  if (!decoder.complete()) return request.responder().fail(malformed("a name"));
  const auto answer = [&]() -> Result<std::uint64_t> {
    TARN_TRY(auto writer, store_.create(target.disk, target.name, options, size_hint));
    return sessions_.add(std::make_shared<WriteSession>(std::move(writer)), request.source());
  };
  answer_with(request, answer(), [&](std::uint64_t id) {
    // With many writers at once each gets one piece at a time, so that all together stay within the buffer.
    const bool crowded = sessions_.size() * limits::kPeerTransfersInFlight * limits::kPeerTransferBytes > limits::kPeerBufferBytesMax;
    Encoder encoder = begin_message();
    encoder.u64(id).u32(crowded ? 1 : static_cast<std::uint32_t>(limits::kPeerTransfersInFlight));
    request.responder().reply(std::move(encoder));
  });
}

void ObjectHandlers::put_piece(Request request) {
  Decoder decoder(request.body());
  const auto id = decoder.u64();
  const auto number = decoder.u64();
  if (decoder.failed()) return request.responder().fail(malformed("a piece"));
  auto session = sessions_.writer(id, request.source());
  if (!session) return request.responder().fail(session.error());
  (*session)->add(number, std::move(request), 2 * sizeof(std::uint64_t), pool_);
}

Result<std::shared_ptr<WriteSession>> ObjectHandlers::writer_of(const Request& request) {
  Decoder decoder(request.body());
  const auto id = decoder.u64();
  if (!decoder.complete()) return tarn::fail(malformed("a session"));
  return sessions_.writer(id, request.source());
}

void ObjectHandlers::put_read_back(Request request) {
  Decoder decoder(request.body());
  const auto id = decoder.u64();
  const auto offset = decoder.u64();
  const auto length = decoder.u64();
  if (!decoder.complete() || length > limits::kPeerPieceBytesMax) return request.responder().fail(malformed("a range"));
  const auto answer = [&]() -> Result<Buffer> {
    TARN_TRY(const auto session, sessions_.writer(id, request.source()));
    Buffer bytes(static_cast<std::size_t>(length));
    TARN_TRY(const auto got, session->read_back(offset, bytes.span()));
    bytes.shrink(got);
    return bytes;
  };
  answer_with(request, answer(), [&](Buffer& bytes) { request.responder().data(std::move(bytes)); });
}

void ObjectHandlers::put_commit(Request request) {
  Decoder decoder(request.body());
  const auto id = decoder.u64();
  const auto terms = decode_copy_terms(decoder);
  if (!decoder.complete()) return request.responder().fail(malformed("the end of a body"));
  auto session = sessions_.writer(id, request.source());
  auto info = session ? (*session)->commit(terms) : Result<ObjectInfo>(tarn::fail(session.error()));
  sessions_.remove(id, request.source());
  answer_with(request, std::move(info), [&](const ObjectInfo& stored) {
    Encoder encoder = begin_message();
    encode(encoder, stored);
    request.responder().reply(std::move(encoder));
  });
}

void ObjectHandlers::remove_copy(Request request) {
  Decoder decoder(request.body());
  const auto target = decode_target(decoder);
  const auto not_after_ns = decoder.i64();
  if (!decoder.complete()) return request.responder().fail(malformed("a name"));
  answer_with(request, store_.remove_copy(target.disk, target.name, not_after_ns), [&](bool removed) {
    Encoder encoder = begin_message();
    encoder.u8(removed ? 1 : 0);
    request.responder().reply(std::move(encoder));
  });
}

void ObjectHandlers::survey(Request request) {
  Decoder decoder(request.body());
  const auto name = decode_name(decoder);
  if (!decoder.complete()) return request.responder().fail(malformed("a name"));
  answer_with(request, store_.find_all(name), [&](const std::vector<object::StoredObject>& all) {
    Encoder encoder = begin_message();
    encode(encoder, all);
    request.responder().reply(std::move(encoder));
  });
}

void ObjectHandlers::versions(Request request) {
  Decoder decoder(request.body());
  const auto disk = decoder.u32();
  ObjectName name;
  name.bucket = decoder.text();
  Encoder encoder = begin_message();
  while (!decoder.failed() && !decoder.rest().empty()) {
    name.key = decoder.text();
    const auto found = store_.find(disk, name);
    if (!found && found.error().code != ErrorCode::not_found) return request.responder().fail(found.error());
    encoder.i64(found ? found->info.modified_ns : INT64_MIN);
  }
  if (decoder.failed()) return request.responder().fail(malformed("a list of names"));
  request.responder().reply(std::move(encoder));
}

void ObjectHandlers::where(Request request) {
  Decoder decoder(request.body());
  const auto target = decode_target(decoder);
  if (!decoder.complete()) return request.responder().fail(malformed("a name"));
  answer_with(request, store_.pointers().find(target.disk, target.name), [&](const object::Whereabouts& known) {
    Encoder encoder = begin_message();
    encode(encoder, known.pointer);
    encoder.u8(known.own_ns ? 1 : 0).i64(known.own_ns.value_or(0));
    request.responder().reply(std::move(encoder));
  });
}

void ObjectHandlers::point(Request request) {
  Decoder decoder(request.body());
  const auto target = decode_target(decoder);
  const auto pointer = decode_pointer(decoder);
  if (!decoder.complete() || !pointer) return request.responder().fail(malformed("a pointer"));
  answer_with(request, store_.pointers().set(target.disk, target.name, *pointer), [&](const object::Pointers::Outcome& outcome) {
    Encoder encoder = begin_message();
    encoder.u8(outcome.set ? 1 : 0);
    encode(encoder, outcome.previous);
    request.responder().reply(std::move(encoder));
  });
}

void ObjectHandlers::unpoint(Request request) {
  Decoder decoder(request.body());
  const auto target = decode_target(decoder);
  const auto not_after_ns = decoder.i64();
  if (!decoder.complete()) return request.responder().fail(malformed("a name"));
  answer_with(request, store_.pointers().take(target.disk, target.name, not_after_ns), [&](const std::optional<object::Pointer>& taken) {
    Encoder encoder = begin_message();
    encode(encoder, taken);
    request.responder().reply(std::move(encoder));
  });
}

void ObjectHandlers::touch(Request request) {
  Decoder decoder(request.body());
  for (std::uint32_t left = decoder.u32(); left > 0 && !decoder.failed(); --left) sessions_.touch(decoder.u64(), request.source());
  request.responder().done();
}

void ObjectHandlers::list(Request request) {
  Decoder decoder(request.body());
  const std::string bucket(decoder.text());
  auto options = decode_list_options(decoder);
  if (!decoder.complete()) return request.responder().fail(malformed("a listing"));
  options.max_keys = std::min(options.max_keys, limits::kListKeysMax);  // 1,000 entries of the largest kind fit one message
  answer_with(request, store_.list(bucket, options), [&](const ListPage& page) {
    Encoder encoder = begin_message();
    encode(encoder, page);
    request.responder().reply(std::move(encoder));
  });
}

void ObjectHandlers::on_tick(Clock::time_point now) {
  auto expired = sessions_.take_expired(now - session_limit_);
  if (expired.empty()) return;
  base::log_warn(std::to_string(expired.size()) + " objects that silent ranks held open are closed");
  pool_.submit([held = std::move(expired)]() mutable { held.clear(); });
}

}  // namespace tarn::mpi
