#include "http/body_checks.hpp"

#include <array>
#include <string_view>

namespace tarn::http {

namespace {

struct Known {
  std::string_view field;
  s3::DigestKind kind;
  std::size_t length;  // of the text
  bool hex;
};
constexpr std::array<Known, 4> kKnown{{{"Content-MD5", s3::DigestKind::md5, 24, false},
                                       {"x-amz-checksum-sha1", s3::DigestKind::sha1, 28, false},
                                       {"x-amz-checksum-sha256", s3::DigestKind::sha256, 44, false},
                                       {"x-amz-content-sha256", s3::DigestKind::sha256, 64, true}}};

tl::unexpected<s3::ApiError> refuse(int status, std::string code, std::string message) {
  return tl::unexpected<s3::ApiError>(s3::ApiError{status, std::move(code), std::move(message)});
}

}  // namespace

tl::expected<BodyChecks, s3::ApiError> BodyChecks::of(const RequestHead& head) {
  BodyChecks checks;
  for (const auto& known : kKnown) {
    const auto value = head.find(known.field);
    if (!value || *value == "UNSIGNED-PAYLOAD") continue;
    if (value->starts_with("STREAMING-"))
      return refuse(501, "NotImplemented", "bodies that are signed chunk by chunk are not something this version takes; send the plain body");
    if (value->size() != known.length) return refuse(400, "InvalidDigest", "the value of " + std::string(known.field) + " is malformed");
    checks.checks_.push_back({std::string(known.field), std::string(*value), known.hex, std::make_unique<s3::Digest>(known.kind)});
  }
  return checks;
}

void BodyChecks::update(std::span<const std::byte> bytes) {
  for (auto& check : checks_) check.digest->update(bytes);
}

std::optional<s3::ApiError> BodyChecks::finish() {
  for (auto& check : checks_) {
    const std::string actual = check.hex ? check.digest->hex() : check.digest->base64();
    if (actual != check.expected)
      return s3::ApiError{400, check.hex ? "XAmzContentSHA256Mismatch" : "BadDigest",
                          "the body does not have the digest that " + check.field + " says; nothing was stored"};
  }
  return std::nullopt;
}

}  // namespace tarn::http
