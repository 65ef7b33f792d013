// guarded.hpp - what a step throws becomes its error: for steps after which others wait for this rank's outcome.
// Level 6 (mpi). Any thread.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include <tarn/result.hpp>

namespace tarn::mpi {

/// The exception that is being handled, as an error: "dsort: out of memory ...". For catch blocks only.
[[nodiscard]] inline Error current_error(const char* operation) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::no_space, std::string(operation) + ": out of memory on this rank; give it less to do at once, or fewer ranks per node");
  } catch (const std::exception& error) {
    return Error(ErrorCode::internal, std::string(operation) + ": " + error.what());
  } catch (...) {
    return Error(ErrorCode::internal, std::string(operation) + ": an exception of an unknown type");
  }
}

/// For where nothing may be allocated: the text fits into the string itself.
[[nodiscard]] inline Error no_memory() noexcept {
  return Error(ErrorCode::no_space, "out of memory");
}

/// Runs `step`, () -> Result<T>. @errors what it returns; no_space: out of memory; internal: any other exception.
template <class Step>
[[nodiscard]] auto guarded(const char* operation, Step&& step) -> std::invoke_result_t<Step> {
  try {
    return std::forward<Step>(step)();
  } catch (...) {
    return fail(current_error(operation));
  }
}

}  // namespace tarn::mpi
