// PUT and DELETE of an object.
//
//   body of at most 64 KiB, here    read whole, then written on the I/O thread: one append to the page cache
//   others                          pieces of 256 KiB through the blocking pool: a writer may wait for its disk or rank
//
// A body that does not arrive whole, or not as its digests say, leaves nothing: the writer goes before its commit.
#include <algorithm>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "http/body_checks.hpp"
#include "http/conditions.hpp"
#include "http/object_fields.hpp"
#include "http/redirect_rule.hpp"
#include "http/routes.hpp"

namespace tarn::http {

namespace {

using WriterResult = Result<std::unique_ptr<ObjectWriter>>;

/// One upload that has been accepted.
struct Upload {
  PutOptions options;
  BodyChecks checks;
  std::uint64_t size_hint = UINT64_MAX;
};

tl::expected<Upload, s3::ApiError> upload_of(const RequestHead& head) {
  auto options = put_options_of(head);
  if (!options) return tl::unexpected<s3::ApiError>(std::move(options).error());
  auto checks = BodyChecks::of(head);
  if (!checks) return tl::unexpected<s3::ApiError>(std::move(checks).error());
  if (!head.chunked && !head.content_length)
    return tl::unexpected<s3::ApiError>(s3::ApiError{411, "MissingContentLength", "a PUT must say how long its body is, or send it in chunks"});
  if (head.content_length.value_or(0) > limits::kObjectBytesMax)
    return tl::unexpected<s3::ApiError>(s3::ApiError{400, "EntityTooLarge", "an object has at most 5 TiB"});
  return Upload{std::move(*options), std::move(*checks), head.content_length.value_or(UINT64_MAX)};
}

/// Reads a piece and updates the checks. @errors what a client should be told; nothing if the connection broke.
Task<tl::expected<BodyRead, s3::ApiError>> receive_piece(Exchange& exchange, Upload& upload, std::span<std::byte> buffer) {
  const BodyRead piece = co_await exchange.read_body(buffer);
  if (piece.end == BodyRead::End::malformed)
    co_return tl::unexpected<s3::ApiError>(s3::ApiError{400, "InvalidRequest", std::string(exchange.body_failure())});
  if (piece.end == BodyRead::End::cut)
    co_return tl::unexpected<s3::ApiError>(s3::ApiError{400, "IncompleteBody", "the connection ended before the body did"});
  upload.checks.update(buffer.first(piece.size_bytes));
  if (piece.end == BodyRead::End::complete)
    if (auto mismatch = upload.checks.finish()) co_return tl::unexpected<s3::ApiError>(std::move(*mismatch));
  co_return piece;
}

Task<> send_stored(Exchange& exchange, const ObjectInfo& info) {
  exchange.begin_response(200).add("ETag", s3::etag_of(info.checksum));
  return exchange.send(std::string_view());
}

Task<> store_small(Exchange& exchange, Upload upload) {
  BorrowedBuffer borrowed(exchange.worker.buffers);
  const auto buffer = borrowed.bytes();
  auto piece = co_await receive_piece(exchange, upload, buffer);
  if (!piece) co_return co_await exchange.refuse(std::move(piece).error());
  const auto body = buffer.first(piece->size_bytes);
  const auto write = [&]() -> Result<ObjectInfo> {
    TARN_TRY(const auto writer, exchange.server.service.create(exchange.target.name, upload.options, upload.size_hint));
    TARN_CHECK(writer->write(body));
    return writer->commit();
  };
  const auto info = write();
  if (!info) co_return co_await exchange.refuse(info.error());
  co_await send_stored(exchange, *info);
}

/// A writer's destructor may have to tell another rank.
Task<> discard(Exchange& exchange, std::unique_ptr<ObjectWriter> writer) {
  auto drop = [owned = std::move(writer)]() mutable -> Result<void> {
    owned.reset();
    return {};
  };
  co_await exchange.blocking_step(std::move(drop));
}

/// The body's pieces into the writer, then the commit. @errors what the client should be told.
Task<tl::expected<ObjectInfo, s3::ApiError>> transfer(Exchange& exchange, Upload& upload, ObjectWriter& writer) {
  BorrowedBuffer borrowed(exchange.worker.buffers);
  const auto buffer = borrowed.bytes();
  while (true) {
    auto piece = co_await receive_piece(exchange, upload, buffer);
    if (!piece) co_return tl::unexpected<s3::ApiError>(std::move(piece).error());
    auto write = [&writer, bytes = buffer.first(piece->size_bytes)]() { return writer.write(bytes); };
    const auto written = co_await exchange.blocking_step(std::move(write));
    if (!written) co_return tl::unexpected<s3::ApiError>(s3::api_error(written.error()));
    if (piece->end == BodyRead::End::complete) break;
  }
  auto commit = [&writer]() { return writer.commit(); };
  auto info = co_await exchange.blocking_step(std::move(commit));
  if (!info) co_return tl::unexpected<s3::ApiError>(s3::api_error(info.error()));
  co_return std::move(*info);
}

/// The writer is made, used and destroyed on threads of the pool.
Task<> store_in_pieces(Exchange& exchange, Upload upload) {
  auto& service = exchange.server.service;
  auto create = [&service, name = exchange.target.name, &upload]() -> WriterResult { return service.create(name, upload.options, upload.size_hint); };
  auto writer = co_await exchange.blocking(std::move(create));
  if (!writer) co_return co_await exchange.refuse(writer.error());
  if (!co_await exchange.accept_body()) {
    exchange.cut();
    co_return co_await discard(exchange, std::move(*writer));
  }
  auto info = co_await transfer(exchange, upload, **writer);
  co_await discard(exchange, std::move(*writer));
  if (!info) co_return co_await exchange.refuse(std::move(info).error());
  co_await send_stored(exchange, *info);
}

}  // namespace

Task<> put_object(Exchange& exchange) {
  auto& service = exchange.server.service;
  const ObjectName& name = exchange.target.name;
  auto upload = upload_of(exchange.head);
  if (!upload) co_return co_await exchange.refuse(std::move(upload).error());
  if (!service.has_bucket(name.bucket)) co_return co_await exchange.refuse(no_such_bucket(name.bucket));
  const object::Location where = service.locate(name.bucket, name.key);
  if (!where.here) {
    if (redirected_in_vain(exchange)) co_return co_await exchange.refuse(not_owner(name));
    if (exchange.grant_epoch == 0 && choose_handling(exchange.head, where, exchange.server.options.redirect) == Handling::redirect &&
        co_await redirect_to_owner(exchange, where.owner))
      co_return;
    exchange.worker.metrics.count_proxied();
  }
  if (!where.waits && exchange.head.content_length.value_or(UINT64_MAX) <= limits::kHttpSmallObjectBytesMax) {
    if (!co_await exchange.accept_body()) co_return exchange.cut();
    co_return co_await store_small(exchange, std::move(*upload));
  }
  co_await store_in_pieces(exchange, std::move(*upload));
}

namespace {

/// Looks, compares, and has the owner remove the version that was looked at and no other. @errors aborted: against the condition.
Result<void> remove_on_condition(object::ObjectService& service, const RequestHead& head, const ObjectName& name) {
  const auto refused = [&] { return fail(ErrorCode::aborted, name.bucket + "/" + name.key + " is not as the request's conditions ask"); };
  const auto info = service.head(name);
  if (!info && info.error().code == ErrorCode::not_found && !change_of_nothing_allowed(head)) return refused();
  if (!info) return fail(info.error());
  if (!change_allowed(head, s3::etag_of(info->checksum), info->modified_ns)) return refused();
  auto removed = service.remove(name, info->checksum);
  // Whoever removed it meanwhile was first, like whoever replaced it.
  if (!removed && removed.error().code == ErrorCode::not_found && !change_of_nothing_allowed(head)) return refused();
  return removed;
}

bool has_condition(const RequestHead& head) {
  return head.find("If-Match") || head.find("If-None-Match") || head.find("If-Unmodified-Since");
}

Task<Result<void>> remove_as_asked(Exchange& exchange) {
  auto& service = exchange.server.service;
  const ObjectName& name = exchange.target.name;
  const auto& head = exchange.head;
  if (has_condition(head))  // waits for others also when it is here
    return exchange.blocking([&service, &head, name] { return remove_on_condition(service, head, name); });
  return exchange.call(!service.locate(name.bucket, name.key).waits, [&service, name] { return service.remove(name, std::nullopt); });
}

}  // namespace

Task<> remove_object(Exchange& exchange) {
  const auto removed = co_await remove_as_asked(exchange);
  // Without a condition the store says `aborted` when it closes.
  if (!removed && removed.error().code == ErrorCode::aborted && has_condition(exchange.head))
    co_return co_await exchange.refuse(s3::ApiError{412, "PreconditionFailed", removed.error().message});
  if (!removed && removed.error().code != ErrorCode::not_found) co_return co_await exchange.refuse(removed.error());
  exchange.begin_response(204);  // also when there was none: S3's rule
  co_await exchange.send(std::string_view());
}

}  // namespace tarn::http
