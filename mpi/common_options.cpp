#include "mpi/common_options.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.hpp"

namespace tarn::mpi {

namespace {

std::string text_of(bool value) {
  return value ? "true" : "false";
}
std::string text_of(std::chrono::milliseconds value) {
  return std::to_string(value.count()) + " ms";
}
std::string text_of(RedirectPolicy value) {
  return value == RedirectPolicy::automatic ? "automatic" : value == RedirectPolicy::always ? "always" : "never";
}

/// The value that all ranks with a say agree on; `otherwise` when there is none.
template <class T, class HasSay>
Result<T> common(const char* name, std::span<const RankOptions> all, T RankOptions::*option, T otherwise, HasSay has_say) {
  std::optional<std::size_t> first;
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (!has_say(all[r])) continue;
    if (!first) first = r;
    if (all[r].*option != all[*first].*option)
      return fail(ErrorCode::invalid, std::string("the ranks disagree on ") + name + ": rank " + std::to_string(*first) + " says " +
                                          text_of(all[*first].*option) + ", rank " + std::to_string(r) + " says " + text_of(all[r].*option) +
                                          "; it must be the same on all");
  }
  return first ? all[*first].*option : otherwise;
}

}  // namespace

RankOptions options_of(const StoreOptions& options) {
  return {options.role,           options.sidecar.enabled, options.node_id_from_rank, options.sidecar.anonymous, options.sidecar.redirect,
          options.request_timeout};
}

Result<StoreOptions> with_common_options(StoreOptions mine, std::span<const RankOptions> all) {
  const bool services = std::any_of(all.begin(), all.end(), [](const auto& rank) { return rank.role == RankRole::service; });
  const auto serves = [](const RankOptions& rank) { return rank.serves_http; };
  TARN_TRY(mine.request_timeout, common("request_timeout", all, &RankOptions::request_timeout, std::chrono::milliseconds(0),
                                        [](const RankOptions& rank) { return rank.request_timeout.count() > 0; }));
  TARN_TRY(mine.sidecar.anonymous, common("sidecar.anonymous", all, &RankOptions::anonymous, false, serves));
  TARN_TRY(mine.sidecar.redirect, common("sidecar.redirect", all, &RankOptions::redirect, RedirectPolicy::automatic, serves));
  TARN_TRY(mine.node_id_from_rank, common("node_id_from_rank", all, &RankOptions::node_id_from_rank, false, [&](const RankOptions& rank) {
             return !services || rank.role == RankRole::service || rank.node_id_from_rank;
           }));
  return mine;
}

}  // namespace tarn::mpi
