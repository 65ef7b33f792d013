#include "http/redirect_rule.hpp"

namespace tarn::http {

namespace {

struct Client {
  std::string_view agent;  // how its User-Agent begins, or holds after a space
  ClientHabits habits;
};

// The first entry that matches counts. Not in the list, because they follow nothing: boto3, awscli (Botocore, aws-cli),
// minio-go, mc and warp (MinIO), s3cmd, s3torchconnector (CRT), AWS for Java, HDF5's ros3.
// Python-requests sends a body that comes from a generator as an empty one after a 307, but never waits for 100 Continue.
constexpr Client kClients[] = {
    {"tarn/", {true, true, true}},
    {"curl/", {true, true, false}},  // also WebDataset's "pipe:curl -L"
    {"libcurl/", {true, true, false}},
    {"Wget/", {true, false, false}},
    {"python-requests/", {true, true, false}},
    {"aiobotocore/", {true, true, false}},  // s3fs; its agent names Botocore as well
    {"aiohttp/", {true, true, false}},      // fsspec, as "Python/3.11 aiohttp/3.8"
    {"Python-urllib/", {true, false, false}},
    {"rclone/", {true, false, false}},          // sends an empty body to where it was redirected
    {"aws-sdk-go-v2/", {true, false, false}},   //
    {"aws-sdk-go/", {true, true, false}},       // s5cmd
    {"aws-sdk-cpp/", {true, true, false}},      // pyarrow
    {"duckdb/", {true, true, false}},           //
    {"object_store/", {true, false, false}},    // arrow-rs: Polars, DataFusion
    {"Go-http-client/", {true, false, false}},  // aisloader
};

bool names(std::string_view user_agent, std::string_view client) noexcept {
  for (std::size_t at = 0; at + client.size() <= user_agent.size(); ++at) {
    if (at > 0 && user_agent[at - 1] != ' ') continue;
    if (equal_ignoring_case(user_agent.substr(at, client.size()), client)) return true;
  }
  return false;
}

bool may_redirect(const RequestHead& head) noexcept {
  const ClientHabits habits = habits_of(head.find("User-Agent").value_or(std::string_view()));
  if (head.method == Method::get) return habits.follows_get;
  if (head.method != Method::put) return false;
  return habits.ours || (habits.follows_put && head.expect_continue);
}

}  // namespace

ClientHabits habits_of(std::string_view user_agent) noexcept {
  for (const auto& client : kClients)
    if (names(user_agent, client.agent)) return client.habits;
  return {};
}

Handling choose_handling(const RequestHead& head, const object::Location& where, RedirectPolicy policy) noexcept {
  if (where.here) return Handling::serve;
  const Handling without_redirect = where.same_node && head.method == Method::get ? Handling::serve : Handling::proxy;
  // A client may take the length of a redirected HEAD for the object's size; the answer is small anyway.
  const bool redirectable = head.method == Method::get || head.method == Method::put;
  if (!redirectable || policy == RedirectPolicy::never) return without_redirect;
  if (policy == RedirectPolicy::always) return Handling::redirect;
  if (without_redirect == Handling::serve) return Handling::serve;
  return may_redirect(head) ? Handling::redirect : without_redirect;
}

bool survives_in_url(std::string_view key) noexcept {
  while (true) {
    const auto slash = key.find('/');
    const auto segment = key.substr(0, slash);
    if (segment == "." || segment == "..") return false;
    if (slash == std::string_view::npos) return true;
    key.remove_prefix(slash + 1);
  }
}

}  // namespace tarn::http
