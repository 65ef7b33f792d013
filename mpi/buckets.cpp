#include "mpi/buckets.hpp"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "mpi/guarded.hpp"
#include "mpi/rank_stats.hpp"
#include "mpi/run_on.hpp"

namespace tarn::mpi {

namespace {

Error no_bucket(std::string_view bucket) {
  return Error(ErrorCode::bucket_not_found, "there is no bucket " + std::string(bucket));
}

void answer(Request& request, const Result<void>& outcome) {
  if (outcome) {
    request.responder().done();
  } else {
    request.responder().fail(outcome.error());
  }
}

}  // namespace

void Buckets::add_to(PeerService& service) {
  service.on(Op::bucket_create, RunOn::control, [this](Request r) {
    base::Decoder decoder(r.body());
    const std::string bucket(decoder.text());
    answer(r, decoder.complete() ? create_everywhere(bucket) : Result<void>(fail(malformed("a bucket"))));
  });
  service.on(Op::bucket_remove, RunOn::control, [this](Request r) {
    base::Decoder decoder(r.body());
    const std::string bucket(decoder.text());
    answer(r, decoder.complete() ? remove_everywhere(bucket) : Result<void>(fail(malformed("a bucket"))));
  });
  service.on(Op::bucket_apply, RunOn::control, [this](Request r) {
    base::Decoder decoder(r.body());
    const auto number = decoder.u64();
    const auto step = static_cast<Step>(decoder.u8());
    const std::string bucket(decoder.text());
    const auto created_ns = decoder.i64();
    answer(r, decoder.complete() ? apply_numbered(number, step, bucket, created_ns) : Result<void>(fail(malformed("a bucket"))));
  });
}

Result<void> Buckets::adopt(const std::vector<BucketInfo>& all) {
  for (const auto& bucket : all) {
    const auto [at, is_new] = known_.emplace(bucket.name, bucket.created_ns);
    if (!is_new) at->second = std::min(at->second, bucket.created_ns);
  }
  if (local_ == nullptr) return {};
  for (const auto& [name, created_ns] : known_)
    if (!local_->has_bucket(name)) TARN_CHECK(local_->create_bucket(name, created_ns));
  return {};
}

bool Buckets::has(std::string_view bucket) const {
  const std::shared_lock lock(mutex_);
  return known_.find(bucket) != known_.end();
}

std::vector<BucketInfo> Buckets::list() const {
  const std::shared_lock lock(mutex_);
  std::vector<BucketInfo> all;
  all.reserve(known_.size());
  for (const auto& [name, created_ns] : known_) all.push_back({name, created_ns});
  return all;
}

Result<void> Buckets::create(std::string_view bucket) {
  TARN_CHECK(base::check_bucket_name(bucket));
  if (rank_ == 0) return run_on(control_, engine_, [this, name = std::string(bucket)] { return create_everywhere(name); });
  base::Encoder message = begin_message();
  message.text(bucket);
  TARN_CHECK(caller_.call(0, Op::bucket_create, std::move(message)));
  return {};
}

Result<void> Buckets::remove(std::string_view bucket) {
  if (rank_ == 0) return run_on(control_, engine_, [this, name = std::string(bucket)] { return remove_everywhere(name); });
  base::Encoder message = begin_message();
  message.text(bucket);
  TARN_CHECK(caller_.call(0, Op::bucket_remove, std::move(message)));
  return {};
}

Result<void> Buckets::create_everywhere(const std::string& bucket) {
  TARN_CHECK(base::check_bucket_name(bucket));
  if (has(bucket)) return fail(ErrorCode::exists, "bucket " + bucket + " exists already");
  const std::int64_t now_ns = base::now_ns();
  auto outcome = guarded("creating a bucket", [&] { return everywhere(Step::create, bucket, now_ns); });
  if (!outcome) {  // all or none
    if (auto undone = everywhere(Step::remove, bucket, now_ns); !undone) base::log_warn("bucket " + bucket + ": " + undone.error().message);
  }
  return outcome;
}

Result<void> Buckets::remove_everywhere(const std::string& bucket) {
  std::int64_t created_ns = 0;
  {
    const std::shared_lock known_lock(mutex_);
    const auto at = known_.find(bucket);
    if (at == known_.end()) return fail(no_bucket(bucket));
    created_ns = at->second;
  }
  TARN_CHECK(everywhere(Step::check_empty, bucket, created_ns));
  auto outcome = guarded("removing a bucket", [&] { return everywhere(Step::remove, bucket, created_ns); });
  if (!outcome) {  // an object came in between: the bucket stays, on all ranks
    if (auto undone = everywhere(Step::create, bucket, created_ns); !undone) base::log_warn("bucket " + bucket + ": " + undone.error().message);
  }
  return outcome;
}

Result<void> Buckets::everywhere(Step step, const std::string& bucket, std::int64_t created_ns) {
  std::vector<RankId> ranks(static_cast<std::size_t>(ranks_));
  std::iota(ranks.begin(), ranks.end(), 0);
  const std::uint64_t number = ++last_step_;
  const auto ask = [&](RankId peer) {
    base::Encoder message = begin_message();
    message.u64(number).u8(static_cast<std::uint8_t>(step)).text(bucket).i64(created_ns);
    return caller_.start(peer, Op::bucket_apply, std::move(message));
  };
  auto outcome = for_each_rank(caller_, ranks, rank_, ask, [](RankId, std::span<const std::byte>) { return Result<void>(); });
  auto here = apply(step, bucket, created_ns);
  return outcome ? here : outcome;
}

Result<void> Buckets::apply_numbered(std::uint64_t number, Step step, const std::string& bucket, std::int64_t created_ns) {
  auto& applied = applied_[bucket];
  if (number < applied) return fail(ErrorCode::aborted, "bucket " + bucket + ": this step has been overtaken by a later one");
  applied = number;
  return apply(step, bucket, created_ns);
}

Result<void> Buckets::apply(Step step, const std::string& bucket, std::int64_t created_ns) {
  switch (step) {
    case Step::create:
      if (local_ != nullptr && !local_->has_bucket(bucket)) TARN_CHECK(local_->create_bucket(bucket, created_ns));
      break;
    case Step::check_empty:
      if (local_ != nullptr && local_->has_bucket(bucket)) {
        ListOptions one;
        one.max_keys = 1;
        TARN_TRY(const auto page, local_->list(bucket, one));
        if (!page.objects.empty()) return fail(ErrorCode::busy, "bucket " + bucket + " is not empty; remove its objects first");
      }
      return {};
    case Step::remove:
      if (local_ != nullptr && local_->has_bucket(bucket)) TARN_CHECK(local_->remove_bucket(bucket));
      break;
    default:
      return fail(malformed("a bucket's step"));
  }
  const std::unique_lock lock(mutex_);
  if (step == Step::create) {
    known_.emplace(bucket, created_ns);
  } else {
    known_.erase(bucket);
  }
  return {};
}

}  // namespace tarn::mpi
