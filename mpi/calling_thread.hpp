// calling_thread.hpp - which threads of the application may call a store: by the thread level that it asked MPI for.
// Level 6 (mpi). Value type.
#pragma once

#include <cstdint>
#include <thread>

#include <tarn/result.hpp>

namespace tarn::mpi {

enum class ThreadLevel : std::uint8_t {
  main_only,      ///< MPI_THREAD_SINGLE, MPI_THREAD_FUNNELED: the thread that initialised MPI
  one_at_a_time,  ///< MPI_THREAD_SERIALIZED: the application sees to it
  any,            ///< MPI_THREAD_MULTIPLE: a service thread makes the calls
};

class CallingThread {
 public:
  /// Made by a thread that may call.
  explicit CallingThread(ThreadLevel level) noexcept : level_(level), main_(std::this_thread::get_id()) {}
  /// Whether this thread may.
  [[nodiscard]] bool allows() const noexcept { return level_ != ThreadLevel::main_only || std::this_thread::get_id() == main_; }

 private:
  ThreadLevel level_;
  std::thread::id main_;
};

[[nodiscard]] inline Error wrong_thread() {
  return Error(ErrorCode::invalid,
               "this thread may not call MPI: MPI was initialised with MPI_THREAD_FUNNELED or less, so only the thread that called MPI_Init may "
               "use a store; ask MPI_Init_thread for MPI_THREAD_SERIALIZED or MPI_THREAD_MULTIPLE");
}

}  // namespace tarn::mpi
