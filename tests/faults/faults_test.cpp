// Every call of a store to the file system fails in turn: a small life of a store is run again and again, the k-th call that can
// fail so with EIO, ENOSPC, EROFS, EACCES or EMFILE, once alone and once together with all that follow, until a run has fewer calls.
// After each run everything acknowledged must be there, in the same process and after a reopening, and nothing else; the caller
// must have got the error, unless the call is one of kHarmless.
//
//   faults_everywhere [--phase NAME] [--error EIO] [--at K] [--stays 0|1] [-v]      one run, to look at
//   --index   the same for the calls by which LMDB writes its file
//   --short   nothing fails, but no call moves all the bytes that it is asked for
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "fault_file_system.hpp"
#include "scenario.hpp"
#include "support/temporary_directory.hpp"
#include "system_calls.hpp"

using namespace tarn;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kLarge = (1 << 20) + 5000;

/// What may fail without anybody being told, and why.
struct Harmless {
  const char* call;
  const char* why;
  int error = 0;  ///< only this one; 0: each
};
constexpr Harmless kHarmless[] = {
    {"space disk", "the write itself will tell that there is none"},
    {"open boot_id", "nothing is believed then: the index is made anew"},
    {"read boot_id", "the same"},
    {"open to write *.tar", "a volume that cannot be written on is left as it is, the next member goes into another"},
    {"remove *.tar", "nothing points to the volume: the next open removes it"},
    {"remove disk.json.tmp", "it is not there"},
    {"sync directory volumes", "the committer's, before it removes what was replaced: it was not tried, so the next one counts", EMFILE},
    {"size data.mdb", "whether the file covers its pages is asked after the next commit as well"},
};

constexpr Harmless kHarmlessInOpen[] = {
    {"read *.tar", "it is tried again: patient_file.hpp"},
};

bool harmless(const std::string& call, int error, bool in_open) {
  const auto is_call = [&](const Harmless& one) { return call == one.call && (one.error == 0 || one.error == error); };
  return std::any_of(std::begin(kHarmless), std::end(kHarmless), is_call) ||
         (in_open && std::any_of(std::begin(kHarmlessInOpen), std::end(kHarmlessInOpen), is_call));
}

struct Phase {
  const char* name;
  std::function<void(Life&)> before;  ///< in a process that is then killed; none: a new disk
  std::function<void(const std::string&, Account&)> change;
  std::function<void(Life&)> steps;  ///< while calls fail
};

void fill(Life& life) {
  life.create_bucket("plain", Durability::none);
  life.create_bucket("safe", Durability::sync);
  life.put("plain", "small", 1000);
  life.put("plain", "large", kLarge);
  life.put("safe", "small", 2000);
  life.put("safe", "large", kLarge);
  life.put("plain", "gone", 500);
}

void change(Life& life) {
  life.stream("plain", "stream", kLarge + 300'000);
  life.stream("safe", "stream", 5000);
  life.put("plain", "small", 3000);
  life.put("plain", "large", 700);
  life.put("safe", "small", kLarge);
  life.remove("plain", "gone");
  life.remove("safe", "large");
  for (int i = 0; i < 4; ++i) life.put("plain", "many-" + std::to_string(i), 9000);
  life.upload("safe", "parts", kLarge + 4000);
  life.append("safe", "parts", 3000);
}

void look(Life& life) {
  for (const char* const bucket : {"plain", "safe"}) {
    life.list(bucket);
    for (const char* const key : {"small", "large", "gone", "stream", "parts"}) life.get(bucket, key);
  }
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// As the next start of the machine finds it: not closed, another boot, and the bytes of the newest plain/victim never written.
void lose_power(const std::string& directory, Account& account) {
  Account::State& victim = account.names[{"plain", "victim"}];
  const Version newest = *victim.now.begin();
  const std::string body = body_of(newest, account.sizes[newest]);
  for (const auto& entry : fs::directory_iterator(directory + "/volumes")) {
    std::string volume = read(entry.path().string());
    const std::size_t at = volume.find(body);
    if (at == std::string::npos) continue;
    volume.replace(at, body.size(), body.size(), '\0');
    std::ofstream(entry.path(), std::ios::binary) << volume;
  }
  victim = {{newest - 1}, {newest - 1}};
  std::string text = read(directory + "/lock");
  text.replace(text.find("\"boot\":"), 7, "\"befo\":");
  std::ofstream(directory + "/lock") << text;
}

/// The end of plain/torn was never written.
void cut_tail(const std::string& directory, Account& account) {
  Account::State& torn = account.names[{"plain", "torn"}];
  const std::string body = body_of(*torn.now.begin(), account.sizes[*torn.now.begin()]);
  for (const auto& entry : fs::directory_iterator(directory + "/volumes")) {
    const std::size_t at = read(entry.path().string()).find(body);
    if (at != std::string::npos) fs::resize_file(entry.path(), at + body.size() / 2);
  }
  torn = {};
  std::ofstream(directory + "/volumes/00000090.tar.tmp") << "what a killed process has left";
}

const Phase kPhases[] = {
    {"new", nullptr, nullptr,
     [](Life& life) {
       if (!life.open()) return;
       fill(life);
       life.adopt();
       change(life);
       life.create_bucket("gone", Durability::none);
       life.remove_bucket("gone");
       look(life);
       life.flush();
       life.put("plain", "last", 800);
       life.close();
       if (!life.open()) return;
       look(life);
       life.put("plain", "later", 800);
     }},
    {"killed",
     [](Life& life) {
       fill(life);
       change(life);
     },
     nullptr,
     [](Life& life) {
       if (!life.open()) return;
       look(life);
       life.put("plain", "small", 4000);
       life.put("safe", "small", 4000);
       life.flush();
       life.close();
     }},
    {"rebuild",
     [](Life& life) {
       fill(life);
       change(life);
       life.put("plain", "torn", 3000);
     },
     [](const std::string& directory, Account& account) {
       cut_tail(directory, account);
       fs::remove_all(directory + "/index");
     },
     [](Life& life) {
       if (!life.open()) return;
       look(life);
       life.put("plain", "small", 4000);
       life.close();
     }},
    {"power lost",
     [](Life& life) {
       fill(life);
       life.put("plain", "victim", 2000);
       life.put("plain", "victim", 2000);
     },
     lose_power,
     [](Life& life) {
       if (!life.open()) return;
       look(life);
       life.get("plain", "victim");
       life.put("plain", "small", 4000);
       life.close();
     }},
};

struct Options {
  std::string phase, error;
  std::optional<std::uint64_t> at;
  std::optional<bool> stays;
  bool verbose = false, index = false, short_transfers = false;
};
struct Errno {
  const char* name;
  int value;
};
constexpr Errno kErrors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EACCES", EACCES}, {"EMFILE", EMFILE}};

int failures = 0;

std::string join(const std::set<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

/// A disk as a killed process leaves it, with the account of it.
class Image {
 public:
  Image(const Phase& phase, const std::string& directory) : directory_(directory) {
    if (!phase.before) return;
    const pid_t pid = ::fork();
    if (pid == 0) {
      work(phase);
      ::_exit(0);
    }
    int status = 0;
    if (pid < 0 || ::waitpid(pid, &status, 0) != pid || status != 0) std::abort();
    // The account is computed twice: the versions are counted, not drawn.
    account_ = account_of(phase);
    if (phase.change) phase.change(directory_, account_);
  }
  void copy(const std::string& target) const {
    fs::remove_all(target);
    if (fs::exists(directory_)) fs::copy(directory_, target, fs::copy_options::recursive);
  }
  [[nodiscard]] const Account& account() const noexcept { return account_; }

 private:
  void work(const Phase& phase) const {
    Account account;
    Life life(directory_, base::posix_file_system(), account, false);
    if (!life.open()) ::_exit(1);
    phase.before(life);
    ::_exit(life.told().empty() && life.wrong().empty() ? 0 : 1);
  }
  static Account account_of(const Phase& phase) {
    const TemporaryDirectory elsewhere;
    Account account;
    Life life(elsewhere.file("disk"), base::posix_file_system(), account, false);
    if (!life.open()) std::abort();
    phase.before(life);
    return account;
  }
  const std::string directory_;
  Account account_;
};

/// @return whether the fault was met: there may be further ones.
bool run(const Phase& phase, const Image& image, const std::string& directory, const Errno& error, const Fault& fault, const Options& options) {
  image.copy(directory);
  Account account = image.account();
  FaultPlan plan, nothing;
  FaultFileSystem file_system(options.index ? nothing : plan);
  index_plan = options.index ? &plan : nullptr;
  std::vector<std::string> told, wrong;
  bool in_open = false;
  {
    Life life(directory, file_system, account, fault.stays, &plan);
    plan.begin(fault);
    phase.steps(life);
    plan.end();
    if (life.is_open()) {
      life.check_now();
      life.check_writable();
      life.check_now();
      life.close();
    }
    told = life.told();
    wrong = life.wrong();
    in_open = life.opened_over_fault();
  }
  index_plan = nullptr;
  const auto met = plan.met();
  if (met.empty()) return false;
  for (auto& sentence : check_reopened(directory, account)) wrong.push_back(std::move(sentence));
  if (told.empty() && !fault.stays && !options.index && !harmless(*met.begin(), error.value, in_open)) wrong.push_back("nobody was told");
  if (options.verbose || !wrong.empty())
    std::printf("%s: --phase %s --error %s --at %llu --stays %d: %s\n", wrong.empty() ? "ok" : "WRONG", phase.name, error.name,
                static_cast<unsigned long long>(fault.at), fault.stays ? 1 : 0, join(met).c_str());
  if (options.verbose)
    for (const auto& sentence : told) std::printf("    told: %s\n", sentence.c_str());
  for (const auto& sentence : wrong) std::printf("    %s\n", sentence.c_str());
  failures += wrong.empty() ? 0 : 1;
  return true;
}

/// Under sanitizers, which take ten times as long, every so many of the calls.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kThin = 4;
#else
constexpr std::uint64_t kThin = 1;
#endif

/// Each phase once, its transfers cut into pieces of this size. @return what is wrong.
int run_short(const Phase& phase, std::size_t bytes) {
  const TemporaryDirectory temporary;
  const Image image(phase, temporary.file("image"));
  Account account = image.account();
  image.copy(temporary.file("disk"));
  transfer_bytes_max = bytes;
  std::vector<std::string> wrong;
  {
    Life life(temporary.file("disk"), base::posix_file_system(), account, false);
    phase.steps(life);
    if (life.is_open()) life.check_now();
    wrong = life.wrong();
    wrong.insert(wrong.end(), life.told().begin(), life.told().end());
  }
  for (auto& sentence : check_reopened(temporary.file("disk"), account)) wrong.push_back(std::move(sentence));
  transfer_bytes_max = 0;
  for (const auto& sentence : wrong) std::printf("%s, %zu bytes at a time: %s\n", phase.name, bytes, sentence.c_str());
  return static_cast<int>(wrong.size());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "-v") options.verbose = true;
    if (name == "--index") options.index = true;
    if (name == "--short") options.short_transfers = true;
    if (name == "--phase") options.phase = value;
    if (name == "--error") options.error = value;
    if (name == "--at") options.at = std::strtoull(value, nullptr, 10);
    if (name == "--stays") options.stays = value == std::string_view("1");
  }
  ::setenv("TARN_LOG", "off", 0);
  // The index syncs by itself, several times in a run: a disk would make hours of it.
  if (::access("/dev/shm", W_OK) == 0) ::setenv("TARN_TEST_TMPDIR", "/dev/shm", 0);
  if (options.short_transfers) {
    for (const Phase& phase : kPhases)
      for (const std::size_t bytes : {113, 512, 4095, 100'001}) failures += run_short(phase, bytes);
    std::printf("%d wrong\n", failures);
    return failures == 0 ? 0 : 1;
  }
  int runs = 0;
  for (const Phase& phase : kPhases) {
    if (!options.phase.empty() && options.phase != phase.name) continue;
    const TemporaryDirectory temporary;
    const Image image(phase, temporary.file("image"));
    for (const Errno& error : kErrors) {
      if (!options.error.empty() && options.error != error.name) continue;
      for (const bool stays : {false, true}) {
        if (options.stays && *options.stays != stays) continue;
        const std::uint64_t first = options.at.value_or(static_cast<std::uint64_t>(&error - kErrors + (stays ? 1 : 0)) % kThin);
        for (std::uint64_t at = first; run(phase, image, temporary.file("disk"), error, {at, stays, error.value}, options); at += kThin) {
          ++runs;
          if (options.at) break;
        }
      }
    }
  }
  std::printf("%d runs, %d of them wrong\n", runs, failures);
  return failures == 0 && runs > 0 ? 0 : 1;
}
