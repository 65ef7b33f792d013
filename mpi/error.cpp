#include "mpi/error.hpp"

#include <string>

namespace tarn::mpi {

Error mpi_error(int code, std::string_view call) {
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) length = 0;
  std::string message(call.substr(0, call.find('(')));
  message.append(" failed: ").append(length > 0 ? std::string(text, static_cast<std::size_t>(length)) : "code " + std::to_string(code));
  return Error(ErrorCode::internal, std::move(message));
}

}  // namespace tarn::mpi
