// error.hpp - one table that says what an ErrorCode is in errno, HTTP, S3 and exit codes.
// Level 1 (base). Pure.
#pragma once

#include <exception>
#include <string_view>

#include <tarn/result.hpp>

namespace tarn::base {

struct ErrorCodeRow {
  ErrorCode code;
  std::string_view name;
  int errno_value;
  int http_status;
  std::string_view s3_code;  ///< of docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
  int exit_code;             ///< of the command `tarn`; sysexits.h where it has one
};

[[nodiscard]] const ErrorCodeRow& error_row(ErrorCode code) noexcept;
/// The code whose name this is; internal when there is none.
[[nodiscard]] ErrorCode error_code_of(std::string_view name) noexcept;

/// An Error from an errno: "open /scratch/x: No space left on device". ENOSPC and EDQUOT become
/// no_space, EACCES and EPERM and EROFS denied, ENOENT not_found, EEXIST exists, EMFILE and ENFILE busy with the remedy, others io.
[[nodiscard]] Error errno_error(int errno_value, std::string_view operation, std::string_view path);

/// Of an exception at the top of a thread: io, "WORK: what it says", or less when there is no memory for that.
[[nodiscard]] Error error_of(const std::exception& exception, std::string_view work) noexcept;

}  // namespace tarn::base

/// `TARN_TRY(auto x, call())`: x is the value, or the enclosing function returns the error.
#define TARN_TRY_CONCAT_(a, b) a##b
#define TARN_TRY_NAME_(line) TARN_TRY_CONCAT_(tarn_try_, line)
#define TARN_TRY(declaration, expression)                                                          \
  auto TARN_TRY_NAME_(__LINE__) = (expression);                                                    \
  if (!TARN_TRY_NAME_(__LINE__)) return ::tarn::fail(std::move(TARN_TRY_NAME_(__LINE__)).error()); \
  declaration = std::move(*TARN_TRY_NAME_(__LINE__))

/// `TARN_CHECK(call())`: for Result<void>; returns the error of a failed call.
#define TARN_CHECK(expression)                                                                                                \
  do {                                                                                                                        \
    if (auto tarn_check_result = (expression); !tarn_check_result) return ::tarn::fail(std::move(tarn_check_result).error()); \
  } while (false)
