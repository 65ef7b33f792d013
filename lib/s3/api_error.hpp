// api_error.hpp - an error as an S3 client sees it: HTTP status, S3 code, sentence.
// Level 5 (s3). Value type; any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tarn/result.hpp>

namespace tarn::s3 {

struct ApiError {
  int status = 500;
  std::string code;  ///< of docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
  std::string message;

  ApiError() = default;
  /// Not an aggregate: GCC 12 destroys an aggregate that is made within an expression with co_await twice.
  ApiError(int http_status, std::string s3_code, std::string text) : status(http_status), code(std::move(s3_code)), message(std::move(text)) {}
};

/// By the table in base/error.hpp. Errors of a rank name it in their message.
[[nodiscard]] ApiError api_error(const Error& error);

/// `<Error><Code>..</Code><Message>..</Message><Resource>..</Resource><RequestId>..</RequestId></Error>`; U+FFFD stands for what
/// XML cannot hold: a key in an error is there to be read, not to be used.
[[nodiscard]] std::string error_xml(const ApiError& error, std::string_view resource, std::string_view request_id);

}  // namespace tarn::s3
