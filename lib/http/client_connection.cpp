#include "http/client_connection.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <optional>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace tarn::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using Parser = beast::http::response_parser<beast::http::buffer_body>;

constexpr std::size_t kPieceBytes = limits::MiB;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

}  // namespace

std::string_view ClientResponse::header(std::string_view lower_name) const {
  const auto found = headers.find(lower_name);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

/// Operations are asynchronous inside, run to completion one by one: that is how tcp_stream gives them deadlines.
class ClientConnection::Impl {
 public:
  Impl(Authority server, std::chrono::milliseconds timeout) : server_(std::move(server)), timeout_(timeout) {}

  Result<void> connect();
  Result<ClientResponse> exchange(const ClientRequest& request);
  Result<std::size_t> read_body(std::span<std::byte> target);

  [[nodiscard]] bool reusable() const noexcept { return !broken_ && body_done_ && keep_alive_ && incoming_.size() == 0; }
  [[nodiscard]] bool answered() const noexcept { return answered_; }
  [[nodiscard]] const Authority& server() const noexcept { return server_; }

 private:
  /// Starts one operation and waits for it.
  template <class Start>
  error_code run(Start&& start) {
    error_code outcome = asio::error::would_block;
    stream_.expires_after(timeout_);
    start([&outcome](const error_code& error, auto&&...) { outcome = error; });
    io_.restart();
    io_.run();
    return outcome;
  }
  Error failure(const error_code& error, std::string_view operation);
  std::string head_text(const ClientRequest& request) const;
  Result<void> send(const ClientRequest& request);
  Result<void> send_body(const ClientRequest& request, std::string head);
  error_code write(std::string_view head, std::span<const std::byte> piece, std::string_view tail);
  Result<void> read_head(bool is_head_request);
  ClientResponse take_response(bool is_head_request);
  Result<std::size_t> read_parsed(std::span<std::byte> target);

  Authority server_;
  std::chrono::milliseconds timeout_;
  asio::io_context io_{1};
  beast::tcp_stream stream_{io_};
  beast::flat_buffer incoming_;
  std::optional<Parser> parser_;
  std::vector<std::byte> piece_;
  std::optional<std::uint64_t> remaining_;  // of a body with a Content-Length, read without the parser
  bool body_done_ = true;
  bool keep_alive_ = true;
  bool broken_ = false;
  bool answered_ = false;
  bool source_failed_ = false;  // the body could not be read here
};

Error ClientConnection::Impl::failure(const error_code& error, std::string_view operation) {
  broken_ = true;
  const std::string where = "http://" + server_.text();
  if (error == beast::error::timeout)
    return Error(ErrorCode::timeout, where + " did not answer within " + std::to_string(timeout_.count() / 1000) + " s");
  if (error == beast::http::error::end_of_stream || error == asio::error::eof || error == beast::http::error::partial_message)
    return Error(ErrorCode::io, where + " closed the connection " + (answered_ ? "in the middle of its answer" : "without an answer"));
  return Error(ErrorCode::io, std::string(operation) + " " + where + ": " + error.message());
}

Result<void> ClientConnection::Impl::connect() {
  error_code error;
  std::vector<asio::ip::tcp::endpoint> endpoints;
  const auto address = asio::ip::make_address(server_.host, error);
  if (!error) {
    endpoints.emplace_back(address, server_.port);
  } else {
    asio::ip::tcp::resolver resolver(io_);
    for (const auto& entry : resolver.resolve(server_.host, std::to_string(server_.port), error)) endpoints.push_back(entry.endpoint());
    if (error) return fail(ErrorCode::rank_lost, "cannot find http://" + server_.text() + ": " + error.message());
  }
  error = run([&](auto handler) { stream_.async_connect(endpoints, std::move(handler)); });
  if (error) return fail(ErrorCode::rank_lost, "cannot reach http://" + server_.text() + ": " + error.message());
  error_code ignored;
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  return {};
}

std::string ClientConnection::Impl::head_text(const ClientRequest& request) const {
  std::string head = request.method + " " + request.target + " HTTP/1.1\r\nHost: " + server_.text() + "\r\n";
  for (const auto& [name, value] : request.headers) head.append(name).append(": ").append(value).append("\r\n");
  if (request.body != nullptr) {
    const auto size = request.body->size();
    head += size ? "Content-Length: " + std::to_string(*size) + "\r\n" : "Transfer-Encoding: chunked\r\n";
    if (request.expect_continue) head += "Expect: 100-continue\r\n";
  } else if (request.method != "GET" && request.method != "HEAD") {
    head += "Content-Length: 0\r\n";
  }
  return head.append("\r\n");
}

error_code ClientConnection::Impl::write(std::string_view head, std::span<const std::byte> piece, std::string_view tail) {
  const std::array<asio::const_buffer, 3> buffers{asio::buffer(head.data(), head.size()), asio::buffer(piece.data(), piece.size()),
                                                  asio::buffer(tail.data(), tail.size())};
  return run([&](auto handler) { asio::async_write(stream_, buffers, std::move(handler)); });
}

/// Sends the body; `head` goes out with its first piece, so that a small object is one segment.
Result<void> ClientConnection::Impl::send_body(const ClientRequest& request, std::string head) {
  const auto size = request.body->size();
  piece_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, size ? std::max<std::uint64_t>(*size, 1) : kPieceBytes)));
  for (std::uint64_t sent = 0; !size || sent < *size;) {
    auto count = request.body->read(piece_);
    if (!count) {
      source_failed_ = broken_ = true;  // the server waits for the rest
      return fail(std::move(count).error());
    }
    if (!size) {
      char line[32];
      head.append(line, static_cast<std::size_t>(std::snprintf(line, sizeof line, "%zx\r\n", *count)));
    } else if (*count == 0) {
      source_failed_ = broken_ = true;
      return fail(ErrorCode::corrupt, "the body ended before its announced size");
    }
    const auto error = write(head, std::span(piece_).first(*count), size ? "" : "\r\n");
    if (error) return fail(failure(error, "send to"));
    head.clear();
    sent += *count;
    if (!size && *count == 0) return {};
  }
  if (head.empty()) return {};
  const auto error = write(head, {}, "");  // an empty body
  return error ? Result<void>(fail(failure(error, "send to"))) : Result<void>();
}

Result<void> ClientConnection::Impl::send(const ClientRequest& request) {
  std::string head = head_text(request);
  if (request.body == nullptr || request.expect_continue) {
    if (const auto error = write(head, {}, "")) return fail(failure(error, "send to"));
    head.clear();
  }
  if (request.body == nullptr) return {};
  if (request.expect_continue) {
    TARN_CHECK(read_head(false));
    if (parser_->get().result_int() != 100) return {};  // refused or redirected: the body stays here
    parser_.reset();
  }
  return send_body(request, std::move(head));
}

Result<void> ClientConnection::Impl::read_head(bool is_head_request) {
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(limits::kHttpHeaderBytesMax));
  parser_->body_limit(boost::none);
  if (is_head_request) parser_->skip(true);
  const auto error = run([&](auto handler) { beast::http::async_read_header(stream_, incoming_, *parser_, std::move(handler)); });
  if (incoming_.size() > 0 || parser_->got_some()) answered_ = true;
  if (error) return fail(failure(error, "read from"));
  answered_ = true;
  return {};
}

ClientResponse ClientConnection::Impl::take_response(bool is_head_request) {
  ClientResponse response;
  response.status = parser_->get().result_int();
  for (const auto& field : parser_->get())
    response.headers[lower({field.name_string().data(), field.name_string().size()})] = std::string(field.value());
  keep_alive_ = parser_->keep_alive();
  remaining_.reset();
  const bool bodyless = is_head_request || response.status == 204 || response.status == 304;
  if (const auto length = parser_->content_length(); bodyless || length) remaining_ = bodyless ? 0 : *length;
  body_done_ = remaining_ == 0U || (!remaining_ && parser_->is_done());
  return response;
}

Result<ClientResponse> ClientConnection::Impl::exchange(const ClientRequest& request) {
  answered_ = false;
  body_done_ = false;
  parser_.reset();
  auto sent = send(request);
  const bool is_head_request = request.method == "HEAD";
  const bool head_is_here = parser_.has_value();  // after Expect: 100-continue
  if (!sent) {
    // The server may have answered and closed before taking the whole body: its reason is the better error.
    if (source_failed_ || request.body == nullptr || head_is_here) return fail(std::move(sent).error());
    if (!read_head(is_head_request)) return fail(std::move(sent).error());
  } else if (!head_is_here) {
    do {
      TARN_CHECK(read_head(is_head_request));
    } while (parser_->get().result_int() / 100 == 1);
  } else if (request.expect_continue) {
    broken_ = true;  // the server may or may not wait for the body that we announced (RFC 9110, 10.1.1)
  }
  return take_response(is_head_request);
}

Result<std::size_t> ClientConnection::Impl::read_parsed(std::span<std::byte> target) {
  while (!parser_->is_done()) {
    auto& body = parser_->get().body();
    body.data = target.data();
    body.size = target.size();
    body.more = true;
    auto error = run([&](auto handler) { beast::http::async_read_some(stream_, incoming_, *parser_, std::move(handler)); });
    if (error == beast::http::error::need_buffer) error = {};
    if (error) return fail(failure(error, "read from"));
    if (const std::size_t count = target.size() - body.size; count > 0) return count;
  }
  body_done_ = true;
  return 0;
}

Result<std::size_t> ClientConnection::Impl::read_body(std::span<std::byte> target) {
  if (body_done_ || target.empty()) return 0;
  if (!remaining_) return read_parsed(target);
  auto count = static_cast<std::size_t>(std::min<std::uint64_t>(target.size(), *remaining_));
  if (incoming_.size() > 0) {
    count = std::min(count, incoming_.size());
    std::memcpy(target.data(), incoming_.data().data(), count);
    incoming_.consume(count);
  } else {
    std::size_t received = 0;
    error_code outcome = asio::error::would_block;
    stream_.expires_after(timeout_);
    stream_.async_read_some(asio::buffer(target.data(), count), [&](const error_code& error, std::size_t bytes) {
      outcome = error;
      received = bytes;
    });
    io_.restart();
    io_.run();
    if (outcome) return fail(failure(outcome, "read from"));
    count = received;
  }
  *remaining_ -= count;
  body_done_ = *remaining_ == 0;
  return count;
}

ClientConnection::ClientConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClientConnection::~ClientConnection() = default;

Result<std::unique_ptr<ClientConnection>> ClientConnection::connect(const Authority& server, std::chrono::milliseconds timeout) {
  auto impl = std::make_unique<Impl>(server, timeout);
  TARN_CHECK(impl->connect());
  return std::unique_ptr<ClientConnection>(new ClientConnection(std::move(impl)));
}

Result<ClientResponse> ClientConnection::exchange(const ClientRequest& request) {
  return impl_->exchange(request);
}
Result<std::size_t> ClientConnection::read_body(std::span<std::byte> target) {
  return impl_->read_body(target);
}
bool ClientConnection::reusable() const noexcept {
  return impl_->reusable();
}
bool ClientConnection::answered() const noexcept {
  return impl_->answered();
}
const Authority& ClientConnection::server() const noexcept {
  return impl_->server();
}

}  // namespace tarn::http
