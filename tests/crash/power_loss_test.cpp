// A machine that loses power at every moment: threads put and remove in a bucket with durability `sync` and in one without, over
// a file system that keeps a log. From the log come the states in which a loss of power may leave the disk
// (support/recording_file_system.hpp). The store must open on each of them and hold, of the `sync` bucket, every acknowledged
// object, for a change in progress the old or the new one, and nothing that was removed; of both nothing that was never put.
// Some of the states are worked on, and lose power again.
//
// Objects that a flush() covered, in either bucket, are as sure. The disk is compacted all the time, as hard as it goes.
//
// LMDB writes by itself: the index is lost or what it was at some earlier moment.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.hpp"
#include "object/local_store.hpp"
#include "support/recording_file_system.hpp"
#include "support/temporary_directory.hpp"

using namespace tarn;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

constexpr int kThreads = 3, kKeys = 3, kChanges = 40;  // keys and changes of each thread
constexpr std::uint64_t kVolumeBytes = 200'000;
constexpr int kImagesPerSession = 25, kGenerations = 3;
const char* const kBuckets[] = {"safe", "plain"};

/// What a key holds: the number of its version, which is never used twice; 0: nothing.
using Version = std::uint64_t;

/// Of a key that is only appended to: its version is its size.
std::string log_of(Version version) {
  std::string text(version, '\0');
  for (std::size_t i = 0; i < text.size(); i += 64) {
    const std::uint64_t word = base::xxh3_64(std::string_view("log"), i);
    std::memcpy(text.data() + i, &word, std::min<std::size_t>(8, text.size() - i));
  }
  return text;
}
bool is_log(const std::string& key) {
  return key.ends_with("log");
}

std::string body_of(Version version) {
  const std::uint64_t dice = base::xxh3_64(std::string_view("size"), version);
  std::string text(dice % 6 == 0 ? (1 << 20) + dice / 6 % 100'000 : 8 + dice / 6 % 20'000, '\0');
  for (std::size_t i = 0; i < text.size(); i += 8) {
    const std::uint64_t word = i == 0 ? version : base::xxh3_64(std::string_view("body"), version + i);
    std::memcpy(text.data() + i, &word, std::min<std::size_t>(8, text.size() - i));
  }
  return text;
}

struct Event {
  std::size_t moment;
  std::string bucket, key;  ///< no bucket: a flush of all
  Version version;
  bool done;  ///< acknowledged; else begun
};

/// What may be found of a key.
struct State {
  Version sure = 0;                 ///< acknowledged
  std::optional<Version> possible;  ///< begun since
  std::set<Version> ever = {};
  std::set<Version> since_flush = {0};  ///< what the last flush covered, and whatever was begun later
  std::set<Version> in_flush = {0};     ///< the same of the flush that runs
};
using Model = std::map<std::pair<std::string, std::string>, State>;

void add_flush(Model& model, bool done) {
  for (auto& [name, state] : model) {
    if (done) {
      state.since_flush = state.in_flush;
      continue;
    }
    state.in_flush = {state.sure};
    if (state.possible) state.in_flush.insert(*state.possible);
  }
}

void add(Model& model, const Event& event) {
  if (event.bucket.empty()) return add_flush(model, event.done);
  State& state = model[{event.bucket, event.key}];
  if (event.version != 0) state.ever.insert(event.version);
  state.since_flush.insert(event.version);
  state.in_flush.insert(event.version);
  state.possible = event.version;
  if (!event.done) return;
  state.sure = event.version;
  state.possible.reset();
}

[[noreturn]] void stop(const std::string& what) {
  std::printf("%s\n", what.c_str());
  std::fflush(stdout);
  std::_Exit(1);
}

std::unique_ptr<object::LocalStore> open_store(const std::string& directory, base::FileSystem& file_system) {
  object::LocalStoreOptions options;
  options.directories = {directory};
  options.volume_bytes_max = kVolumeBytes;
  options.compaction = {100 << 20, 1000, 0};
  auto store = object::LocalStore::open(options, file_system);
  if (!store) stop(directory + " does not open: " + store.error().message);
  return std::move(*store);
}

/// @param settle  what was found is from now on what must be found.
void check(const object::LocalStore& store, Model& model, bool settle) {
  for (auto& [name, state] : model) {
    const auto& [bucket, key] = name;
    const std::string what = bucket + "/" + key + ": ";
    const auto got = store.get(0, {bucket, key});
    Version found = 0;
    if (got) {
      if (got->size() >= 8) std::memcpy(&found, got->data(), 8);
      if (is_log(key)) found = got->size();
      if (state.ever.count(found) == 0 ||
          std::string(reinterpret_cast<const char*>(got->data()), got->size()) != (is_log(key) ? log_of(found) : body_of(found)))
        stop(what + "garbage of " + std::to_string(got->size()) + " bytes");
    } else if (got.error().code != ErrorCode::not_found && got.error().code != ErrorCode::bucket_not_found) {
      stop(what + got.error().message);
    }
    if (bucket == "safe" && found != state.sure && found != state.possible)
      stop(what + "version " + std::to_string(found) + " found, " + std::to_string(state.sure) + " was acknowledged" +
           (state.possible ? ", " + std::to_string(*state.possible) + " begun" : ""));
    if (state.since_flush.count(found) == 0) stop(what + "version " + std::to_string(found) + " found, a later one was flushed");
    if (settle) state = {found, {}, std::move(state.ever), {found}, {found}};
  }
}

/// One life of the store on a directory, and what can become of it.
class Session {
 public:
  Session(std::string directory, std::string boot_file, Model model, std::mt19937_64& random)
      : directory_(std::move(directory)), recorder_(directory_, "index", std::move(boot_file)), model_(std::move(model)), random_(random) {
    auto store = open_store(directory_, recorder_);
    check(*store, model_, true);
    for (const char* const bucket : kBuckets) {
      const BucketOptions options{bucket == std::string_view("safe") ? Durability::sync : Durability::none};
      if (store->has_bucket(bucket)) continue;
      if (const auto made = store->create_bucket(bucket, 1, options); !made) stop(made.error().message);
    }
    if (store->buckets().back().options.durability != Durability::sync) stop("the bucket has forgotten that it is safe");
    made_ = recorder_.now();
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([this, &store, i, seed = random_()] { work(*store, std::to_string(i) + "-", seed); });
    for (auto& thread : threads) thread.join();
    check(*store, final_model(), false);
    if (const auto closed = store->close(); !closed) stop(closed.error().message);
    closed_ = recorder_.now();
  }

  /// The disk after a loss of power at a random moment. @return what may be in it.
  Model lose_power(const std::string& target) {
    const std::size_t moment = random_() % 20 == 0 ? closed_ : recorder_.begin() + random_() % (closed_ - recorder_.begin() + 1);
    recorder_.image(moment, target, random_);
    // After a clean end the index is on stable storage as well. In between it may be anything that it ever was: whoever trusts it is wrong.
    if (moment >= made_ && random_() % 3 != 0) fs::copy(directory_ + "/index", target + "/index");
    Model model = model_;
    for (const Event& event : events_)
      if (event.moment <= moment)
        add(model, event);
      else if (!event.bucket.empty() && event.version != 0)
        model[{event.bucket, event.key}];  // must not be there yet
    return model;
  }
  [[nodiscard]] std::size_t changes() const { return events_.size() / 2; }

 private:
  void work(object::LocalStore& store, const std::string& prefix, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::set<std::pair<std::string, std::string>> present;
    for (int i = 0; i < kChanges; ++i) {
      if (prefix == "0-" && random() % 8 == 0) flush(store);
      const std::string bucket = kBuckets[random() % 4 == 0 ? 1 : 0];
      const std::string key = prefix + std::to_string(random() % kKeys);
      if (random() % 6 == 0) {
        append(store, {bucket, prefix + "log"}, random() % 3 == 0 ? 600'000 : 1 + random() % 9'000);
        continue;
      }
      const bool remove = random() % 4 == 0 && store.find(0, {bucket, key});
      const Version version = remove ? 0 : ++last_version;
      const std::string body = remove ? std::string() : body_of(version);
      note({0, bucket, key, version, false});
      const auto outcome = remove ? store.remove(0, {bucket, key}) : put(store, {bucket, key}, body, random() % 4);
      if (!outcome) stop(outcome.error().message);
      note({0, bucket, key, version, true});
    }
  }
  /// By one thread only: the model has room for one flush at a time.
  void flush(object::LocalStore& store) {
    note({0, "", "", 0, false});
    if (const auto flushed = store.flush(); !flushed) stop(flushed.error().message);
    note({0, "", "", 0, true});
  }
  void append(object::LocalStore& store, const ObjectName& name, std::size_t more) {
    const auto found = store.find(0, name);
    const Version size = found ? found->info.size_bytes : 0;
    const std::string body = log_of(size + more);
    note({0, name.bucket, name.key, size + more, false});
    const auto done = store.append(0, name, std::as_bytes(std::span(body).subspan(size)));
    if (!done) stop(done.error().message);
    note({0, name.bucket, name.key, size + more, true});
  }
  static Result<void> upload(object::LocalStore& store, const ObjectName& name, std::span<const std::byte> bytes) {
    auto& uploads = store.uploads();
    TARN_TRY(const auto begun, uploads.begin(0, name, {}));
    const std::size_t half = bytes.size() / 2;
    for (const std::uint32_t number : {2U, 1U}) {
      TARN_TRY(const auto writer, uploads.part(0, name, begun.id, number, UINT64_MAX));
      TARN_CHECK(writer->write(number == 1 ? bytes.first(half) : bytes.subspan(half)));
      TARN_CHECK(writer->commit());
    }
    TARN_CHECK(uploads.complete(0, name, begun.id, std::vector<object::WantedPart>{{1, {}}, {2, {}}}));
    return {};
  }
  static Result<void> put(object::LocalStore& store, const ObjectName& name, const std::string& body, std::uint64_t way) {
    const auto bytes = std::as_bytes(std::span(body.data(), body.size()));
    if (way == 0) return upload(store, name, bytes);
    if (way > 1) {
      if (auto done = store.put(0, name, bytes, {}); !done) return fail(done.error());
      return {};
    }
    auto writer = store.create(0, name, {}, UINT64_MAX);
    if (!writer) return fail(writer.error());
    if (auto written = (*writer)->write(bytes); !written) return written;
    if (auto done = (*writer)->commit(); !done) return fail(done.error());
    return {};
  }
  void note(Event event) {
    const std::lock_guard lock(events_mutex_);
    event.moment = recorder_.now();
    events_.push_back(std::move(event));
  }
  Model& final_model() {
    final_ = model_;
    for (const Event& event : events_) add(final_, event);
    return final_;
  }

  static inline std::atomic<Version> last_version{0};
  const std::string directory_;
  RecordingFileSystem recorder_;
  Model model_, final_;  // when the session began, and ended
  std::mt19937_64& random_;
  std::mutex events_mutex_;  // guards events_
  std::vector<Event> events_;
  std::size_t made_ = 0, closed_ = 0;
};

void write_boot(const std::string& path) {
  static int number = 0;
  const std::string text = "boot-" + std::to_string(++number) + "\n";
  FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr || std::fputs(text.c_str(), file) < 0) stop("cannot write " + path);
  std::fclose(file);
}

}  // namespace

int main(int argc, char** argv) {
  int images = 300;
  std::uint64_t seed = std::random_device()();
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--images") images = std::atoi(argv[i + 1]);
    if (std::string_view(argv[i]) == "--seed") seed = std::strtoull(argv[i + 1], nullptr, 10);
  }
  std::printf("crash_power_loss --images %d --seed %llu\n", images, static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  std::mt19937_64 random(seed);
  std::size_t done = 0, changes = 0, sessions = 0;
  while (done < static_cast<std::size_t>(images)) {
    const TemporaryDirectory temporary;
    const std::string boot = temporary.file("boot");
    std::string directory = fs::canonical(temporary.path()).string() + "/disk";
    Model model;
    for (int generation = 0; generation < kGenerations; ++generation, ++sessions) {
      write_boot(boot);
      Session session(directory, boot, std::move(model), random);
      changes += session.changes();
      for (int i = 0; i < kImagesPerSession; ++i, ++done) {
        const std::string image = temporary.file("image");
        Model expected = session.lose_power(image);
        write_boot(boot);
        BootedFileSystem booted(boot);
        {
          const auto store = open_store(image, booted);
          check(*store, expected, true);
        }
        if (i % 8 == 0) check(*open_store(image, booted), expected, false);  // as it was closed
        fs::remove_all(image);
      }
      directory += "x";
      model = session.lose_power(directory);
    }
  }
  std::printf("%zu images of %zu changes in %zu sessions: all acknowledged objects are there\n", done, changes, sessions);
  return 0;
}
