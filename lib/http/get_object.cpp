// GET and HEAD of an object.
//
//   here, small            read whole, checked, one sendmsg with the head
//   here or neighbour      sendfile from the volumes, or by ObjectReader::read, which verifies what it gives: options.verify_sendfile
//   another rank           307, or pieces through the blocking pool
#include <algorithm>
#include <memory>
#include <string>

#include "base/limits.hpp"
#include "http/conditions.hpp"
#include "http/object_fields.hpp"
#include "http/redirect_rule.hpp"
#include "http/routes.hpp"

namespace tarn::http {

namespace {

using ReaderResult = Result<std::unique_ptr<object::ObjectReader>>;

/// How one request reads one object.
struct Source {
  object::ObjectReader& reader;
  bool blocks = false;  ///< read() waits for another rank
  std::vector<object::FileExtent> extents;
};

Task<Result<std::size_t>> read_piece(Exchange& exchange, Source& source, std::uint64_t offset, std::span<std::byte> target) {
  auto read = [&reader = source.reader, offset, target] { return reader.read(offset, target); };
  if (!source.blocks) co_return read();
  co_return co_await exchange.blocking_step(std::move(read));
}

/// Pieces of read(). The head goes out with the first, so that an object that cannot be read is an error and not a
/// broken body; afterwards a failure cuts the connection before the last byte.
Task<> send_by_reading(Exchange& exchange, Source& source, const ResolvedRange& range) {
  BorrowedBuffer borrowed(exchange.worker.buffers);
  const auto buffer = borrowed.bytes();
  bool head_sent = false;
  for (std::uint64_t done = 0; done < range.length;) {
    const auto piece = buffer.first(std::min<std::uint64_t>(buffer.size(), range.length - done));
    const auto got = co_await read_piece(exchange, source, range.first + done, piece);
    if (!got || *got != piece.size()) {
      if (head_sent) co_return exchange.cut();
      // Outside of the co_await: GCC 12 destroys what a conditional operator in it makes twice.
      const Error why = got ? Error(ErrorCode::corrupt, "the object is shorter than its index entry says") : got.error();
      co_return co_await exchange.refuse(why);
    }
    if (!head_sent && !co_await exchange.send_head(true)) co_return;
    head_sent = true;
    if (!co_await exchange.send_piece(piece)) co_return;
    done += piece.size();
  }
}

Task<> send_by_sendfile(Exchange& exchange, const Source& source, ResolvedRange range) {
  if (!co_await exchange.send_head(true)) co_return;
  for (const auto& extent : source.extents) {
    if (range.length == 0) break;
    if (range.first >= extent.length_bytes) {
      range.first -= extent.length_bytes;
      continue;
    }
    const std::uint64_t length = std::min(range.length, extent.length_bytes - range.first);
    if (!co_await exchange.send_file(*extent.file, extent.offset + range.first, length)) co_return exchange.cut();
    range.first = 0;
    range.length -= length;
  }
  if (range.length > 0) exchange.cut();
}

/// Objects that fit the worker's scratch are read whole even for a range: so the checksum is verified.
Task<> send_small(Exchange& exchange, object::ObjectReader& reader, const ResolvedRange& range, std::uint64_t size_bytes) {
  const bool whole = size_bytes <= exchange.worker.scratch.size();
  const auto target = std::span(exchange.worker.scratch).first(whole ? size_bytes : range.length);
  const auto got = reader.read(whole ? 0 : range.first, target);
  if (!got) co_return co_await exchange.refuse(got.error());
  if (*got != target.size()) co_return co_await exchange.refuse(Error(ErrorCode::corrupt, "the object is shorter than its index entry says"));
  const auto body = std::span<const std::byte>(target).subspan(whole ? range.first : 0, range.length);
  if (!exchange.send_at_once(body)) co_await exchange.send_rest();
}

/// What a GET or HEAD of an object that is there comes to.
enum class Answer : std::uint8_t { body, not_modified, failed, unsatisfiable };

/// Evaluates conditions and range, and begins the head of a 200, 206 or 304.
Answer begin_object_response(Exchange& exchange, const ObjectInfo& info, ResolvedRange& range) {
  const std::string etag = s3::etag_of(info.checksum);
  switch (evaluate_conditions(exchange.head, etag, info.modified_ns)) {
    case Condition::failed:
      return Answer::failed;
    case Condition::not_modified:
      exchange.begin_response(304).add("ETag", etag);
      return Answer::not_modified;
    case Condition::go_on:
      break;
  }
  if (const auto field = exchange.head.find("Range"); field && if_range_holds(exchange.head, etag, info.modified_ns))
    range = resolve_range(*field, info.size_bytes);
  if (range.kind == RangeKind::unsatisfiable) return Answer::unsatisfiable;
  if (range.kind == RangeKind::whole) range = {RangeKind::whole, 0, info.size_bytes};
  auto& response = exchange.begin_response(range.kind == RangeKind::part ? 206 : 200);
  add_object_fields(response, info, etag);
  if (range.kind == RangeKind::part) add_content_range(response, range.first, range.length, info.size_bytes);
  return Answer::body;
}

Task<> send_without_body(Exchange& exchange, Answer answer, std::uint64_t size_bytes) {
  if (answer == Answer::not_modified) return exchange.send(std::string_view());
  if (answer == Answer::failed)
    return exchange.refuse(s3::ApiError{412, "PreconditionFailed", "the object is not the version that If-Match or If-Unmodified-Since asks for"});
  return exchange.refuse_range(size_bytes);
}

/// Whether bytes may be sent that nobody has looked at now. Pieces that read() gives are verified as they are sent, so that a part of an
/// object of any size waits for its own blocks only.
bool may_send_unseen(VerifySendfile policy, const object::ObjectReader& reader) {
  return policy == VerifySendfile::never || (policy == VerifySendfile::first && reader.verified());
}

Task<> send_object(Exchange& exchange, std::unique_ptr<object::ObjectReader> reader, bool here) {
  const ObjectInfo& info = reader->info();
  ResolvedRange range;
  const Answer answer = begin_object_response(exchange, info, range);
  if (answer != Answer::body) co_return co_await send_without_body(exchange, answer, info.size_bytes);
  if (here && range.length <= limits::kHttpSmallObjectBytesMax) co_return co_await send_small(exchange, *reader, range, info.size_bytes);
  Source source{*reader, false, reader->extents()};
  source.blocks = !here && (source.extents.empty() || reader->may_wait());
  if (!here && source.extents.empty()) exchange.worker.metrics.count_proxied();
  exchange.response().add("Content-Length", range.length);
  const auto policy = [&] {
    return exchange.server.service.verify_sendfile(exchange.target.name.bucket).value_or(exchange.server.options.verify_sendfile);
  };
  if (!source.extents.empty() && may_send_unseen(policy(), *reader)) co_return co_await send_by_sendfile(exchange, source, range);
  if (range.length == 0) {
    co_await exchange.send_head(false);
    co_return;
  }
  co_await send_by_reading(exchange, source, range);
}

}  // namespace

Task<> get_object(Exchange& exchange) {
  auto& service = exchange.server.service;
  const ObjectName& name = exchange.target.name;
  const object::Location where = service.locate(name.bucket, name.key);
  if (!where.waits) {
    auto reader = service.open(name);
    if (!reader) co_return co_await exchange.refuse(reader.error());
    co_return co_await send_object(exchange, std::move(*reader), true);
  }
  if (!service.has_bucket(name.bucket)) co_return co_await exchange.refuse(no_such_bucket(name.bucket));
  if (!where.here && redirected_in_vain(exchange)) co_return co_await exchange.refuse(not_owner(name));
  if (!where.here && exchange.grant_epoch == 0 && choose_handling(exchange.head, where, exchange.server.options.redirect) == Handling::redirect &&
      co_await redirect_to_owner(exchange, where.owner))
    co_return;
  auto open = [&service, name]() -> ReaderResult { return service.open(name); };
  auto reader = co_await exchange.blocking(std::move(open));
  if (!reader) co_return co_await exchange.refuse(reader.error());
  co_await send_object(exchange, std::move(*reader), false);
}

Task<> head_object(Exchange& exchange) {
  auto& service = exchange.server.service;
  const ObjectName& name = exchange.target.name;
  auto ask = [&service, name] { return service.head(name); };
  const auto info = co_await exchange.call(!service.locate(name.bucket, name.key).waits, std::move(ask));
  if (!info) co_return co_await exchange.refuse(info.error());
  ResolvedRange range;
  const Answer answer = begin_object_response(exchange, *info, range);
  if (answer != Answer::body) co_return co_await send_without_body(exchange, answer, info->size_bytes);
  exchange.response().add("Content-Length", range.length);
  co_await exchange.send_head(false);
}

}  // namespace tarn::http
