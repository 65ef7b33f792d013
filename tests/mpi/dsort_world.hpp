// dsort_world.hpp - a store of several ranks in one process, with what is needed to run dsort on it.
#pragma once

#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "mpi/dsort.hpp"
#include "object/local_store.hpp"
#include "placement/placement.hpp"
#include "shard/tar_format.hpp"
#include "spared_collectives.hpp"
#include "support/allocations.hpp"
#include "support/temporary_directory.hpp"
#include "thread_ranks.hpp"

namespace tarn::tests {

/// Reads every rank's volumes directly.
class DirectFetcher final : public mpi::Fetcher {
 public:
  explicit DirectFetcher(const std::vector<std::unique_ptr<object::LocalStore>>& stores) : stores_(stores) {}
  Result<void> fetch(std::span<const mpi::FetchRequest> requests) override {
    for (const auto& request : requests) {
      auto file = stores_[static_cast<std::size_t>(request.rank)]->volume_file(request.disk, request.volume);
      if (!file) return fail(file.error());
      auto got = (*file)->read_at(request.offset, std::span(request.target, request.length_bytes));
      if (!got) return fail(got.error());
      if (*got != request.length_bytes) return fail(ErrorCode::out_of_range, "short volume");
      if (before_read) before_read();
      if (refuse) TARN_CHECK(refuse());
      if (spoil_next && request.length_bytes > 700 && spoil_next.exchange(false)) request.target[600] ^= std::byte{1};
    }
    return {};
  }
  std::atomic<bool> spoil_next{false};
  std::function<void()> before_read;     ///< by any thread of any rank; may throw
  std::function<Result<void>()> refuse;  ///< the same: the error that a read returns

 private:
  const std::vector<std::unique_ptr<object::LocalStore>>& stores_;
};

using Objects = std::map<std::string, std::string>;  // key -> bytes

class DsortWorld {
 public:
  /// @param fs_of  a file system for a rank's store; null: the real one.
  explicit DsortWorld(int ranks, int disks = 1, base::FileSystem* fs_of_last = nullptr) : fetcher(stores) {
    auto map = std::make_shared<placement::StoreMap>();
    map->store_id = base::Uuid::random();
    for (int r = 0; r < ranks; ++r) {
      object::LocalStoreOptions options;
      for (int d = 0; d < disks; ++d) options.directories.push_back(directory.file("r" + std::to_string(r) + "d" + std::to_string(d)));
      options.weight = 1000;
      const bool last = r + 1 == ranks && fs_of_last != nullptr;
      stores.push_back(object::LocalStore::open(options, last ? *fs_of_last : base::posix_file_system()).value());
      options_.push_back(options);
      if (!stores.back()->adopt(map->store_id)) throw std::runtime_error("adopt");
      map->ranks.push_back({r, "host", "node", ""});
      std::uint32_t index = 0;
      for (const auto& disk : stores.back()->disks()) map->disks.push_back({disk.id, 1000, r, index++, disk.directory});
    }
    std::sort(map->disks.begin(), map->disks.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    map_ = map;
  }

  void create_bucket(const std::string& bucket) {
    for (auto& store : stores)
      if (!store->create_bucket(bucket, 1)) throw std::runtime_error("create_bucket");
  }
  void put(const std::string& bucket, const std::string& key, std::string_view bytes) {
    const auto& disk = map_->disks[placement::home_disk(*map_, bucket, key)];
    (void)stores[static_cast<std::size_t>(disk.rank)]
        ->put(disk.index, {bucket, key}, std::as_bytes(std::span(bytes.data(), bytes.size())), {})
        .value();
  }
  void put_all(const std::string& bucket, const Objects& objects) {
    create_bucket(bucket);
    for (const auto& [key, bytes] : objects) put(bucket, key, bytes);
  }

  /// All ranks; each must return the same outcome, which is what this returns.
  Result<DsortReport> dsort(const DsortSpec& spec, unsigned threads = 2) {
    std::vector<Result<DsortReport>> outcomes(stores.size(), fail(ErrorCode::internal, "did not run"));
    run_ranks(static_cast<int>(stores.size()), [&](mpi::Collectives& ranks) {
      SparedCollectives collectives(ranks);
      const auto r = static_cast<std::size_t>(collectives.rank());
      const auto on_all = [this](auto step) {
        const SparedAllocations none;
        Result<void> outcome;
        for (auto& store : stores)
          if (auto done = step(*store); !done) outcome = fail(done.error());
        return outcome;
      };
      mpi::DsortContext context{collectives,
                                fetcher,
                                stores[r].get(),
                                map_,
                                [&](const std::string& bucket) { return on_all([&](auto& store) { return store.create_bucket(bucket, 1); }); },
                                [&](const std::string& bucket) { return on_all([&](auto& store) { return store.remove_bucket(bucket); }); },
                                threads};
      if (change_context) change_context(static_cast<RankId>(r), context);
      const DsortProgressFn on_progress = static_cast<RankId>(r) == progress_rank ? progress : DsortProgressFn{};
      const auto run = [&] { return mpi::run_dsort(context, spec, on_progress, abort); };
      outcomes[r] = around ? around(static_cast<RankId>(r), run) : run();
    });
    for (const auto& outcome : outcomes) {
      const bool same = outcome.has_value() == outcomes[0].has_value() &&
                        (outcome ? outcome->shards == outcomes[0]->shards && outcome->warnings == outcomes[0]->warnings &&
                                       outcome->output_bytes == outcomes[0]->output_bytes && outcome->samples == outcomes[0]->samples
                                 : outcome.error().message == outcomes[0].error().message);
      if (!same)
        return fail(ErrorCode::internal, "ranks disagree: " + (outcome ? "success" : outcome.error().message) + " / " +
                                             (outcomes[0] ? "success" : outcomes[0].error().message));
    }
    return outcomes[0];
  }

  /// What the bucket holds on all ranks, every object on its home disk.
  [[nodiscard]] Objects objects(const std::string& bucket) const {
    Objects all;
    for (std::size_t r = 0; r < stores.size(); ++r) {
      if (!stores[r]->has_bucket(bucket)) continue;
      (void)stores[r]->for_each(bucket, "", [&](const object::StoredObject& object) {
        const auto& home = map_->disks[placement::home_disk(*map_, bucket, object.info.key)];
        const auto bytes = stores[r]->get(object.disk, {bucket, object.info.key}).value();
        const bool at_home = home.rank == static_cast<RankId>(r) && home.index == object.disk;
        all[object.info.key] = at_home ? std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) : "misplaced";
        return true;
      });
    }
    return all;
  }
  [[nodiscard]] bool has_bucket(const std::string& bucket) const {
    return std::any_of(stores.begin(), stores.end(), [&](const auto& store) { return store->has_bucket(bucket); });
  }
  [[nodiscard]] std::size_t temporary_files() const {
    std::size_t count = kept_files();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path()))
      if (entry.path().extension() == ".tmp") ++count;
    return count;
  }
  /// Of shards that are finished and have no name, in order.
  [[nodiscard]] std::vector<std::filesystem::path> kept_paths() const {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path()))
      if (entry.path().parent_path().filename() == "kept" && entry.path().filename() != "named") paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
  }
  [[nodiscard]] std::size_t kept_files() const { return kept_paths().size(); }

  /// As the next job would.
  void reopen() {
    for (std::size_t r = 0; r < stores.size(); ++r) {
      stores[r].reset();
      stores[r] = object::LocalStore::open(options_[r]).value();
    }
  }

  TemporaryDirectory directory;
  std::vector<std::unique_ptr<object::LocalStore>> stores;
  DirectFetcher fetcher;
  std::atomic<bool> abort{false};
  DsortProgressFn progress;
  RankId progress_rank = 0;
  /// On each rank's thread, before and instead of run_dsort.
  std::function<void(RankId, mpi::DsortContext&)> change_context;
  std::function<Result<DsortReport>(RankId, const std::function<Result<DsortReport>()>& run)> around;

 private:
  std::shared_ptr<const placement::StoreMap> map_;
  std::vector<object::LocalStoreOptions> options_;
};

inline void append_member(std::string& archive, std::string_view name, std::string_view data) {
  const auto headers = shard::make_tar_headers(name, data.size());
  archive.append(reinterpret_cast<const char*>(headers.data()), headers.size());
  archive.append(data);
  archive.resize(shard::padded(archive.size()));
}

}  // namespace tarn::tests
