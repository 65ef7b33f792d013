// store_collective.cpp - the calls of a store that all its ranks make: dsort, rebalance, flush; and what service ranks do of them.
#include <array>
#include <atomic>
#include <cstddef>
#include <span>
#include <string>

#include "base/error.hpp"
#include "base/json.hpp"
#include "mpi/dsort.hpp"
#include "mpi/dsort_together.hpp"
#include "mpi/store_impl.hpp"
#include "plan/dsort_spec.hpp"

namespace tarn {

using mpi::CollectiveCall;

Result<void> Store::Impl::begin(CollectiveCall call) {
  if (!follows()) return calls_.begin(call);
  if (call == CollectiveCall::close) return follow();
  return fail(ErrorCode::invalid, std::string(to_string(call)) +
                                      " of a service rank: the application's ranks make the collective calls of this store, and service ranks take "
                                      "part inside of close()");
}

Result<void> Store::Impl::follow() {
  for (;;) {
    TARN_TRY(const CollectiveCall call, calls_.next());
    if (call == CollectiveCall::close) return {};
    // What becomes of these all ranks know, the application's too: they have been told, and may go on.
    if (call == CollectiveCall::flush) static_cast<void>(flush_together());
    if (call == CollectiveCall::rebalance) static_cast<void>(rebalance_together({}, {}));
    if (call == CollectiveCall::dsort) static_cast<void>(dsort_together({}, {}));
  }
}

Result<void> Store::Impl::flush() {
  TARN_CHECK(begin(CollectiveCall::flush));
  return flush_together();
}

Result<void> Store::Impl::flush_together() {
  return collectives_.agree(mpi::guarded("flush", [&] { return local_ ? local_->flush() : Result<void>(); }));
}

Result<RebalanceReport> Store::Impl::rebalance(const RebalanceOptions& options, const RebalanceProgressFn& progress) {
  TARN_CHECK(begin(CollectiveCall::rebalance));
  return rebalance_together(options, progress);
}

Result<RebalanceReport> Store::Impl::rebalance_together(RebalanceOptions options, const RebalanceProgressFn& progress) {
  if (members_.mixed()) {  // service ranks have none
    std::array<std::uint64_t, 1> rate{options.bytes_per_second};
    TARN_CHECK(collectives_.all_reduce_max(rate));
    options.bytes_per_second = rate[0];
  }
  auto context = settle_context(collectives_);
  const std::atomic<bool> never{false};
  return mpi::settle(context, options, progress, never);
}

Result<DsortReport> Store::Impl::dsort(const DsortSpec& spec, const DsortProgressFn& progress) {
  TARN_CHECK(begin(CollectiveCall::dsort));
  return dsort_together(spec, progress);
}

Result<DsortReport> Store::Impl::dsort_together(DsortSpec spec, const DsortProgressFn& progress) {
  if (members_.mixed()) TARN_CHECK(share(spec));
  mpi::DsortContext context = dsort_context(collectives_);
  const std::atomic<bool> never{false};
  return mpi::run_dsort(context, spec, progress, never);
}

Result<void> Store::Impl::share(DsortSpec& spec) {
  mpi::Together ranks(collectives_);
  return ranks.run("dsort", [&]() -> Result<void> {
    std::string text;
    if (rank() == members_.first_application) text = boost::json::serialize(plan::dsort_spec_to_json(spec));
    TARN_TRY(const auto bytes, ranks.broadcast(members_.first_application, std::as_bytes(std::span(text))));
    if (!follows()) return {};
    TARN_TRY(const auto json, base::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "a dsort"));
    TARN_TRY(spec, plan::dsort_spec_from_json(json));
    return {};
  });
}

}  // namespace tarn
