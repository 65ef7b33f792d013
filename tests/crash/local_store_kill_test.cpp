// local_store_kill_test.cpp - kill -9 of a process that writes, again and again, on the same disk.
//
// Each round forks a child. The child opens the store (recovering from the last kill), compares everything with what the
// parent knows, then puts, overwrites and removes objects from two threads until it is killed. It says on a pipe what it
// begins and what it has been told is done; the pipe outlives it. Never is the store closed. Some objects are put in parts, some
// uploads are left or aborted, and some keys are logs that are only appended to.
//
//   parent's model of a key:  done (the last acknowledged state) + begun (the one in flight, if any)
//   after a kill, either is right for a key with a begun change; only `done` for all others.
// Some rounds kill during recovery, some lose the index first, so that it is rebuilt from the volumes.
//
//   crash_local_store [--rounds N] [--seed S]
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.hpp"
#include "object/check.hpp"
#include "object/local_store.hpp"
#include "support/temporary_directory.hpp"

using namespace tarn;

namespace {

constexpr std::uint32_t kKeys = 48, kLogs = 4;
constexpr std::uint32_t kThreads = 2;
constexpr std::uint32_t kChangesMax = 150;  // of one thread in one round
constexpr int kRoundsPerDirectory = 100;

/// State of a key: absent, or the body that a number stands for.
using State = std::optional<std::uint64_t>;

struct KeyModel {
  State done;
  std::optional<State> begun;
};
using Model = std::map<std::uint32_t, KeyModel>;

struct Message {
  enum Kind : std::uint32_t { ready, observed, begin, done, wrong } kind = ready;
  std::uint32_t key = 0;
  std::uint64_t body = 0;  // 0: absent
};

std::string key_of(std::uint32_t key) {
  // Some are longer than an LMDB key, with a common beginning.
  if (key >= kKeys) return "log/" + std::to_string(key);
  return key % 8 == 7 ? std::string(900, 'k') + "/" + std::to_string(key) : "key/" + std::to_string(key);
}

/// A log's body is as long as its number says, less one.
std::string log_of(std::uint64_t number) {
  std::string body(number - 1, '\0');
  for (std::size_t i = 0; i < body.size(); i += 64) {
    const std::uint64_t word = base::xxh3_64(std::string_view("log"), i);
    std::memcpy(body.data() + i, &word, std::min<std::size_t>(8, body.size() - i));
  }
  return body;
}

std::string body_of(std::uint32_t key, std::uint64_t number) {
  if (key >= kKeys) return log_of(number);
  std::mt19937_64 random(number);
  const std::uint64_t kind = random() % 100;
  const std::size_t size = kind < 2 ? limits::kSoloObjectBytesMin + random() % 300'000 : kind < 10 ? random() % 100'000 : random() % 4000;
  std::string body(size, '\0');
  for (std::size_t i = 0; i < size; i += 512) {
    const std::uint64_t word = random();
    std::memcpy(body.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  return body;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void say(int pipe, Message::Kind kind, std::uint32_t key, State state = {}) {
  const Message message{kind, key, state.value_or(0)};
  if (::write(pipe, &message, sizeof(message)) != sizeof(message)) ::_exit(3);
}

[[noreturn]] void wrong(int pipe, const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  say(pipe, Message::wrong, 0);
  ::_exit(1);
}

// ---- child ----

void verify(const object::LocalStore& store, const Model& model, int pipe) {
  std::size_t present = 0;
  for (const auto& [key, expected] : model) {
    const auto bytes = store.get(0, {"bucket", key_of(key)});
    if (!bytes && bytes.error().code != ErrorCode::not_found) wrong(pipe, "get " + key_of(key) + ": " + bytes.error().message);
    const auto matches = [&](const State& state) {
      if (!bytes || !state) return !bytes && !state;
      const std::string body = body_of(key, *state);
      return body.size() == bytes->size() && (body.empty() || std::memcmp(body.data(), bytes->data(), body.size()) == 0);
    };
    const bool old = matches(expected.done);
    if (!old && (!expected.begun || !matches(*expected.begun)))
      wrong(pipe, key_of(key) + ": neither the acknowledged state nor the one in flight (" +
                      (bytes ? std::to_string(bytes->size()) + " bytes" : "absent") + "; acknowledged " +
                      (expected.done ? std::to_string(body_of(key, *expected.done).size()) + " bytes)" : "absent)"));
    present += bytes ? 1 : 0;
    say(pipe, Message::observed, key, old ? expected.done : *expected.begun);
  }
  std::size_t listed = 0;
  const auto visited = store.for_each("bucket", "", [&](const object::StoredObject&) { return ++listed > 0; });
  if (!visited || listed != present) wrong(pipe, "the listing has " + std::to_string(listed) + " keys, there are " + std::to_string(present));
}

/// In three parts, the last one first.
enum class End : std::uint8_t { complete, abort, leave };
Result<void> upload(object::LocalStore& store, const ObjectName& name, std::string_view body, std::uint64_t dice, End end) {
  auto& uploads = store.uploads();
  TARN_TRY(const auto begun, uploads.begin(0, name, {}));
  const std::size_t first = dice % (body.size() + 1), second = first + (body.size() - first) / 2;
  const std::string_view parts[] = {body.substr(0, first), body.substr(first, second - first), body.substr(second)};
  std::vector<object::WantedPart> wanted{{1, {}}, {2, {}}, {3, {}}};
  for (std::uint32_t number = 3; number >= 1; --number) {
    TARN_TRY(const auto writer, uploads.part(0, name, begun.id, number, UINT64_MAX));
    TARN_CHECK(writer->write(bytes_of(parts[number - 1])));
    TARN_CHECK(writer->commit());
    if (number == 2 && end == End::leave) return {};
    if (number == 2 && end == End::abort) return uploads.abort(0, name, begun.id);
  }
  TARN_CHECK(uploads.complete(0, name, begun.id, wanted));
  return {};
}

/// Appends to one of the thread's logs, or removes it.
void append(object::LocalStore& store, std::uint32_t thread, std::uint64_t dice, int pipe) {
  const std::uint32_t key = kKeys + static_cast<std::uint32_t>(dice % (kLogs / kThreads)) * kThreads + thread;
  const ObjectName name{"bucket", key_of(key)};
  const auto found = store.find(0, name);
  const std::uint64_t size = found ? found->info.size_bytes : 0;
  if (size > 3 * limits::MiB) {
    say(pipe, Message::begin, key);
    if (!store.remove(0, name)) wrong(pipe, "remove of a log failed");
    say(pipe, Message::done, key);
    return;
  }
  const std::uint64_t grown = size + (dice % 5 == 0 ? 400'000 + dice % 900'000 : dice % 20'000);
  say(pipe, Message::begin, key, grown + 1);
  const std::string body = log_of(grown + 1);
  if (const auto done = store.append(0, name, bytes_of(std::string_view(body).substr(size))); !done) wrong(pipe, done.error().message);
  say(pipe, Message::done, key, grown + 1);
}

void change(object::LocalStore& store, std::uint32_t thread, std::uint64_t seed, int pipe) {
  std::mt19937_64 random(seed * kThreads + thread);
  std::map<std::uint32_t, bool> present;
  for (std::uint32_t i = 0; i < kChangesMax; ++i) {
    const auto key = static_cast<std::uint32_t>(random() % (kKeys / kThreads) * kThreads + thread);
    const std::uint64_t body = random() | 1;
    const ObjectName name{"bucket", key_of(key)};
    const std::uint64_t kind = random() % 10;
    if (kind < 3 && store.find(0, name)) {
      say(pipe, Message::begin, key);
      if (!store.remove(0, name)) wrong(pipe, "remove failed");
      say(pipe, Message::done, key);
      continue;
    }
    if (kind == 3) {
      append(store, thread, body, pipe);
      continue;
    }
    const std::string bytes = body_of(key, body);
    if (kind == 4 && body % 14 < 4) {  // as long as it is not complete nothing may be seen of it
      if (const auto done = upload(store, name, bytes, body, body % 14 < 2 ? End::abort : End::leave); !done)
        wrong(pipe, "upload: " + done.error().message);
      continue;
    }
    say(pipe, Message::begin, key, body);
    if (kind == 4) {
      if (const auto done = upload(store, name, bytes, body, End::complete); !done) wrong(pipe, "upload: " + done.error().message);
    } else if (kind < 7) {
      auto writer = store.create(0, name, {}, UINT64_MAX);
      if (!writer) wrong(pipe, writer.error().message);
      for (std::size_t at = 0; at < bytes.size(); at += 70'000) {
        if (!(*writer)->write(bytes_of(std::string_view(bytes).substr(at, 70'000)))) wrong(pipe, "write failed");
      }
      if (!(*writer)->commit()) wrong(pipe, "commit failed");
    } else if (const auto info = store.put(0, name, bytes_of(bytes), {}); !info) {
      wrong(pipe, info.error().message);
    }
    say(pipe, Message::done, key, body);
  }
}

[[noreturn]] void child(const std::string& directory, const Model& model, std::uint64_t seed, int pipe) {
  object::LocalStoreOptions options;
  options.directories = {directory};
  options.volume_bytes_max = 300'000;            // volumes are sealed often
  options.compaction = {1 << 30, 1'000'000, 0};  // and compacted all the time
  auto store = object::LocalStore::open(options);
  if (!store) wrong(pipe, "open: " + store.error().message);
  if (!(*store)->disks().front().trouble.empty()) wrong(pipe, "open found trouble: " + (*store)->disks().front().trouble);
  if (!(*store)->has_bucket("bucket")) {
    if (!model.empty()) wrong(pipe, "the bucket is gone");
    if (!(*store)->create_bucket("bucket", 1)) wrong(pipe, "create_bucket failed");
  }
  verify(**store, model, pipe);
  say(pipe, Message::ready, 0);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < kThreads; ++t) threads.emplace_back([&, t] { change(**store, t, seed, pipe); });
  for (auto& thread : threads) thread.join();
  while (true) ::pause();
}

// ---- parent ----

struct Totals {
  std::uint64_t kills = 0, recovering = 0, rebuilt = 0, acknowledged = 0, in_flight = 0;
};

/// @return false when the child found something wrong.
bool run_round(const std::string& directory, Model& model, std::mt19937_64& random, Totals& totals) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  (void)::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  const std::uint64_t seed = random();
  if (random() % 10 == 0 && std::filesystem::remove(directory + "/index/data.mdb")) ++totals.rebuilt;
  const bool while_recovering = random() % 5 == 0;
  const auto patience = std::chrono::microseconds(random() % (while_recovering ? 6'000 : 12'000));
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(ends[0]);
    child(directory, model, seed, ends[1]);
  }
  ::close(ends[1]);

  bool right = true, killed = false;
  const auto kill_after = [&](std::chrono::microseconds pause) {
    std::this_thread::sleep_for(pause);  // the random moment, not a synchronisation
    ::kill(pid, SIGKILL);
    killed = true;
  };
  if (while_recovering) kill_after(patience);
  Message message;
  while (::read(ends[0], &message, sizeof(message)) == sizeof(message)) {
    KeyModel* key = message.kind == Message::ready || message.kind == Message::wrong ? nullptr : &model[message.key];
    const State state = message.body == 0 ? State() : State(message.body);
    switch (message.kind) {
      case Message::ready:
        if (!killed) kill_after(patience);
        break;
      case Message::observed:
        *key = {state, {}};
        break;
      case Message::begin:
        key->begun = state;
        break;
      case Message::done:
        *key = {state, {}};
        ++totals.acknowledged;
        break;
      case Message::wrong:
        right = false;
        break;
    }
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  right = right && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  ++totals.kills;
  totals.recovering += while_recovering ? 1 : 0;
  for (const auto& [key, state] : model) totals.in_flight += state.begun ? 1 : 0;
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 1000;
  std::uint64_t seed = std::random_device()();
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--rounds") rounds = std::atoi(argv[i + 1]);
    if (std::string_view(argv[i]) == "--seed") seed = std::strtoull(argv[i + 1], nullptr, 10);
  }
  std::printf("crash_local_store --rounds %d --seed %llu\n", rounds, static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  std::mt19937_64 random(seed);
  Totals totals;
  for (int round = 0; round < rounds;) {
    const tests::TemporaryDirectory temporary;
    const std::string directory = temporary.file("disk");
    Model model;
    for (int i = 0; i < kRoundsPerDirectory && round < rounds; ++i, ++round) {
      if (run_round(directory, model, random, totals)) continue;
      std::printf("round %d failed\n", round);
      return 1;
    }
    const auto report = object::check_disk(directory, {});
    if (!report || !report->healthy()) {
      std::printf("after round %d: %s\n", round,
                  !report                    ? report.error().message.c_str()
                  : report->troubles.empty() ? (report->damaged[0].bucket + "/" + report->damaged[0].key + ": " + report->damaged[0].reason).c_str()
                                             : report->troubles[0].c_str());
      return 1;
    }
  }
  std::printf("%llu kills (%llu during recovery), %llu lost indexes, %llu acknowledged changes all there, %llu in flight old or new\n",
              static_cast<unsigned long long>(totals.kills), static_cast<unsigned long long>(totals.recovering),
              static_cast<unsigned long long>(totals.rebuilt), static_cast<unsigned long long>(totals.acknowledged),
              static_cast<unsigned long long>(totals.in_flight));
  return 0;
}
