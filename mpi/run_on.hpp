// run_on.hpp - runs a function on a pool and waits for its result, while this rank goes on answering its peers.
// Level 6 (mpi). Any thread but the pool's own.
//
// What is serialised by a pool of one thread needs no mutex; a mutex would be wrong here: without a service thread the
// application's thread, blocked in it, would not turn the engine that the mutex's holder waits for.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <tarn/result.hpp>

#include "mpi/engine.hpp"
#include "mpi/event.hpp"
#include "mpi/worker_pool.hpp"

namespace tarn::mpi {

/// @param function  () -> Result<T>; owns what it needs: when the store closes it may outlive this call.
/// @errors what `function` returns; aborted: the store was closed meanwhile.
template <class Function>
[[nodiscard]] auto run_on(WorkerPool& pool, Engine& engine, Function function) -> decltype(function()) {
  using Outcome = decltype(function());
  struct State {
    Event done;
    std::optional<Outcome> outcome;
  };
  auto state = std::make_shared<State>();
  pool.submit([state, function = std::move(function)]() mutable {
    try {
      state->outcome.emplace(function());
    } catch (const std::exception& error) {
      state->outcome.emplace(fail(ErrorCode::internal, error.what()));
    }
    state->done.set();
  });
  if (!engine.wait(state->done, kNoDeadline)) return fail(ErrorCode::aborted, "the store is closed on this rank");
  return std::move(*state->outcome);
}

}  // namespace tarn::mpi
