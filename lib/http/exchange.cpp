#include "http/exchange.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace tarn::http {

namespace {

constexpr std::string_view kRetryAfterSeconds = "1";

std::string request_id_of(std::uint64_t number) {
  std::array<char, 16> text{};
  text.fill('0');
  std::array<char, 16> digits{};
  const auto size = static_cast<std::size_t>(std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr - digits.data());
  std::copy(digits.data(), digits.data() + size, text.data() + text.size() - size);
  return {text.data(), text.size()};
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

Exchange::Exchange(Worker& the_worker, Transport& transport, RequestReader& reader)
    : worker(the_worker), server(the_worker.server), transport_(transport), reader_(reader) {}

void Exchange::begin() {
  started_ = std::chrono::steady_clock::now();
  request_id_ = request_id_of(server.next_request.fetch_add(1, std::memory_order_relaxed));
  operation = Operation::other;
  grant_epoch = 0;
  bytes_in_ = bytes_out_ = 0;
  continue_owed_ = head.expect_continue && head.has_body();
  responded_ = broken_ = close_ = false;
  keep_alive_ = true;
}

void Exchange::end() {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started_;
  worker.work.add_request();
  worker.metrics.count({operation, response_.status(), bytes_in_, bytes_out_, elapsed.count()});
}

Task<bool> Exchange::accept_body() {
  // A client that has begun to send does not wait any more (RFC 9110, 10.1.1).
  const bool owed = std::exchange(continue_owed_, false) && !reader_.has_input();
  if (!owed) co_return true;
  co_return co_await transport_.send(bytes_of("HTTP/1.1 100 Continue\r\n\r\n"), false);
}

Task<BodyRead> Exchange::read_body(std::span<std::byte> target_bytes) {
  const BodyRead piece = co_await reader_.read_body(target_bytes);
  bytes_in_ += piece.size_bytes;
  if (piece.end == BodyRead::End::cut) broken_ = true;
  if (piece.end == BodyRead::End::malformed) close_ = true;
  co_return piece;
}

Task<Result<std::string>> Exchange::read_document(std::size_t size_bytes_max) {
  if (head.content_length.value_or(0) > size_bytes_max)
    co_return fail(ErrorCode::invalid, "the request's body is longer than " + std::to_string(size_bytes_max) + " bytes");
  if (!co_await accept_body()) {
    broken_ = true;
    co_return fail(ErrorCode::io, "the connection broke");
  }
  std::string text;
  while (true) {
    const std::size_t have = text.size();
    if (have > size_bytes_max) co_return fail(ErrorCode::invalid, "the request's body is longer than " + std::to_string(size_bytes_max) + " bytes");
    text.resize(have + 4 * limits::KiB);
    const BodyRead piece = co_await read_body(std::as_writable_bytes(std::span(text).subspan(have)));
    text.resize(have + piece.size_bytes);
    if (piece.end == BodyRead::End::complete) co_return text;
    if (piece.end == BodyRead::End::cut) co_return fail(ErrorCode::io, "the connection broke");
    if (piece.end == BodyRead::End::malformed) co_return fail(ErrorCode::invalid, std::string(body_failure()));
  }
}

ResponseHead& Exchange::begin_response(int status) {
  response_.begin(status, worker.date);
  return response_.add("x-amz-request-id", request_id_);
}

void Exchange::finish_head() {
  // What the client still sends must be read before the next request, unless it is too much or may never come.
  const bool body_readable = reader_.body_left() <= limits::kHttpSmallObjectBytesMax && !(continue_owed_ && reader_.body_left() > 0);
  keep_alive_ = head.keep_alive && body_readable && !close_ && !server.draining.load(std::memory_order_relaxed);
  response_.finish(keep_alive_, head.minor_version);
  responded_ = true;
}

Task<> Exchange::send(std::string_view body) {
  return send(bytes_of(body));
}

Task<> Exchange::send(std::span<const std::byte> body) {
  if (!send_at_once(body)) co_await send_rest();
}

bool Exchange::send_at_once(std::span<const std::byte> body) {
  const bool without_body = response_.status() == 204 || response_.status() == 304;
  if (!without_body) response_.add("Content-Length", body.size());
  finish_head();
  if (head.method == Method::head || without_body) body = {};
  bytes_out_ += body.size();
  const auto text = bytes_of(response_.text());
  const std::size_t sent = transport_.send_now(response_.text(), body, false);
  if (sent == SIZE_MAX) broken_ = true;
  if (sent == SIZE_MAX || sent == text.size() + body.size()) return true;
  const auto head_left = text.subspan(std::min(sent, text.size()));
  const auto body_left = body.subspan(sent - std::min(sent, text.size()));
  rest_.assign(head_left.begin(), head_left.end());
  rest_.insert(rest_.end(), body_left.begin(), body_left.end());
  return false;
}

Task<> Exchange::send_rest() {
  broken_ = !co_await transport_.send(rest_, false);
  rest_ = {};
}

Task<bool> Exchange::send_head(bool body_follows) {
  finish_head();
  broken_ = !co_await transport_.send(bytes_of(response_.text()), body_follows);
  co_return !broken_;
}

Task<bool> Exchange::send_piece(std::span<const std::byte> bytes) {
  broken_ = !co_await transport_.send(bytes, false);
  if (!broken_) bytes_out_ += bytes.size();
  co_return !broken_;
}

Task<bool> Exchange::send_file(const base::File& file, std::uint64_t offset, std::uint64_t length_bytes) {
  broken_ = !co_await transport_.send_file(file.descriptor(), offset, length_bytes);
  if (!broken_) bytes_out_ += length_bytes;
  co_return !broken_;
}

void Exchange::cut() noexcept {
  broken_ = true;
  transport_.cut();
}

Task<> Exchange::send_json(int status, base::Json value) {
  begin_response(status).add("Content-Type", "application/json");
  const std::string text = base::pretty_json(value);
  co_await send(std::string_view(text));
}

Task<> Exchange::send_xml(int status, std::string text) {
  begin_response(status).add("Content-Type", "application/xml");
  co_await send(std::string_view(text));
}

std::string Exchange::error_text(const s3::ApiError& error) const {
  if (!speaks_json()) return s3::error_xml(error, target.path, request_id_);
  return base::pretty_json(base::JsonObject{{"status", error.status},
                                            {"message", error.message},
                                            {"code", error.code},
                                            {"method", head.method_text},
                                            {"url_path", target.path},
                                            {"remote_addr", peer()},
                                            {"caller", ""},
                                            {"node", std::to_string(server.service.rank())}});
}

ResponseHead& Exchange::begin_refusal(const s3::ApiError& error) {
  auto& response = begin_response(error.status).add("Content-Type", speaks_json() ? "application/json" : "application/xml");
  if (error.status == 503) response.add("Retry-After", kRetryAfterSeconds);
  if (error.status == 401) response.add("WWW-Authenticate", "Bearer realm=\"tarn\"");
  return response;
}

Task<> Exchange::refuse(s3::ApiError error) {
  if (broken_) co_return;
  begin_refusal(error);
  const std::string text = error_text(error);
  co_await send(std::string_view(text));
}

Task<> Exchange::refuse(const Error& error) {
  return refuse(s3::api_error(error));
}

Task<> Exchange::refuse_range(std::uint64_t size_bytes) {
  const s3::ApiError error{416, "InvalidRange", "the range begins behind the object's end, at byte " + std::to_string(size_bytes)};
  begin_refusal(error).add("Content-Range", "bytes */" + std::to_string(size_bytes));
  const std::string text = error_text(error);
  co_await send(std::string_view(text));
}

Task<> Exchange::refuse_unread(s3::ApiError error) {
  head = {};
  head.keep_alive = false;
  target.path = {};
  target.name = {};
  begin();
  close_after();
  co_await refuse(std::move(error));
  end();
}

}  // namespace tarn::http
