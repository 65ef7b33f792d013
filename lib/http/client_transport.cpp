#include "http/client_transport.hpp"

#include <array>
#include <utility>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/limits.hpp"
#include "base/version.hpp"
#include "s3/list_parse.hpp"

namespace tarn::http {

namespace {

constexpr int kRedirectsMax = 5;
constexpr std::size_t kIdlePerServerMax = 64;
constexpr std::size_t kTextBytesMax = 64 * limits::MiB;

/// What the store called the error: our own header, else S3's code, else the status alone.
ErrorCode code_of(const ClientResponse& response, std::string_view s3_code) {
  if (const auto own = response.header("x-tarn-error"); !own.empty()) return base::error_code_of(own);
  if (s3_code == "BucketAlreadyExists" || s3_code == "BucketAlreadyOwnedByYou") return ErrorCode::exists;
  if (s3_code == "BucketNotEmpty") return ErrorCode::busy;
  if (response.status == 500) return ErrorCode::io;  // InternalError is the S3 code of several
  for (int i = 0; i <= static_cast<int>(ErrorCode::internal); ++i) {
    const auto& row = base::error_row(static_cast<ErrorCode>(i));
    if (row.s3_code == s3_code && row.http_status == static_cast<int>(response.status)) return row.code;
  }
  switch (response.status) {
    case 401:
    case 403:
      return ErrorCode::denied;
    case 404:
      return ErrorCode::not_found;
    case 409:
      return ErrorCode::exists;
    case 416:
      return ErrorCode::out_of_range;
    case 501:
      return ErrorCode::unsupported;
    case 503:
      return ErrorCode::busy;
    case 507:
      return ErrorCode::no_space;
    default:
      return response.status / 100 == 4 ? ErrorCode::invalid : ErrorCode::io;
  }
}

/// The sentence in an answer's body: S3's XML, JSON with "message", or the "troubles" of /-/health.
std::string message_of(std::string_view body) {
  if (const auto error = s3::parse_error(body)) return error->message;
  const auto json = base::parse_json(body, "answer");
  if (!json || !json->is_object()) return {};
  std::string text = base::json_string(*json, "message").value_or("");
  const base::Json* troubles = json->get_object().if_contains("troubles");
  if (troubles == nullptr || !troubles->is_array()) return text;
  for (const base::Json& trouble : troubles->get_array())
    if (trouble.is_string()) text.append(text.empty() ? "" : "; ").append(trouble.get_string());
  return text;
}

}  // namespace

ClientTransport::ClientTransport(const Endpoint& endpoint, std::chrono::milliseconds timeout)
    : endpoint_file_(endpoint.file), token_(endpoint.token), timeout_(timeout) {
  for (const std::string& url : endpoint.urls)
    if (const auto split = split_url(url)) ranks_.insert(split->authority);
}

Result<ClientTransport::Lease> ClientTransport::lease(const Authority& server, bool fresh) {
  if (!fresh) {
    const std::lock_guard lock(mutex_);
    if (const auto found = idle_.find(server); found != idle_.end()) {
      Lease lease{std::move(found->second), false};
      idle_.erase(found);
      return lease;
    }
  }
  TARN_TRY(auto connection, ClientConnection::connect(server, timeout_));
  return Lease{std::move(connection), true};
}

void ClientTransport::give_back(std::unique_ptr<ClientConnection> connection) {
  if (!connection->reusable()) return;
  const Authority server = connection->server();
  const std::lock_guard lock(mutex_);
  if (idle_.count(server) < kIdlePerServerMax) idle_.emplace(server, std::move(connection));
}

Result<ClientAnswer> ClientTransport::send(const Authority& server, const ClientRequest& request) {
  ClientRequest complete = request;
  complete.headers.emplace_back("User-Agent", "tarn/" + std::string(base::version()));
  if (!token_.empty() && ranks_.contains(server)) complete.headers.emplace_back("Authorization", "Bearer " + token_);
  const bool repeatable = request.method != "POST";
  TARN_TRY(Lease lease, this->lease(server, !repeatable));
  auto response = lease.connection->exchange(complete);
  // A server closes idle connections when it likes to; what it has not answered at all it has not done.
  if (!response && !lease.fresh && !lease.connection->answered() && (request.body == nullptr || request.body->rewind())) {
    TARN_TRY(lease, this->lease(server, true));
    response = lease.connection->exchange(complete);
  }
  if (!response) return fail(std::move(response).error());
  return ClientAnswer{std::move(lease.connection), std::move(*response)};
}

Result<ClientAnswer> ClientTransport::follow(ClientAnswer answer, ClientRequest request, std::string_view what) {
  for (int hops = 0; answer.response.status == 307 || answer.response.status == 308; ++hops) {
    const std::string location(answer.response.header("location"));
    if (hops == kRedirectsMax) return fail(ErrorCode::io, std::string(what) + ": the ranks redirect in a circle, last to " + location);
    TARN_TRY(const SplitUrl next, split_url(location));
    if (request.body != nullptr && !request.body->rewind())
      return fail(ErrorCode::unsupported, std::string(what) + ": the body cannot be sent again to " + next.authority.text());
    request.target = next.target;
    TARN_CHECK(read_text(std::move(answer)));
    TARN_TRY(answer, send(next.authority, request));
  }
  return answer;
}

Result<ClientAnswer> ClientTransport::request(const std::vector<std::string>& urls, ClientRequest request, std::string_view what) {
  std::optional<Error> unreachable;
  for (const std::string& url : urls) {
    TARN_TRY(const SplitUrl split, split_url(url));
    auto answer = send(split.authority, request);
    if (!answer) {
      const bool again = request.method != "POST" && (request.body == nullptr || request.body->rewind());
      if ((answer.error().code != ErrorCode::rank_lost && answer.error().code != ErrorCode::io) || !again) return answer;
      if (!unreachable) unreachable = answer.error();
      continue;
    }
    TARN_TRY(*answer, follow(std::move(*answer), request, what));
    if (answer->response.status / 100 == 2) return answer;
    return fail(store_error(std::move(*answer), what));
  }
  if (!unreachable) return fail(ErrorCode::invalid, "endpoint file " + endpoint_file_ + " names no endpoints");
  if (unreachable->code == ErrorCode::rank_lost) unreachable->message += "; is the store still running? Its address is from " + endpoint_file_;
  return fail(std::move(*unreachable));
}

Result<std::string> ClientTransport::read_text(ClientAnswer answer) {
  std::string text;
  std::array<std::byte, 16 * limits::KiB> buffer;
  for (;;) {
    TARN_TRY(const std::size_t count, answer.connection->read_body(buffer));
    if (count == 0) break;
    if (text.size() + count > kTextBytesMax) return fail(ErrorCode::invalid, "the store's answer is longer than 64 MiB");
    text.append(reinterpret_cast<const char*>(buffer.data()), count);
  }
  give_back(std::move(answer.connection));
  return text;
}

Error ClientTransport::store_error(ClientAnswer answer, std::string_view what) {
  const ClientResponse response = answer.response;
  const std::string server = answer.connection->server().text();
  const std::string body = read_text(std::move(answer)).value_or("");
  const auto s3_error = s3::parse_error(body);
  const ErrorCode code = code_of(response, s3_error ? s3_error->code : "");
  if (response.status == 401 || response.status == 403)
    return Error(ErrorCode::denied, std::string(what) + ": the store at " + server + " refuses the token of " + endpoint_file_ +
                                        "; is the file from this run of the store? " + message_of(body));
  std::string text = message_of(body);
  if (text.empty()) text = std::string(to_string(code)) + " (HTTP " + std::to_string(response.status) + " from " + server + ")";
  return Error(code, std::string(what) + ": " + text);
}

}  // namespace tarn::http
