#include "mpi/settle.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "mpi/dsort_together.hpp"
#include "mpi/guarded.hpp"
#include "plan/copy_plan.hpp"

namespace tarn::mpi {

namespace {

constexpr std::size_t kBatchObjects = 256;
constexpr std::chrono::milliseconds kPause{50};  // between two looks at whether to stop
constexpr auto kTellEvery = std::chrono::milliseconds(100);

enum class Mode : std::uint8_t {
  settle,
  count,   ///< changes nothing
  copies,  ///< of some buckets
};

/// One rank's part.
class Settler {
 public:
  Settler(SettleContext& context, const RebalanceOptions& options, const RebalanceProgressFn& progress, const std::atomic<bool>& abort, Mode mode)
      : context_(context), mode_(mode), bytes_per_second_(options.bytes_per_second), progress_(progress), abort_(abort) {}

  /// Pointers go to the homes of now.
  [[nodiscard]] Result<void> move_pointers() {
    const RankId rank = context_.collectives.rank();
    for (std::uint32_t disk = 0; disk < context_.local->layouts().size(); ++disk) {
      const auto move = [&](const ObjectName& name, const object::Pointer& pointer) -> Result<void> {
        const Home home = context_.copies.home(name);
        if (home == Home{rank, disk} || !context_.buckets.has(name.bucket)) return {};
        if (abort_.load()) return stopped();
        const auto moved = context_.homes.point(home, name, pointer);
        if (!moved && moved.error().code == ErrorCode::bucket_not_found) return {};  // removed meanwhile
        TARN_CHECK(moved);
        TARN_CHECK(context_.local->pointers().take(disk, name, pointer.modified_ns));
        return {};
      };
      TARN_CHECK(context_.local->pointers().for_each(disk, move));
    }
    return {};
  }

  [[nodiscard]] Result<void> run(const std::string& bucket, const BucketOptions& options, int round) {
    round_ = round;
    bucket_ = bucket;
    options_ = options;
    Result<void> outcome;
    auto visited = context_.local->for_each(bucket, "", [&](const object::StoredObject& object) {
      add(object);
      if (abort_.load()) outcome = stopped();
      if (outcome && batch_.size() == kBatchObjects) outcome = work_off();
      return outcome.has_value();
    });
    if (!visited) outcome = std::move(visited);
    if (outcome) outcome = work_off();
    batch_.clear();
    // The bucket has been removed meanwhile, and so have its objects.
    return !outcome && outcome.error().code == ErrorCode::bucket_not_found ? Result<void>() : outcome;
  }
  [[nodiscard]] const RebalanceReport& report() const noexcept { return report_; }
  /// Objects for whose copies there are not enough disks.
  [[nodiscard]] std::uint64_t unmet() const noexcept { return unmet_; }
  /// Of the first object that could not be brought to its place.
  [[nodiscard]] const std::optional<Error>& first_failure() const noexcept { return first_failure_; }

 private:
  struct Item {
    ObjectName name;
    std::int64_t modified_ns;
    std::uint64_t size_bytes;
    Home here;
    std::vector<Home> holders;
    std::vector<std::int64_t> versions;  // of the holders
  };

  void add(const object::StoredObject& object) {
    if (round_ == 0) ++report_.objects;
    Item item{{bucket_, object.info.key}, object.info.modified_ns, object.info.size_bytes, {context_.collectives.rank(), object.disk}, {}, {}};
    item.holders = context_.copies.holders(item.name, options_.mirror);
    if (item.holders.size() < options_.mirror && item.holders.front() == item.here && round_ == 0) ++unmet_;
    if (item.holders.size() == 1 && item.holders.front() == item.here) return;  // most
    item.versions.assign(item.holders.size(), plan::kNoVersion);
    batch_.push_back(std::move(item));
  }

  [[nodiscard]] Result<void> work_off() {
    TARN_CHECK(ask_for_versions());
    for (const Item& item : batch_) {
      if (abort_.load()) return stopped();
      if (auto settled = settle(item); !settled) {
        // The others are not left as they are because of this one; a rank that is lost is asked no more.
        const ErrorCode code = settled.error().code;
        if (code == ErrorCode::rank_lost || code == ErrorCode::timeout || code == ErrorCode::aborted || code == ErrorCode::bucket_not_found)
          return settled;
        base::log_error("rebalance: " + settled.error().message);
        if (!first_failure_) first_failure_ = settled.error();
        ++report_.failed_objects;
      }
      tell();
    }
    batch_.clear();
    tell();
    return {};
  }

  /// One message for each disk that is a holder of an object in the batch.
  [[nodiscard]] Result<void> ask_for_versions() {
    std::map<std::pair<RankId, std::uint32_t>, std::vector<std::int64_t*>> wanted;
    std::map<std::pair<RankId, std::uint32_t>, base::Encoder> messages;
    for (Item& item : batch_) {
      for (std::size_t i = 0; i < item.holders.size(); ++i) {
        const Home holder = item.holders[i];
        if (holder == item.here) {
          item.versions[i] = item.modified_ns;
        } else if (context_.homes.is_here(holder)) {
          const auto found = context_.local->find(holder.disk, item.name);
          if (!found && found.error().code != ErrorCode::not_found) return fail(found.error());
          if (found) item.versions[i] = found->info.modified_ns;
        } else {
          const auto [at, fresh] = messages.try_emplace({holder.rank, holder.disk}, begin_message());
          if (fresh) at->second.u32(holder.disk).text(bucket_);
          at->second.text(item.name.key);
          wanted[{holder.rank, holder.disk}].push_back(&item.versions[i]);
        }
      }
    }
    Caller& caller = context_.homes.client().caller();
    std::vector<std::pair<std::shared_ptr<Call>, const std::vector<std::int64_t*>*>> calls;
    for (auto& [home, message] : messages) calls.emplace_back(caller.start(home.first, Op::versions, std::move(message)), &wanted[home]);
    Result<void> outcome;
    for (const auto& [call, targets] : calls) {
      auto ended = caller.finish(*call);
      if (ended) {
        base::Decoder decoder(call->body());
        for (std::int64_t* const target : *targets) *target = decoder.i64();
        if (!decoder.complete()) ended = fail(malformed("a list of versions"));
      }
      if (!ended && outcome) outcome = std::move(ended);
    }
    return outcome;
  }

  static tl::unexpected<Error> stopped() {
    return fail(ErrorCode::aborted, "rebalance was stopped; what has been moved stays, and the next one goes on from there");
  }

  /// Keeps to the rate.
  [[nodiscard]] Result<void> wait_for_turn(std::uint64_t bytes) {
    if (bytes_per_second_ == 0) return {};
    while (Clock::now() < next_copy_) {
      if (abort_.load()) return stopped();
      context_.pause(std::min(kPause, std::chrono::ceil<std::chrono::milliseconds>(next_copy_ - Clock::now())));
    }
    const double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_second_);
    next_copy_ = std::max(next_copy_, Clock::now()) + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    return {};
  }

  /// From this disk, or, if its copy is damaged, after that has been mended from another one.
  [[nodiscard]] Result<std::uint64_t> copy(const Item& item, Home to) {
    using Kind = object::CopyTerms::Kind;
    auto copied = context_.homes.copy(item.here, to, item.name, Kind::copy);
    if (!copied && copied.error().code != ErrorCode::corrupt)
      return fail(copied.error().code,
                  item.name.bucket + "/" + item.name.key + " was not copied to rank " + std::to_string(to.rank) + ": " + copied.error().message,
                  copied.error().rank);
    if (copied) return copied;
    TARN_TRY(const auto found, context_.copies.survey(context_.copies.storage_ranks(), item.name));
    for (const FoundCopy& other : found) {
      if (other.home == item.here || other.stored.info.modified_ns != item.modified_ns) continue;
      if (context_.homes.copy(other.home, item.here, item.name, Kind::mend)) return context_.homes.copy(item.here, to, item.name, Kind::copy);
    }
    return copied;
  }

  enum class Place : std::uint8_t { stays, outdated, goes_home };
  /// What its home says of an object that may have been placed on this disk.
  [[nodiscard]] Result<Place> judge_place(const Item& item) {
    const Home home = item.holders.front();
    TARN_TRY(const auto known, context_.homes.where(home, item.name));
    const base::Uuid here = context_.placed.disk_of(item.here).id;
    if (known.newest_ns() > item.modified_ns || known.own_ns == item.modified_ns) return Place::outdated;
    if (known.pointer && known.pointer->disk == here) return Place::stays;
    if (!known.pointer && options_.placement == PlacementPolicy{}) return Place::goes_home;
    TARN_TRY(const auto outcome, context_.homes.point(home, item.name, {here, item.modified_ns}));  // the note was lost, or never written
    return outcome.set ? Place::stays : Place::outdated;
  }

  [[nodiscard]] Result<void> remove_own(const Item& item) {
    TARN_TRY(const bool removed, context_.local->remove_copy(item.here.disk, item.name, item.modified_ns));
    report_.removed_copies += removed ? 1 : 0;
    return {};
  }

  [[nodiscard]] Result<void> settle(const Item& item) {
    if (uses_pointers(options_)) {
      TARN_TRY(const Place place, judge_place(item));
      if (place == Place::stays) return {};
      if (place == Place::outdated) return remove_own(item);
    }
    const auto place = std::find(item.holders.begin(), item.holders.end(), item.here);
    const auto verdict = plan::judge_copy(
        item.modified_ns, place == item.holders.end() ? std::nullopt : std::optional<std::size_t>(place - item.holders.begin()), item.versions);
    if (!verdict.copy_to.empty() && options_.mirror > 1 && round_ == 0) ++report_.under_replicated;
    if (mode_ == Mode::count) return {};
    if (!verdict.copy_to.empty()) {
      TARN_CHECK(wait_for_turn(item.size_bytes * verdict.copy_to.size()));
      const auto hold = context_.local->hold_name(item.name);  // no removal comes between the look and the last copy
      const auto now = context_.local->find(item.here.disk, item.name);
      if (!now && now.error().code == ErrorCode::not_found) return {};  // removed meanwhile
      if (!now) return fail(now.error());
      if (now->info.modified_ns != item.modified_ns) return {};  // written meanwhile, to the holders
      for (const std::size_t to : verdict.copy_to) {
        TARN_TRY(const auto bytes, copy(item, item.holders[to]));
        ++report_.copied_objects;
        report_.copied_bytes += bytes;
      }
    }
    return verdict.remove ? remove_own(item) : Result<void>();
  }

  void tell() {
    const auto now = Clock::now();
    if (!progress_ || now < next_tell_) return;
    next_tell_ = now + kTellEvery;
    progress_(report_);
  }

  SettleContext& context_;
  const Mode mode_;
  const std::uint64_t bytes_per_second_;
  Clock::time_point next_copy_{};
  const RebalanceProgressFn& progress_;
  const std::atomic<bool>& abort_;
  std::string bucket_;
  BucketOptions options_;
  int round_ = 0;
  std::vector<Item> batch_;
  RebalanceReport report_;
  std::uint64_t unmet_ = 0;
  std::optional<Error> first_failure_;
  Clock::time_point next_tell_{};
};

/// Collective. Ends with one outcome, and the sum of all ranks' reports.
Result<RebalanceReport> run_everywhere(SettleContext& context, const std::vector<BucketInfo>& buckets, const RebalanceOptions& options,
                                       const RebalanceProgressFn& progress, const std::atomic<bool>& abort, Mode mode = Mode::settle) {
  Settler settler(context, options, progress, abort, mode);
  auto outcome = guarded("rebalance", [&]() -> Result<void> {
    if (context.local == nullptr) return {};
    if (mode == Mode::settle) TARN_CHECK(settler.move_pointers());
    return {};
  });
  TARN_CHECK(context.collectives.agree(std::move(outcome)));
  // Copies of mirrored objects that are not in their places go in the second round, when every holder has its own.
  for (int round = 0; round < 2; ++round) {
    outcome = guarded("rebalance", [&]() -> Result<void> {
      if (context.local == nullptr) return {};
      for (const auto& bucket : buckets)
        if (round == 0 || (bucket.options.mirror > 1 && mode != Mode::count)) TARN_CHECK(settler.run(bucket.name, bucket.options, round));
      if (settler.first_failure()) return fail(*settler.first_failure());
      return {};
    });
    TARN_CHECK(context.collectives.agree(std::move(outcome)));
  }
  const RebalanceReport& mine = settler.report();
  if (mode == Mode::settle || (mode == Mode::count && !context.layout.settled()))
    context.layout.set_under_replicated(settler.unmet() + (mode == Mode::count ? mine.under_replicated : 0));
  std::array<std::uint64_t, 6> sums{mine.objects,        mine.copied_objects, mine.copied_bytes,
                                    mine.removed_copies, mine.failed_objects, mine.under_replicated};
  TARN_CHECK(context.collectives.all_reduce_sum(sums));
  return RebalanceReport{sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]};
}

/// Runs `steps` so that a rank which throws takes the others out of their wait.
template <class Steps>
Result<void> run_together(SettleContext& context, const char* operation, Steps steps) {
  Together ranks(context.collectives);
  SettleContext together{ranks, context.local, context.copies, context.homes, context.placed, context.buckets, context.layout, context.pause};
  return ranks.run(operation, [&] { return steps(together); });
}

}  // namespace

Result<RebalanceReport> settle(SettleContext& context, const RebalanceOptions& options, const RebalanceProgressFn& progress,
                               const std::atomic<bool>& abort) {
  // Rank 0's word counts: of two that have begun at once, and were met in another order by other ranks, one goes on.
  const bool decides = context.collectives.rank() == 0;
  const bool first = !decides || context.layout.begin_settling();
  RebalanceReport report;
  auto outcome = run_together(context, "rebalance", [&](SettleContext& together) -> Result<void> {
    TARN_CHECK(together.collectives.agree(first ? Result<void>()
                                                : fail(ErrorCode::busy, "another rebalance or repair of this store is running; wait for it")));
    TARN_TRY(report, run_everywhere(together, together.buckets.list(), options, progress, abort));
    return together.layout.set_settled(together.collectives, together.local);
  });
  if (decides && first) context.layout.end_settling();
  if (!outcome) return fail(std::move(outcome).error());
  return report;
}

Result<void> count_missing_copies(SettleContext& context, const std::atomic<bool>& abort) {
  return run_together(context, "counting copies", [&](SettleContext& together) -> Result<void> {
    std::vector<BucketInfo> mirrored = together.buckets.list();
    std::erase_if(mirrored, [](const BucketInfo& bucket) { return bucket.options.mirror == 1; });
    TARN_CHECK(run_everywhere(together, mirrored, {}, {}, abort, Mode::count));
    return {};
  });
}

Result<void> make_copies(SettleContext& context, const std::string& bucket) {
  const auto options = context.buckets.options(bucket);
  if (!options || options->mirror == 1) return {};  // the same on all ranks
  const std::atomic<bool> never{false};
  return run_together(context, "making copies", [&](SettleContext& together) -> Result<void> {
    TARN_CHECK(run_everywhere(together, {BucketInfo{bucket, 0, *options}}, {}, {}, never, Mode::copies));
    return {};
  });
}

base::JsonObject rebalance_report_to_json(const RebalanceReport& report) {
  return {{"objects", report.objects},
          {"copied_objects", report.copied_objects},
          {"copied_bytes", report.copied_bytes},
          {"removed_copies", report.removed_copies},
          {"failed_objects", report.failed_objects},
          {"under_replicated", report.under_replicated}};
}

}  // namespace tarn::mpi
