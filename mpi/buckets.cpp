#include "mpi/buckets.hpp"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <span>
#include <utility>

#include "base/bucket_options.hpp"
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

void encode_bucket(base::Encoder& encoder, const BucketInfo& bucket) {
  encoder.text(bucket.name)
      .i64(bucket.created_ns)
      .u8(static_cast<std::uint8_t>(bucket.options.durability))
      .text(base::encode_bucket_options(bucket.options));
}

BucketInfo decode_bucket(base::Decoder& decoder) {
  BucketInfo bucket;
  bucket.name = decoder.text();
  bucket.created_ns = decoder.i64();
  const Durability durability = decoder.u8() == 0 ? Durability::none : Durability::sync;
  bucket.options = base::decode_bucket_options(decoder.text(), durability);
  return bucket;
}

void Buckets::add_to(PeerService& service) {
  service.on(Op::bucket_create, RunOn::control, [this](Request r) {
    base::Decoder decoder(r.body());
    BucketInfo bucket = decode_bucket(decoder);
    answer(r, decoder.complete() ? create_everywhere(std::move(bucket)) : Result<void>(fail(malformed("a bucket"))));
  });
  service.on(Op::bucket_remove, RunOn::control, [this](Request r) {
    base::Decoder decoder(r.body());
    const std::string bucket(decoder.text());
    answer(r, decoder.complete() ? remove_everywhere(bucket) : Result<void>(fail(malformed("a bucket"))));
  });
  service.on(Op::bucket_scatter, RunOn::control, [this](Request r) {
    base::Decoder decoder(r.body());
    const std::string bucket(decoder.text());
    answer(r, decoder.complete() ? scatter_everywhere(bucket) : Result<void>(fail(malformed("a bucket"))));
  });
  service.on(Op::bucket_apply, RunOn::control, [this](Request r) {
    base::Decoder decoder(r.body());
    const auto number = decoder.u64();
    const auto step = static_cast<Step>(decoder.u8());
    const BucketInfo bucket = decode_bucket(decoder);
    answer(r, decoder.complete() ? apply_numbered(number, step, bucket) : Result<void>(fail(malformed("a bucket"))));
  });
}

Result<void> Buckets::adopt(const std::vector<BucketInfo>& all) {
  for (const auto& bucket : all) {
    const auto [at, is_new] = known_.emplace(bucket.name, bucket);
    if (is_new) continue;
    at->second.created_ns = std::min(at->second.created_ns, bucket.created_ns);
    at->second.options = base::stronger(at->second.options, bucket.options);  // a disk that lost its note knows none
  }
  if (local_ == nullptr) return {};
  for (const auto& [name, bucket] : known_) TARN_CHECK(local_->adopt_bucket(bucket));
  return {};
}

bool Buckets::has(std::string_view bucket) const {
  const std::shared_lock lock(mutex_);
  return known_.find(bucket) != known_.end();
}

std::optional<BucketOptions> Buckets::options(std::string_view bucket) const {
  const std::shared_lock lock(mutex_);
  const auto at = known_.find(bucket);
  return at == known_.end() ? std::nullopt : std::optional(at->second.options);
}

bool Buckets::any_mirror() const {
  const std::shared_lock lock(mutex_);
  return std::any_of(known_.begin(), known_.end(), [](const auto& bucket) { return bucket.second.options.mirror > 1; });
}

std::vector<BucketInfo> Buckets::list() const {
  const std::shared_lock lock(mutex_);
  std::vector<BucketInfo> all;
  all.reserve(known_.size());
  for (const auto& [name, bucket] : known_) all.push_back(bucket);
  return all;
}

Result<void> Buckets::create(std::string_view bucket, const BucketOptions& options) {
  TARN_CHECK(base::check_bucket_name(bucket));
  const BucketInfo wanted{std::string(bucket), 0, options};
  if (rank_ == 0) return run_on(control_, engine_, [this, wanted] { return create_everywhere(wanted); });
  base::Encoder message = begin_message();
  encode_bucket(message, wanted);
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

Result<BucketInfo> Buckets::find(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto at = known_.find(name);
  if (at == known_.end()) return fail(no_bucket(name));
  return at->second;
}

Result<void> Buckets::scatter(std::string_view bucket) {
  if (rank_ == 0) return run_on(control_, engine_, [this, name = std::string(bucket)] { return scatter_everywhere(name); });
  base::Encoder message = begin_message();
  message.text(bucket);
  TARN_CHECK(caller_.call(0, Op::bucket_scatter, std::move(message)));
  return {};
}

Result<void> Buckets::scatter_everywhere(const std::string& name) {
  TARN_TRY(BucketInfo bucket, find(name));
  // Also when it is known here: whoever asks does not know.
  bucket.options.scattered = true;
  return guarded("changing a bucket", [&] { return everywhere(Step::update, bucket); });
}

Result<void> Buckets::create_everywhere(BucketInfo bucket) {
  TARN_CHECK(base::check_bucket_name(bucket.name));
  if (has(bucket.name)) return fail(ErrorCode::exists, "bucket " + bucket.name + " exists already");
  bucket.created_ns = base::now_ns();
  auto outcome = guarded("creating a bucket", [&] { return everywhere(Step::create, bucket); });
  if (!outcome) {  // all or none
    if (auto undone = everywhere(Step::remove, bucket); !undone) base::log_warn("bucket " + bucket.name + ": " + undone.error().message);
  }
  return outcome;
}

Result<void> Buckets::remove_everywhere(const std::string& name) {
  TARN_TRY(BucketInfo bucket, find(name));
  TARN_CHECK(everywhere(Step::check_empty, bucket));
  auto outcome = guarded("removing a bucket", [&] { return everywhere(Step::remove, bucket); });
  if (!outcome) {  // an object came in between: the bucket stays, on all ranks
    if (auto undone = everywhere(Step::create, bucket); !undone) base::log_warn("bucket " + name + ": " + undone.error().message);
  }
  return outcome;
}

Result<void> Buckets::everywhere(Step step, const BucketInfo& bucket) {
  std::vector<RankId> ranks(static_cast<std::size_t>(ranks_));
  std::iota(ranks.begin(), ranks.end(), 0);
  const std::uint64_t number = ++last_step_;
  const auto ask = [&](RankId peer) {
    base::Encoder message = begin_message();
    message.u64(number).u8(static_cast<std::uint8_t>(step));
    encode_bucket(message, bucket);
    return caller_.start(peer, Op::bucket_apply, std::move(message));
  };
  auto outcome = for_each_rank(caller_, ranks, rank_, ask, [](RankId, std::span<const std::byte>) { return Result<void>(); });
  auto here = apply(step, bucket);
  return outcome ? here : outcome;
}

Result<void> Buckets::apply_numbered(std::uint64_t number, Step step, const BucketInfo& bucket) {
  auto& applied = applied_[bucket.name];
  if (number < applied) return fail(ErrorCode::aborted, "bucket " + bucket.name + ": this step has been overtaken by a later one");
  applied = number;
  return apply(step, bucket);
}

Result<void> Buckets::apply(Step step, const BucketInfo& bucket) {
  switch (step) {
    case Step::create:
      if (local_ != nullptr && !local_->has_bucket(bucket.name)) TARN_CHECK(local_->create_bucket(bucket.name, bucket.created_ns, bucket.options));
      break;
    case Step::check_empty:
      if (local_ != nullptr && local_->has_bucket(bucket.name)) {
        ListOptions one;
        one.max_keys = 1;
        TARN_TRY(const auto page, local_->list(bucket.name, one));
        if (!page.objects.empty()) return fail(ErrorCode::busy, "bucket " + bucket.name + " is not empty; remove its objects first");
      }
      return {};
    case Step::remove:
      if (local_ != nullptr && local_->has_bucket(bucket.name)) TARN_CHECK(local_->remove_bucket(bucket.name));
      break;
    case Step::update:
      if (local_ != nullptr) TARN_CHECK(local_->adopt_bucket(bucket));
      break;
    default:
      return fail(malformed("a bucket's step"));
  }
  const std::unique_lock lock(mutex_);
  if (step == Step::update) {
    if (const auto at = known_.find(bucket.name); at != known_.end()) at->second.options = bucket.options;
    return {};
  }
  if (step == Step::create) {
    known_.emplace(bucket.name, bucket);
  } else {
    known_.erase(bucket.name);
  }
  return {};
}

}  // namespace tarn::mpi
