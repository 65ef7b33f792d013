#include "http/access.hpp"

#include <string>

#include "base/text.hpp"

namespace tarn::http {

namespace {

using Verdict = s3::RedirectSigner::Verdict;

std::string where_the_token_is(const Server& server) {
  const std::string place = server.auth.token_file.empty() ? "the store's endpoint.json" : server.auth.token_file;
  return "send 'Authorization: Bearer TOKEN' with the token that stands in " + place;
}

s3::ApiError denied(int status, std::string message) {
  return {status, "AccessDenied", std::move(message)};
}

/// nullopt: the token is right.
std::optional<s3::ApiError> check_token(const Server& server, const RequestHead& head) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto field = head.find("Authorization");
  if (!field) return denied(401, "this store asks for a token: " + where_the_token_is(server));
  if (field->size() < kScheme.size() || !equal_ignoring_case(field->substr(0, kScheme.size()), kScheme))
    return denied(403, "only bearer tokens are taken here: " + where_the_token_is(server));
  if (!s3::equal_in_constant_time(field->substr(kScheme.size()), server.auth.token))
    return denied(403, "the token is not that of this store: " + where_the_token_is(server));
  return std::nullopt;
}

}  // namespace

Access check_access(Worker& worker, const RequestHead& head, const Target& target) {
  const Server& server = worker.server;
  Access access;
  const std::int64_t now_s = target.parameters.empty() ? 0 : base::now_ns() / 1'000'000'000;
  const auto grant = worker.signer.check(target.parameters, head.method_text, target.name.bucket, target.name.key, now_s);
  if (grant.verdict == Verdict::valid) {
    access.grant_epoch = grant.epoch;
    return access;
  }
  if (server.options.anonymous) return access;
  access.refusal = check_token(server, head);
  if (!access.refusal) return access;
  if (grant.verdict == Verdict::expired)
    access.refusal = denied(403, "this address was good for 60 seconds after a redirect; ask the rank that gave it again");
  if (grant.verdict == Verdict::wrong)
    access.refusal = s3::ApiError{403, "SignatureDoesNotMatch", "the signature in this address was not made by this store for this request"};
  return access;
}

}  // namespace tarn::http
