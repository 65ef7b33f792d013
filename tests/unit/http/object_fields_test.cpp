// Object metadata to and from header fields; digests of bodies.
#include "http/object_fields.hpp"

#include <catch2/catch.hpp>

#include <string>

#include "http/body_checks.hpp"

using namespace tarn;
using namespace tarn::http;

namespace {

RequestHead head_of(std::vector<HeaderField> fields) {
  RequestHead head;
  head.fields = std::move(fields);
  return head;
}

std::string refusal(std::string_view name, std::string_view value) {
  const auto options = put_options_of(head_of({{name, value}}));
  return options ? "" : options.error().code;
}

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

TEST_CASE("put_options_of: metadata and standard fields", "[http][fields]") {
  const auto options = put_options_of(head_of({{"Content-Type", "image/png"},
                                               {"X-Amz-Meta-Class", "cat"},
                                               {"x-amz-meta-class", "dog"},
                                               {"Cache-Control", "no-cache"},
                                               {"Content-Encoding", "gzip"},
                                               {"x-amz-acl", "private"},
                                               {"Authorization", "Bearer x"}}));
  REQUIRE(options);
  CHECK(options->content_type == "image/png");
  CHECK(options->user_metadata ==
        std::map<std::string, std::string>{{"class", "cat,dog"}, {"@cache-control", "no-cache"}, {"@content-encoding", "gzip"}});
}

TEST_CASE("put_options_of: what this version does not do is said", "[http][fields]") {
  for (const std::string_view name : {"x-amz-copy-source", "x-amz-tagging", "x-amz-server-side-encryption", "x-amz-checksum-crc32", "x-amz-trailer",
                                      "If-None-Match", "If-Match", "Content-Range", "x-amz-object-lock-mode", "x-amz-website-redirect-location"}) {
    CAPTURE(name);
    CHECK(refusal(name, "x") == "NotImplemented");
  }
  CHECK(refusal("x-amz-acl", "public-read") == "NotImplemented");
  CHECK(refusal("x-amz-storage-class", "GLACIER") == "NotImplemented");
  CHECK(refusal("Content-Encoding", "aws-chunked,gzip") == "NotImplemented");
  CHECK(refusal("x-amz-meta-a", std::string(3000, 'x')) == "MetadataTooLarge");
}

TEST_CASE("add_object_fields: metadata comes back, what no header can carry is counted", "[http][fields]") {
  ObjectInfo info;
  info.user_metadata = {{"class", "cat"}, {"@cache-control", "no-cache"}, {"bad\nname", "x"}, {"evil", "a\r\nSet-Cookie: b"}, {"with space", "x"}};
  ResponseHead response;
  DateCache date;
  response.begin(200, date);
  add_object_fields(response, info, "\"tag\"");
  response.finish(true, 1);
  const std::string text(response.text());
  CHECK(text.find("x-amz-meta-class: cat\r\n") != std::string::npos);
  CHECK(text.find("Cache-Control: no-cache\r\n") != std::string::npos);
  CHECK(text.find("Content-Type: application/octet-stream\r\n") != std::string::npos);
  CHECK(text.find("x-amz-missing-meta: 3\r\n") != std::string::npos);
  CHECK(text.find("Set-Cookie") == std::string::npos);
}

TEST_CASE("ResponseHead: nobody's value ends a field", "[http][fields]") {
  ResponseHead response;
  DateCache date;
  response.begin(200, date);
  response.add("X", "a\r\nY: b");
  response.finish(false, 1);
  CHECK(std::string(response.text()).find("X: a  Y: b\r\nConnection: close\r\n\r\n") != std::string::npos);
}

TEST_CASE("BodyChecks: digests that are right, wrong, malformed", "[http][fields]") {
  const auto outcome = [](std::string_view name, std::string_view value) -> std::string {
    auto checks = BodyChecks::of(head_of({{name, value}}));
    if (!checks) return checks.error().code;
    checks->update(bytes("hel"));
    checks->update(bytes("lo"));
    const auto error = checks->finish();
    return error ? error->code : "";
  };
  // printf hello | openssl md5 -binary | base64, and so on
  CHECK(outcome("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==") == "");
  CHECK(outcome("Content-MD5", "XUFAKrxLKna5cZ2REBfFkA==") == "BadDigest");
  CHECK(outcome("Content-MD5", "short") == "InvalidDigest");
  CHECK(outcome("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=") == "");
  CHECK(outcome("x-amz-checksum-sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=") == "");
  CHECK(outcome("x-amz-content-sha256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824") == "");
  CHECK(outcome("x-amz-content-sha256", std::string(64, '0')) == "XAmzContentSHA256Mismatch");
  CHECK(outcome("x-amz-content-sha256", "UNSIGNED-PAYLOAD") == "");
  CHECK(outcome("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") == "NotImplemented");
}
