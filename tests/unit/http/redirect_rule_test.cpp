// Who is redirected, for which verb, under which policy.
#include "http/redirect_rule.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace tarn;
using namespace tarn::http;

namespace {

constexpr object::Location kHere{0, true, true};
constexpr object::Location kNeighbour{1, false, true};
constexpr object::Location kElsewhere{1, false, false};

RequestHead head_of(Method method, std::string_view agent, bool expect = false) {
  RequestHead head;
  head.method = method;
  head.expect_continue = expect;
  head.fields.push_back({"User-Agent", agent});
  return head;
}

Handling automatic(Method method, std::string_view agent, bool expect = false) {
  return choose_handling(head_of(method, agent, expect), kElsewhere, RedirectPolicy::automatic);
}

}  // namespace

TEST_CASE("choose_handling: GET follows what was measured of each client", "[http][redirect]") {
  for (const std::string_view agent :
       {"curl/7.88.1", "Wget/1.21.3", "python-requests/2.28.1", "Python/3.11 aiohttp/3.8.4", "aiobotocore/2.7 md/Botocore#1.31", "aws-sdk-go-v2/1.21",
        "aws-sdk-go/1.44 (go1.20)", "rclone/v1.60.1-DEV", "aws-sdk-cpp/1.9", "duckdb/v1.0", "object_store/0.9", "tarn/0.1.0"}) {
    CAPTURE(agent);
    CHECK(automatic(Method::get, agent) == Handling::redirect);
  }
  for (const std::string_view agent :
       {"", "Boto3/1.26 Botocore/1.29", "aws-cli/2.9", "MinIO (linux; amd64) minio-go/v7.0", "s3cmd/2.3", "Mozilla/5.0", "libcurlx/1", "xcurl/1"}) {
    CAPTURE(agent);
    CHECK(automatic(Method::get, agent) == Handling::proxy);
  }
}

TEST_CASE("choose_handling: PUT only before a body and for those that send it again", "[http][redirect]") {
  CHECK(automatic(Method::put, "curl/7.88.1", true) == Handling::redirect);
  CHECK(automatic(Method::put, "curl/7.88.1", false) == Handling::proxy);
  CHECK(automatic(Method::put, "tarn/0.1.0", false) == Handling::redirect);
  CHECK(automatic(Method::put, "rclone/v1.60.1", true) == Handling::proxy);
  CHECK(automatic(Method::put, "aws-sdk-go-v2/1.21", true) == Handling::proxy);
  CHECK(automatic(Method::put, "Boto3/1.26 Botocore/1.29", true) == Handling::proxy);
  CHECK(automatic(Method::put, "python-requests/2.28.1", false) == Handling::proxy);
}

TEST_CASE("choose_handling: HEAD and DELETE are never redirected", "[http][redirect]") {
  for (const auto policy : {RedirectPolicy::automatic, RedirectPolicy::always, RedirectPolicy::never})
    for (const Method method : {Method::head, Method::remove})
      CHECK(choose_handling(head_of(method, "curl/8"), kElsewhere, policy) == Handling::proxy);
}

TEST_CASE("choose_handling: places and policies", "[http][redirect]") {
  const auto get = head_of(Method::get, "curl/8");
  const auto put = head_of(Method::put, "curl/8", true);
  CHECK(choose_handling(get, kHere, RedirectPolicy::always) == Handling::serve);
  CHECK(choose_handling(get, kNeighbour, RedirectPolicy::automatic) == Handling::serve);
  CHECK(choose_handling(get, kNeighbour, RedirectPolicy::always) == Handling::redirect);
  CHECK(choose_handling(get, kNeighbour, RedirectPolicy::never) == Handling::serve);
  CHECK(choose_handling(get, kElsewhere, RedirectPolicy::never) == Handling::proxy);
  CHECK(choose_handling(put, kNeighbour, RedirectPolicy::automatic) == Handling::redirect);
  CHECK(choose_handling(put, kNeighbour, RedirectPolicy::never) == Handling::proxy);
  CHECK(choose_handling(head_of(Method::get, "Boto3/1"), kElsewhere, RedirectPolicy::always) == Handling::redirect);
}

TEST_CASE("survives_in_url: dot segments do not", "[http][redirect]") {
  for (const std::string_view key : {"a", "a/b", "..a", "a../b", "...", "a//b", "/"}) CHECK(survives_in_url(key));
  for (const std::string_view key : {".", "..", "a/../b", "./a", "a/.", "a/b/.."}) CHECK_FALSE(survives_in_url(key));
}
