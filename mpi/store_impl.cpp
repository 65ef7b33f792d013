#include "mpi/store_impl.hpp"

#include <new>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "mpi/dsort.hpp"
#include "mpi/guarded.hpp"
#include "mpi/membership.hpp"

namespace tarn {

namespace {

constexpr std::chrono::seconds kFarewell{2};  // for the answers of those that still answer

}  // namespace

Store::Impl::Impl(Comms comms, mpi::Members members, mpi::ThreadLevel level, base::FileSystem& files)
    : members_(std::move(members)),
      options_(members_.options),
      files_(files),
      calling_thread_(level),
      comms_(std::move(comms)),
      engine_({level == mpi::ThreadLevel::any, options_.idle_poll_cap}),
      collectives_(engine_, comms_.application),
      job_collectives_(engine_, comms_.jobs),
      calls_(collectives_),
      caller_(engine_, comms_.peers.get(), mpi::request_timeout(options_, comms_.peers.size())),
      service_(engine_, comms_.peers.get(), comms_.peers.size(), data_pool_, control_pool_),
      client_(caller_),
      presence_(caller_, comms_.peers.rank(), comms_.peers.size()) {}

Store::Impl::~Impl() {
  if (opened_ && !closed_) say_farewell();
  stop();
  if (opened_ && !closed_) {
    base::log_warn("a store was destroyed without close(): its communicators are lost");
    comms_.peers.abandon();
    comms_.application.abandon();
    comms_.jobs.abandon();
    comms_.role.abandon();
  }
}

Result<void> Store::Impl::open() {
  base::set_log_rank(rank());
  TARN_CHECK(collectives_.agree(mpi::guarded("open", [&] { return claim_endpoint_file(); })));
  TARN_CHECK(collectives_.agree(mpi::guarded("open", [&] { return open_disks(members_.ranks[static_cast<std::size_t>(rank())]); })));
  if (options_.sidecar.enabled) {
    auto bound = http::Sidecar::bind(options_.sidecar, rank());
    if (bound) sidecar_ = std::move(*bound);
    TARN_CHECK(collectives_.agree(bound ? Result<void>() : Result<void>(fail(bound.error()))));
  } else {
    TARN_CHECK(collectives_.agree({}));
  }
  TARN_TRY(auto map, mpi::exchange_disks(collectives_, local_.get(), members_.ranks, url()));
  map_ = std::make_shared<const placement::StoreMap>(std::move(map));
  TARN_TRY(const auto buckets, mpi::exchange_buckets(collectives_, local_.get()));
  TARN_TRY(secrets_, mpi::share_secrets(collectives_, options_.sidecar.anonymous));
  TARN_CHECK(doorbell_.open(collectives_));
  TARN_CHECK(changes_.open(collectives_, map_->ranks));
  if (local_) local_->count_changes(changes_.own());
  make_parts();
  TARN_CHECK(collectives_.agree(mpi::guarded("open", [&] { return buckets_->adopt(buckets); })));
  TARN_CHECK(layout_.find_out(collectives_, local_.get(), *map_, buckets_->any_mirror()));
  TARN_CHECK(collectives_.agree(start_threads()));
  TARN_CHECK(watch_ranks());
  if (!layout_.settled() && buckets_->any_mirror()) jobs_->count_copies();  // the same on all ranks
  TARN_CHECK(serve());
  opened_ = true;
  return {};
}

Result<void> Store::Impl::claim_endpoint_file() {
  if (rank() != members_.endpoint_writer) return {};
  TARN_TRY(endpoint_file_, mpi::EndpointFile::claim(options_.sidecar.endpoint_file));
  return {};
}

Result<void> Store::Impl::open_disks(const placement::Rank& here) {
  object::LocalStoreOptions local;
  local.directories = mpi::substitute_directories(options_, here);
  local.space = options_.space;
  if (local.directories.empty()) return {};
  local.compaction.bytes_per_second = options_.compaction_bytes_per_second;
  TARN_TRY(local_, object::LocalStore::open(local, files_));
  return {};
}

void Store::Impl::make_parts() {
  if (local_) handlers_.emplace(*local_, data_pool_, caller_.timeout());
  neighbours_.emplace(*map_, rank(), &changes_);
  fetcher_.emplace(rank(), local_.get(), *neighbours_, client_);
  homes_.emplace(rank(), local_.get(), client_, *neighbours_);
  copies_.emplace(map_, rank(), local_.get(), *homes_, layout_);
  placed_.emplace(map_, rank(), *homes_, *copies_);
  buckets_.emplace(engine_, caller_, control_pool_, rank(), size(), local_.get());
  jobs_.emplace(engine_, caller_, control_pool_, dsort_context(job_collectives_), settle_context(job_collectives_));
  store_.emplace(mpi::DistributedStore::Parts{map_, rank(), local_.get(), *homes_, *copies_, *placed_, *buckets_, *jobs_});
  presence_.add_to(service_);
  if (handlers_) handlers_->add_to(service_);
  buckets_->add_to(service_);
  jobs_->add_to(service_);
  store_->add_to(service_);
  engine_.listen(comms_.peers.get(), *this);
  engine_.wake_by(doorbell_);
}

Result<void> Store::Impl::start_threads() {
  TARN_CHECK(data_pool_.start(mpi::kDataThreads, mpi::kDataThreadsMax));
  TARN_CHECK(control_pool_.start(1));
  TARN_CHECK(jobs_->start_thread());
  return engine_.start();
}

Result<void> Store::Impl::watch_ranks() {
  const auto mine = static_cast<std::byte>(engine_.has_own_thread() ? 1 : 0);
  TARN_TRY(const auto all, collectives_.all_gather(std::span(&mine, 1)));
  std::vector<bool> answering;
  for (const auto& one : all) answering.push_back(one.front() != std::byte{0});
  presence_.set_answering(std::move(answering));
  collectives_.end_with(presence_);
  job_collectives_.end_with(presence_);
  return {};
}

Result<void> Store::Impl::serve() {
  Result<void> outcome;
  if (sidecar_) outcome = sidecar_->start(*store_, {secrets_.token, secrets_.secret_key, options_.sidecar.endpoint_file});
  TARN_CHECK(collectives_.agree(std::move(outcome)));
  if (sidecar_) sidecar_->set_ready(true);
  TARN_CHECK(collectives_.barrier());
  outcome = {};
  if (endpoint_file_) outcome = endpoint_file_->write(*map_, secrets_);
  return collectives_.agree(std::move(outcome));
}

void Store::Impl::on_message(MPI_Message message, int source, int tag, std::size_t size_bytes) {
  presence_.heard(source);
  if (tag == mpi::kRequestTag) {
    service_.on_request(message, source, size_bytes);
  } else if (tag == mpi::kReplyTag) {
    caller_.on_reply(message, source, size_bytes);
  } else {
    caller_.on_data(message, source, static_cast<std::size_t>(tag - mpi::kDataTag), size_bytes);
  }
}

void Store::Impl::on_tick(mpi::Clock::time_point now) {
  presence_.on_tick(now);
  service_.on_tick();
  data_pool_.relieve();
  client_.on_tick(now);
  neighbours_->on_tick(now);
  if (handlers_) handlers_->on_tick(now);
}

mpi::DsortContext Store::Impl::dsort_context(mpi::Collectives& collectives) {
  return {collectives,
          *fetcher_,
          local_.get(),
          map_,
          [this](const std::string& bucket) { return buckets_->create(bucket); },
          [this](const std::string& bucket) { return buckets_->remove(bucket); },
          0,
          [this](mpi::Collectives& together, const std::string& bucket) {
            auto context = settle_context(together);
            return mpi::make_copies(context, bucket);
          },
          [this](const std::string& bucket) {
            const auto options = buckets_->options(bucket);
            return options && mpi::uses_pointers(*options);
          },
          [this] { return layout_.settled(); }};
}

mpi::SettleContext Store::Impl::settle_context(mpi::Collectives& collectives) {
  return {collectives, local_.get(), *copies_, *homes_, *placed_, *buckets_, layout_, [this](std::chrono::milliseconds time) {
            mpi::Event never;
            engine_.wait(never, mpi::Clock::now() + time);
          }};
}

Result<void> Store::Impl::close() {
  if (closed_) return {};
  const auto all_here = begin(mpi::CollectiveCall::close);
  if (!all_here && all_here.error().code == ErrorCode::invalid) return all_here;  // nothing has been closed
  open_token_.reset();
  if (endpoint_file_) endpoint_file_->remove();
  if (sidecar_) beside_engine([this] { sidecar_->stop(); });
  TARN_CHECK(all_here);
  TARN_CHECK(collectives_.barrier());  // no rank starts a sort any more
  beside_engine([this] { jobs_->stop(); });
  client_.stop_touching();
  TARN_CHECK(collectives_.barrier());  // no rank asks another for anything any more
  if (!drain(caller_.timeout())) base::log_warn("some answers of other ranks never came; their messages are left behind");
  TARN_CHECK(collectives_.barrier());
  data_pool_.stop();
  control_pool_.stop();
  if (handlers_) handlers_->close();
  auto outcome = collectives_.agree(mpi::guarded("close", [&] { return local_ ? local_->close() : Result<void>(); }));
  closed_ = true;
  stop();
  comms_ = Comms();
  return outcome;
}

template <class Function>
void Store::Impl::beside_engine(Function function) {
  mpi::Event done;
  std::thread thread([&] {
    function();
    done.set();
  });
  engine_.wait(done, mpi::kNoDeadline);
  thread.join();
}

void Store::Impl::say_farewell() noexcept {
  // Nobody is told twice, and MPI is called only by a thread that may.
  if (!mpi::mpi_is_usable() || !calling_thread_.allows() || collectives_.over() || presence_.over()) return;
  const mpi::ApplicationCall call;
  presence_.give_up("the store was destroyed without close()");
  try {
    static_cast<void>(drain(kFarewell));
  } catch (const std::bad_alloc&) {  // the others find out by silence
    return;
  }
}

bool Store::Impl::drain(std::chrono::milliseconds time) {
  const auto limit = mpi::Clock::now() + time;
  // Shared: the last look may come after the end of the wait.
  struct Look {
    mpi::Event done;
    bool idle = false;
  };
  while (mpi::Clock::now() < limit) {
    const auto look = std::make_shared<Look>();
    // One turn of the engine lies between two looks, so this does not hold up what it waits for.
    if (!engine_.execute([this, look] {
          look->idle = engine_.outstanding() == 0 && caller_.idle();
          look->done.set();
        }))
      return true;
    if (!engine_.wait(look->done, limit)) return false;
    if (look->idle) return true;
  }
  return false;
}

void Store::Impl::stop() noexcept {
  if (sidecar_) sidecar_->stop();
  sidecar_.reset();
  if (jobs_ && !closed_) jobs_->stop();
  engine_.stop();
  caller_.fail_all(Error(ErrorCode::aborted, "the store is closed on this rank"));
  data_pool_.stop();
  control_pool_.stop();
}

}  // namespace tarn
