#include "support/local_service.hpp"

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"

namespace tarn::tests {

struct LocalCluster::State {
  ClusterOptions options;
  std::vector<std::unique_ptr<object::LocalStore>> stores;
  std::vector<std::unique_ptr<Service>> services;
  std::shared_ptr<const placement::StoreMap> map;
  std::mutex mutex;  // guards sorts
  std::set<std::string, std::less<>> sorts;
};

namespace {

/// What a rank sees of another rank's object: the bytes, and the files only on the same node.
class RemoteReader final : public object::ObjectReader {
 public:
  RemoteReader(std::unique_ptr<object::ObjectReader> reader, const ClusterOptions& options) : reader_(std::move(reader)), options_(options) {}
  const ObjectInfo& info() const noexcept override { return reader_->info(); }
  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> target) override {
    std::this_thread::sleep_for(options_.delay);
    return reader_->read(offset, target);
  }
  std::vector<object::FileExtent> extents() const override { return options_.same_node ? reader_->extents() : std::vector<object::FileExtent>(); }
  bool verified() const noexcept override { return reader_->verified(); }

 private:
  std::unique_ptr<object::ObjectReader> reader_;
  const ClusterOptions& options_;
};

}  // namespace

class LocalCluster::Service final : public object::ObjectService {
 public:
  Service(State& state, RankId rank) : state_(state), rank_(rank) {}

  std::shared_ptr<const placement::StoreMap> map() const override { return state_.map; }
  RankId rank() const noexcept override { return rank_; }
  object::Location locate(std::string_view bucket, std::string_view key) const override {
    const RankId owner = state_.options.disagree ? (rank_ + 1) % ranks() : home(bucket, key);
    return {owner, owner == rank_, owner == rank_ || state_.options.same_node, owner != rank_};
  }
  bool has_bucket(std::string_view bucket) const override { return state_.stores.front()->has_bucket(bucket); }

  Result<std::unique_ptr<object::ObjectReader>> open(const ObjectName& name) override {
    TARN_TRY(auto reader, store_of(name).open_reader(0, name));
    if (home(name.bucket, name.key) == rank_) return reader;
    return std::unique_ptr<object::ObjectReader>(std::make_unique<RemoteReader>(std::move(reader), state_.options));
  }
  Result<ObjectInfo> head(const ObjectName& name) override {
    TARN_TRY(auto found, store_of(name).find(0, name));
    return std::move(found.info);
  }
  Result<std::unique_ptr<ObjectWriter>> create(const ObjectName& name, const PutOptions& options, std::uint64_t size_hint) override {
    return store_of(name).create(0, name, options, size_hint);
  }
  Result<void> remove(const ObjectName& name, const std::optional<Checksum>& version) override {
    if (name.key == "while-closing") return fail(ErrorCode::aborted, "the store is closed on this rank");
    return store_of(name).remove(0, name, version);
  }

  Result<ListPage> list(std::string_view bucket, const ListOptions& options) override {
    ListPage merged;
    std::set<std::string> prefixes;
    for (const auto& store : state_.stores) {
      TARN_TRY(auto page, store->list(bucket, options));
      merged.truncated = merged.truncated || page.truncated;
      std::move(page.objects.begin(), page.objects.end(), std::back_inserter(merged.objects));
      prefixes.insert(page.common_prefixes.begin(), page.common_prefixes.end());
    }
    std::sort(merged.objects.begin(), merged.objects.end(), [](const ObjectInfo& a, const ObjectInfo& b) { return a.key < b.key; });
    merged.common_prefixes.assign(prefixes.begin(), prefixes.end());
    cut(merged, options.max_keys);
    return merged;
  }
  Result<std::vector<BucketInfo>> buckets() override { return state_.stores.front()->buckets(); }
  Result<void> create_bucket(std::string_view bucket, const BucketOptions& options = {}) override {
    for (const auto& store : state_.stores) TARN_CHECK(store->create_bucket(bucket, base::now_ns(), options));
    return {};
  }
  Result<void> remove_bucket(std::string_view bucket) override {
    TARN_TRY(const auto page, list(bucket, ListOptions{}));
    if (!page.objects.empty()) return fail(ErrorCode::busy, "bucket '" + std::string(bucket) + "' is not empty");
    for (const auto& store : state_.stores) TARN_CHECK(store->remove_bucket(bucket));
    return {};
  }
  Result<StoreStats> stats() override { return StoreStats{}; }

  Result<std::string> start_job(const base::Json& spec) override {
    const auto id = base::json_string(spec, "test_id");
    if (!id) return fail(ErrorCode::invalid, "the sort's specification has no test_id");
    const std::lock_guard lock(state_.mutex);
    state_.sorts.insert(*id);
    return *id;
  }
  Result<base::Json> job_status(std::string_view id) override {
    const std::lock_guard lock(state_.mutex);
    if (state_.sorts.find(id) == state_.sorts.end()) return fail(ErrorCode::not_found, "there is no sort '" + std::string(id) + "'");
    return base::Json(base::JsonObject{{"id", id}, {"state", "running"}});
  }
  Result<void> abort_job(std::string_view id) override {
    const std::lock_guard lock(state_.mutex);
    const auto found = state_.sorts.find(id);
    if (found == state_.sorts.end()) return fail(ErrorCode::not_found, "there is no sort '" + std::string(id) + "'");
    state_.sorts.erase(found);
    return {};
  }
  std::vector<std::string> troubles() const override { return {}; }
  base::Metrics& metrics() noexcept override { return metrics_; }

 private:
  int ranks() const noexcept { return static_cast<int>(state_.stores.size()); }
  RankId home(std::string_view bucket, std::string_view key) const {
    if (key.size() > 2 && key[0] == 'r' && key[2] == '/' && key[1] >= '0' && key[1] - '0' < ranks()) return key[1] - '0';
    return static_cast<RankId>(base::xxh3_64(key, bucket.size()) % static_cast<std::uint64_t>(ranks()));
  }
  object::LocalStore& store_of(const ObjectName& name) const {
    const RankId owner = home(name.bucket, name.key);
    if (owner != rank_) std::this_thread::sleep_for(state_.options.delay);
    return *state_.stores[static_cast<std::size_t>(owner)];
  }
  /// The first `most` of objects and prefixes together, in order.
  static void cut(ListPage& page, std::size_t most) {
    while (page.objects.size() + page.common_prefixes.size() > most) {
      const bool drop_object = page.common_prefixes.empty() || (!page.objects.empty() && page.objects.back().key > page.common_prefixes.back());
      if (drop_object) {
        page.objects.pop_back();
      } else {
        page.common_prefixes.pop_back();
      }
      page.truncated = true;
    }
    if (!page.truncated) return;
    const std::string last_object = page.objects.empty() ? std::string() : page.objects.back().key;
    const std::string last_prefix = page.common_prefixes.empty() ? std::string() : page.common_prefixes.back();
    page.next_start_after = std::max(last_object, last_prefix);
  }

  State& state_;
  const RankId rank_;
  base::Metrics metrics_;
};

LocalCluster::LocalCluster(std::unique_ptr<State> state) : state_(std::move(state)) {}
LocalCluster::~LocalCluster() = default;

Result<std::unique_ptr<LocalCluster>> LocalCluster::open(const ClusterOptions& options) {
  auto state = std::make_unique<State>();
  state->options = options;
  for (std::size_t rank = 0; rank < options.directories.size(); ++rank) {
    TARN_TRY(auto store, object::LocalStore::open({{options.directories[rank]}, 1}));
    state->stores.push_back(std::move(store));
    state->services.push_back(std::make_unique<Service>(*state, static_cast<RankId>(rank)));
  }
  auto cluster = std::unique_ptr<LocalCluster>(new LocalCluster(std::move(state)));
  cluster->set_urls(std::vector<std::string>(options.directories.size()));
  return cluster;
}

int LocalCluster::size() const noexcept {
  return static_cast<int>(state_->stores.size());
}

object::ObjectService& LocalCluster::service(RankId rank) noexcept {
  return *state_->services[static_cast<std::size_t>(rank)];
}

object::LocalStore& LocalCluster::store(RankId rank) noexcept {
  return *state_->stores[static_cast<std::size_t>(rank)];
}

void LocalCluster::set_urls(const std::vector<std::string>& urls) {
  auto map = std::make_shared<placement::StoreMap>();
  for (std::size_t rank = 0; rank < urls.size(); ++rank) {
    const std::string node = state_->options.same_node ? "node" : "node" + std::to_string(rank);
    map->ranks.push_back({static_cast<RankId>(rank), "localhost", node, urls[rank]});
    const auto disk = state_->stores[rank]->disks().front();
    map->disks.push_back({disk.id, disk.weight, static_cast<RankId>(rank), 0, disk.directory});
  }
  std::sort(map->disks.begin(), map->disks.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  state_->map = std::move(map);
}

}  // namespace tarn::tests
