#include <tarn/store.hpp>

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "mpi/store_impl.hpp"

namespace tarn {

namespace {

/// What every public call has around it: the application's thread may turn the engine, nothing is thrown, and a
/// store that has been moved from or closed, or is called by a thread that may not call MPI, says so.
template <class Impl, class Function>
auto guarded(Impl* impl, Function function) -> decltype(function()) {
  if (impl == nullptr || impl->closed()) return fail(ErrorCode::aborted, "this store is closed");
  if (!impl->calling_thread().allows()) return fail(mpi::wrong_thread());
  const mpi::ApplicationCall call;
  try {
    return function();
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, error.what());
  }
}

/// Gives the calls of a writer what guarded() gives the calls of Store.
class GuardedWriter final : public ObjectWriter {
 public:
  GuardedWriter(std::unique_ptr<ObjectWriter> writer, std::weak_ptr<const void> store, const mpi::CallingThread& calling_thread)
      : writer_(std::move(writer)), store_(std::move(store)), calling_thread_(calling_thread) {}
  ~GuardedWriter() override {
    const mpi::ApplicationCall call;
    writer_.reset();
  }
  Result<void> write(std::span<const std::byte> bytes) override {
    return guard([&] { return writer_->write(bytes); });
  }
  Result<void> prepare() override {
    return guard([&] { return writer_->prepare(); });
  }
  Result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> target) override {
    return guard([&] { return writer_->read_back(offset, target); });
  }
  Result<ObjectInfo> commit() override {
    return guard([&] { return writer_->commit(); });
  }

 private:
  template <class Function>
  auto guard(Function function) -> decltype(function()) {
    if (store_.expired()) return fail(ErrorCode::aborted, "this store is closed");
    if (!calling_thread_.allows()) return fail(mpi::wrong_thread());
    const mpi::ApplicationCall call;
    try {
      return function();
    } catch (const std::exception& error) {
      return fail(ErrorCode::internal, error.what());
    }
  }
  std::unique_ptr<ObjectWriter> writer_;
  const std::weak_ptr<const void> store_;  // writer_ uses its disks
  const mpi::CallingThread calling_thread_;
};

}  // namespace

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

RankId Store::rank() const noexcept {
  return impl_ ? impl_->rank() : -1;
}
int Store::size() const noexcept {
  return impl_ ? impl_->size() : 0;
}
std::string Store::url() const {
  return impl_ ? impl_->url() : std::string();
}
std::string Store::token() const {
  return impl_ ? impl_->token() : std::string();
}

Result<void> Store::create_bucket(std::string_view bucket, const BucketOptions& options) {
  return guarded(impl_.get(), [&] { return impl_->store().create_bucket(bucket, options); });
}
Result<void> Store::remove_bucket(std::string_view bucket) {
  return guarded(impl_.get(), [&] { return impl_->store().remove_bucket(bucket); });
}
Result<std::vector<BucketInfo>> Store::buckets() const {
  return guarded(impl_.get(), [&] { return impl_->store().buckets(); });
}
Result<ObjectInfo> Store::put(const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options) {
  return guarded(impl_.get(), [&] { return impl_->store().put(name, bytes, options); });
}
Result<std::unique_ptr<ObjectWriter>> Store::writer(const ObjectName& name, const PutOptions& options) {
  return guarded(impl_.get(), [&]() -> Result<std::unique_ptr<ObjectWriter>> {
    TARN_TRY(auto writer, impl_->store().create(name, options, UINT64_MAX));
    return std::make_unique<GuardedWriter>(std::move(writer), impl_->open_token(), impl_->calling_thread());
  });
}
Result<std::vector<std::byte>> Store::get(const ObjectName& name) {
  return guarded(impl_.get(), [&] { return impl_->store().get(name); });
}
Result<std::vector<std::byte>> Store::get(const ObjectName& name, ByteRange range) {
  return guarded(impl_.get(), [&] { return impl_->store().get(name, range); });
}
Result<std::size_t> Store::read(const ObjectName& name, std::uint64_t offset, std::span<std::byte> target) {
  return guarded(impl_.get(), [&] { return impl_->store().read(name, offset, target); });
}
Result<ObjectInfo> Store::head(const ObjectName& name) {
  return guarded(impl_.get(), [&] { return impl_->store().head(name); });
}
Result<ListPage> Store::list(std::string_view bucket, const ListOptions& options) {
  return guarded(impl_.get(), [&] { return impl_->store().list(bucket, options); });
}
Result<void> Store::remove(const ObjectName& name) {
  return guarded(impl_.get(), [&] { return impl_->store().remove(name, std::nullopt); });
}
Result<RankId> Store::owner(const ObjectName& name) const {
  return guarded(impl_.get(), [&] { return impl_->store().owner(name); });
}
std::vector<StoreDisk> Store::placement() const {
  std::vector<StoreDisk> disks;
  if (!impl_ || impl_->closed()) return disks;
  const auto map = impl_->store().map();
  for (const auto& disk : map->disks)
    disks.push_back({disk.id.to_string(), disk.rank, map->ranks[static_cast<std::size_t>(disk.rank)].node, disk.directory, disk.weight});
  return disks;
}
Result<DsortReport> Store::dsort(const DsortSpec& spec, const DsortProgressFn& progress) {
  return guarded(impl_.get(), [&] { return impl_->dsort(spec, progress); });
}
Result<RebalanceReport> Store::rebalance(const RebalanceOptions& options, const RebalanceProgressFn& progress) {
  return guarded(impl_.get(), [&] { return impl_->rebalance(options, progress); });
}
Result<RebalanceReport> Store::repair(const RebalanceOptions& options, const RebalanceProgressFn& progress) {
  return rebalance(options, progress);
}
bool Store::settled() const noexcept {
  return impl_ && impl_->settled();
}
Result<void> Store::flush() {
  return guarded(impl_.get(), [&] { return impl_->flush(); });
}
Result<void> Store::close() {
  if (impl_ && impl_->closed()) return {};
  return guarded(impl_.get(), [&] { return impl_->close(); });
}
Result<StoreStats> Store::stats() {
  return guarded(impl_.get(), [&] { return impl_->store().stats(); });
}
bool Store::progress() {
  if (!impl_ || impl_->closed() || !impl_->calling_thread().allows()) return false;
  const mpi::ApplicationCall call;
  return impl_->engine().drive();
}

}  // namespace tarn
