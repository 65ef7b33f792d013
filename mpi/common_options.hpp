// common_options.hpp - options that hold for the whole store: whose word counts, and what those get who say nothing.
// Level 6 (mpi). Pure.
//
//   request_timeout              ranks that set one
//   anonymous, redirect          ranks with a sidecar: nobody else serves
//   node_id_from_rank            all; where there are service ranks, these, and of the application those that ask for it
#pragma once

#include <span>

#include <tarn/object.hpp>
#include <tarn/options.hpp>
#include <tarn/result.hpp>

namespace tarn::mpi {

/// What one rank brought to open().
struct RankOptions {
  RankRole role = RankRole::application;
  bool serves_http = false;
  bool node_id_from_rank = false;
  bool anonymous = false;
  RedirectPolicy redirect = RedirectPolicy::automatic;
  std::chrono::milliseconds request_timeout{0};
};
[[nodiscard]] RankOptions options_of(const StoreOptions& options);

/// `mine` with what all ranks have in common; the same decision on every rank.
/// @param all  by rank.
/// @errors invalid: two ranks whose word counts differ; names both.
[[nodiscard]] Result<StoreOptions> with_common_options(StoreOptions mine, std::span<const RankOptions> all);

}  // namespace tarn::mpi
