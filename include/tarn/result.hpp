// result.hpp - what every call of Tarn returns: a value, or an Error a caller can act on.
// Level 0. Value types; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace tarn {

/// The closed list of reasons. docs/OPERATIONS.md says what a user can do about each;
/// lib/base/error.hpp maps each to an errno, an HTTP status, an S3 code and an exit code.
enum class ErrorCode : std::uint8_t {
  invalid,           ///< The request itself is wrong: an option, a name, a malformed archive.
  not_found,         ///< No object of that name.
  bucket_not_found,  ///< No bucket of that name.
  exists,            ///< It is there already.
  out_of_range,      ///< The byte range lies outside of the object.
  denied,            ///< Missing or wrong credentials, or no permission on a file.
  no_space,          ///< The disk is full.
  corrupt,           ///< Bytes do not match their checksum. Wrong bytes are never returned.
  io,                ///< The operating system reported an error on a disk or socket.
  timeout,           ///< No answer within the limit.
  rank_lost,         ///< The rank that holds the data does not answer any more.
  busy,              ///< In use by somebody else, or a limit is reached: try again later.
  unsupported,       ///< Known, but not something this version does.
  aborted,           ///< Stopped on request.
  internal,          ///< A bug of ours.
};

/// A failed call: one sentence for people and a code for programs.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  ///< names the thing, the reason and, where there is one, the remedy
  int rank = -1;        ///< the rank on which it happened; -1 = this one or none

  Error() = default;
  Error(ErrorCode error_code, std::string text, int error_rank = -1) : code(error_code), message(std::move(text)), rank(error_rank) {}

  friend bool operator==(const Error&, const Error&) = default;
};

/// "not_found", "no_space", ...: the code's own name.
[[nodiscard]] std::string_view to_string(ErrorCode code) noexcept;

template <class T>
using Result = tl::expected<T, Error>;

/// Shorthand for `return fail(ErrorCode::invalid, "...")`.
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message, int rank = -1) {
  return tl::unexpected<Error>(Error(code, std::move(message), rank));
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace tarn
