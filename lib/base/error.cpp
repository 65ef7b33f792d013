#include "base/error.hpp"

#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>

namespace tarn {

namespace {

constexpr base::ErrorCodeRow kRows[] = {
    {ErrorCode::invalid, "invalid", EINVAL, 400, "InvalidArgument", 2},
    {ErrorCode::not_found, "not_found", ENOENT, 404, "NoSuchKey", 3},
    {ErrorCode::bucket_not_found, "bucket_not_found", ENOENT, 404, "NoSuchBucket", 3},
    {ErrorCode::exists, "exists", EEXIST, 409, "BucketAlreadyOwnedByYou", 4},
    {ErrorCode::out_of_range, "out_of_range", ERANGE, 416, "InvalidRange", 2},
    {ErrorCode::denied, "denied", EACCES, 403, "AccessDenied", 77},
    {ErrorCode::no_space, "no_space", ENOSPC, 507, "InsufficientStorage", 73},
    {ErrorCode::corrupt, "corrupt", EBADMSG, 500, "InternalError", 65},
    {ErrorCode::io, "io", EIO, 500, "InternalError", 74},
    {ErrorCode::timeout, "timeout", ETIMEDOUT, 503, "SlowDown", 75},
    {ErrorCode::rank_lost, "rank_lost", EHOSTDOWN, 503, "ServiceUnavailable", 69},
    {ErrorCode::busy, "busy", EBUSY, 503, "SlowDown", 75},
    {ErrorCode::unsupported, "unsupported", ENOTSUP, 501, "NotImplemented", 64},
    {ErrorCode::aborted, "aborted", ECANCELED, 409, "OperationAborted", 1},
    {ErrorCode::internal, "internal", EPROTO, 500, "InternalError", 70},
};
static_assert(std::size(kRows) == static_cast<std::size_t>(ErrorCode::internal) + 1);

}  // namespace

std::string_view to_string(ErrorCode code) noexcept {
  return base::error_row(code).name;
}

namespace base {

const ErrorCodeRow& error_row(ErrorCode code) noexcept {
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(kRows) ? kRows[index] : kRows[std::size(kRows) - 1];
}

ErrorCode error_code_of(std::string_view name) noexcept {
  for (const auto& row : kRows)
    if (row.name == name) return row.code;
  return ErrorCode::internal;
}

Error errno_error(int errno_value, std::string_view operation, std::string_view path) {
  ErrorCode code = ErrorCode::io;
  std::string_view remedy;
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
      code = ErrorCode::no_space;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = ErrorCode::denied;
      break;
    case ENOENT:
      code = ErrorCode::not_found;
      break;
    case EEXIST:
      code = ErrorCode::exists;
      break;
    case EMFILE:
      code = ErrorCode::busy;
      remedy = "; this process may not open more files: raise the limit (ulimit -n) and start again";
      break;
    case ENFILE:
      code = ErrorCode::busy;
      remedy = "; this machine may not open more files: end other processes, or raise fs.file-max";
      break;
    default:
      break;
  }
  std::string text(operation);
  text.append(" ").append(path).append(": ").append(std::generic_category().message(errno_value)).append(remedy);
  return Error(code, std::move(text));
}

Error error_of(const std::exception& exception, std::string_view work) noexcept {
  try {
    return Error(ErrorCode::io, std::string(work).append(": ").append(exception.what()));
  } catch (...) {
    return Error(ErrorCode::io, "no memory");  // short enough to need none
  }
}

}  // namespace base
}  // namespace tarn
