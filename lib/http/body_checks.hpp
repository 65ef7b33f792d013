// body_checks.hpp - the digests of a body that a client sends along with it, compared before the object is visible.
// Level 5 (http). One thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "http/message.hpp"
#include "s3/api_error.hpp"
#include "s3/digest.hpp"

namespace tarn::http {

class BodyChecks {
 public:
  /// Content-MD5, x-amz-content-sha256, x-amz-checksum-sha1, x-amz-checksum-sha256.
  /// @errors NotImplemented: another kind of signed or checked body; InvalidDigest.
  [[nodiscard]] static tl::expected<BodyChecks, s3::ApiError> of(const RequestHead& head);

  void update(std::span<const std::byte> bytes);
  /// Nothing, or BadDigest. Call once.
  [[nodiscard]] std::optional<s3::ApiError> finish();
  [[nodiscard]] bool empty() const noexcept { return checks_.empty(); }

 private:
  struct Check {
    std::string field;
    std::string expected;
    bool hex = false;
    std::unique_ptr<s3::Digest> digest;
  };
  std::vector<Check> checks_;
};

}  // namespace tarn::http
