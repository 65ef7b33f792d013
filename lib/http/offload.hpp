// offload.hpp - awaits a call that blocks, while a thread of the pool makes it.
// Level 5 (http). Called on a worker's thread; resumes there.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <tarn/result.hpp>

#include "http/asio.hpp"
#include "http/blocking_pool.hpp"

namespace tarn::http {

enum class Admission : std::uint8_t {
  bounded,  ///< refused with `busy` when the pool's queue is full
  always,
};

/// @param work  callable without arguments that returns a Result; exceptions become `internal`.
template <class F>
Task<std::invoke_result_t<F&>> offload(BlockingPool& pool, F work, Admission admission) {
  using R = std::invoke_result_t<F&>;
  const auto initiate = [&pool, admission](auto handler, F callable) {
    auto executor = asio::get_associated_executor(handler);
    using Handler = std::decay_t<decltype(handler)>;
    // The handler stays reachable when the pool refuses the job.
    auto shared = std::make_shared<Handler>(std::move(handler));
    auto finish = [executor, shared](R result) {
      asio::post(executor, [shared, result = std::move(result)]() mutable { std::move (*shared)(std::move(result)); });
    };
    base::UniqueFunction<void()> job([callable = std::move(callable), finish]() mutable {
      R result = fail(ErrorCode::internal, "a call of the store threw");
      try {
        result = callable();
      } catch (const std::exception& error) {
        result = fail(ErrorCode::internal, std::string("a call of the store threw: ") + error.what());
      }
      finish(std::move(result));
    });
    const bool taken = admission == Admission::always ? pool.post(job) : pool.try_post(job);
    if (!taken) finish(fail(ErrorCode::busy, "too many requests wait for other ranks; try again in a moment"));
  };
  co_return co_await asio::async_initiate<const TaskToken, void(R)>(initiate, TaskToken{}, std::move(work));
}

}  // namespace tarn::http
