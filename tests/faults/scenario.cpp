#include "scenario.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/hash.hpp"
#include "object/check.hpp"

namespace tarn::tests {

namespace {

constexpr std::size_t kLarge = limits::kSoloObjectBytesMin;
constexpr std::uint64_t kVolumeBytes = 90'000;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

object::LocalStoreOptions options_for(const std::string& directory) {
  object::LocalStoreOptions options;
  options.directories = {directory};
  options.weight = 1000;
  options.volume_bytes_max = kVolumeBytes;
  return options;
}

/// The version that was read; nullopt: none of this name's.
std::optional<Version> version_of(const std::vector<std::byte>& got, const Account& account) {
  Version version = 0;
  if (got.size() < sizeof(version)) return std::nullopt;
  std::memcpy(&version, got.data(), sizeof(version));
  if (const auto grown = account.grown.find({version, got.size()}); grown != account.grown.end()) {
    const std::string body = body_of(version, got.size());  // the same bytes, and more of them
    return std::memcmp(body.data(), got.data(), got.size()) == 0 ? std::optional(grown->second) : std::nullopt;
  }
  const auto size = account.sizes.find(version);
  if (size == account.sizes.end() || size->second != got.size()) return std::nullopt;
  const std::string body = body_of(version, got.size());
  return std::memcmp(body.data(), got.data(), got.size()) == 0 ? std::optional(version) : std::nullopt;
}

/// What LMDB hands on has no words of the test in it.
bool is_injected(const std::string& message) {
  if (message.find("(injected)") != std::string::npos) return true;
  for (const char* const text : {"Input/output error", "No space left on device", "Read-only file system"})
    if (message.find(std::string("/index: ") + text) != std::string::npos) return true;
  return false;
}

bool is_absence(const Error& error) {
  return error.code == ErrorCode::not_found || error.code == ErrorCode::bucket_not_found;
}

}  // namespace

std::string body_of(Version version, std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = i == 0 ? version : version * 0x9E3779B97F4A7C15 + i * 0xC2B2AE3D27D4EB4F;
    std::memcpy(text.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  return text;
}

/// @return whether it was done. One that was not must say why: what was injected, or that a bucket or an object is not there.
template <class T>
bool Life::took(const std::string& what, const Result<T>& outcome) {
  if (outcome) return true;
  if (is_injected(outcome.error().message))
    told_.push_back(what + ": " + outcome.error().message);
  else if (!is_absence(outcome.error()))
    wrong_.push_back(what + " says something else: " + outcome.error().message);
  return false;
}

bool Life::open() {
  const bool met_before = plan_ != nullptr && !plan_->met().empty();
  auto opened = object::LocalStore::open(options_for(directory_), fs_);
  if (!took("open", opened)) return false;
  opened_over_fault_ |= plan_ != nullptr && !met_before && !plan_->met().empty();
  store_ = std::move(*opened);
  return true;
}

void Life::create_bucket(const std::string& bucket, Durability durability) {
  const bool done = took("create bucket", store_->create_bucket(bucket, 1, {durability}));
  if (done || durability == Durability::sync || stays_) account_.buckets[bucket] = done;
}

void Life::remove_bucket(const std::string& bucket) {
  const bool done = took("remove bucket", store_->remove_bucket(bucket));
  if (done)
    account_.buckets.erase(bucket);
  else if (account_.buckets.count(bucket) != 0 && stays_)
    account_.buckets[bucket] = false;
}

void Life::put(const std::string& bucket, const std::string& key, std::size_t size) {
  const Version version = ++account_.last;
  account_.sizes[version] = size;
  if (took("put", store_->put(0, {bucket, key}, bytes_of(body_of(version, size)), {})))
    account_.acknowledged({bucket, key}, version);
  else
    account_.failed({bucket, key}, version, stays_);
}

Result<void> Life::stream_body(const ObjectName& name, const std::string& body) {
  auto writer = store_->create(0, name, {}, UINT64_MAX);
  if (!writer) return fail(writer.error());
  const auto bytes = bytes_of(body);
  for (std::size_t at = 0; at < bytes.size(); at += 400'000)
    if (auto written = (*writer)->write(bytes.subspan(at, std::min<std::size_t>(400'000, bytes.size() - at))); !written) return written;
  if (auto prepared = (*writer)->prepare(); !prepared) return prepared;
  std::vector<std::byte> back(bytes.size());
  const auto read = (*writer)->read_back(0, back);
  if (!read) return fail(read.error());
  if (*read != back.size() || std::memcmp(back.data(), body.data(), body.size()) != 0) wrong_.push_back("read_back gives other bytes");
  if (auto done = (*writer)->commit(); !done) return fail(done.error());
  return {};
}

void Life::stream(const std::string& bucket, const std::string& key, std::size_t size) {
  const Version version = ++account_.last;
  account_.sizes[version] = size;
  if (took("stream", stream_body({bucket, key}, body_of(version, size))))
    account_.acknowledged({bucket, key}, version);
  else
    account_.failed({bucket, key}, version, stays_);
}

Result<void> Life::upload_body(const ObjectName& name, const std::string& body) {
  auto& uploads = store_->uploads();
  const auto begun = uploads.begin(0, name, {});
  if (!begun) return fail(begun.error());
  const auto bytes = bytes_of(body);
  const std::size_t first = std::min(bytes.size(), kLarge);
  const auto put_parts = [&]() -> Result<void> {
    for (const std::uint32_t number : {2U, 1U}) {
      auto writer = uploads.part(0, name, begun->id, number, UINT64_MAX);
      if (!writer) return fail(writer.error());
      if (auto written = (*writer)->write(number == 1 ? bytes.first(first) : bytes.subspan(first)); !written) return written;
      if (auto done = (*writer)->commit(); !done) return fail(done.error());
    }
    auto done = uploads.complete(0, name, begun->id, std::vector<object::WantedPart>{{1, {}}, {2, {}}});
    return done ? Result<void>() : fail(done.error());
  };
  auto done = put_parts();
  if (!done) (void)uploads.abort(0, name, begun->id);  // else check_reopened() does it
  return done;
}

void Life::upload(const std::string& bucket, const std::string& key, std::size_t size) {
  const Version version = ++account_.last;
  account_.sizes[version] = size;
  const bool met_before = plan_ != nullptr && !plan_->met().empty();
  if (took("upload", upload_body({bucket, key}, body_of(version, size)))) {
    account_.acknowledged({bucket, key}, version);
    note_leftovers(met_before);
  } else {
    account_.failed({bucket, key}, version, stays_);
  }
}

void Life::append(const std::string& bucket, const std::string& key, std::size_t size) {
  const auto& now = account_.names[{bucket, key}].now;
  if (now.size() != 1) return;
  const Version old = *now.begin(), version = ++account_.last;
  const std::size_t before = old == 0 ? 0 : account_.sizes[old];
  const Version first = old == 0 ? version : old;  // appended to once only
  account_.sizes[version] = before + size;
  if (old != 0) account_.grown[{old, before + size}] = version;
  const std::string body = body_of(first, before + size);
  const bool met_before = plan_ != nullptr && !plan_->met().empty();
  if (took("append", store_->append(0, {bucket, key}, bytes_of(body).subspan(before)))) {
    account_.acknowledged({bucket, key}, version);
    note_leftovers(met_before);
  } else {
    account_.failed({bucket, key}, version, stays_);
  }
}

/// The object is there; that what was of use to nobody but its writer could not be removed is only logged.
void Life::note_leftovers(bool met_before) {
  if (plan_ != nullptr && !met_before && !plan_->met().empty()) told_.emplace_back("logged");
}

void Life::remove(const std::string& bucket, const std::string& key) {
  const bool present = account_.names[{bucket, key}].now.count(0) == 0;
  const auto outcome = store_->remove(0, {bucket, key});
  if (took("remove", outcome))
    account_.acknowledged({bucket, key}, 0);
  else if (!is_absence(outcome.error()))
    account_.failed({bucket, key}, 0, stays_);
  else if (present)
    wrong_.push_back("remove " + bucket + "/" + key + ": what is there is not found");
}

void Life::check_version(const Name& name, const Result<std::vector<std::byte>>& got) {
  const auto version = got ? version_of(*got, account_) : Version{0};
  if (!version)
    wrong_.push_back(name.first + "/" + name.second + ": garbage of " + std::to_string(got->size()) + " bytes");
  else if (account_.names[name].now.count(*version) == 0)
    wrong_.push_back(name.first + "/" + name.second + ": version " + std::to_string(*version) + " is read");
}

void Life::get(const std::string& bucket, const std::string& key) {
  const auto got = store_->get(0, {bucket, key});
  if (took("get", got) || is_absence(got.error())) check_version({bucket, key}, got);
}

void Life::list(const std::string& bucket) {
  const auto page = store_->list(bucket, {});
  if (!took("list", page)) return;
  std::set<std::string> keys;
  for (const auto& object : page->objects) keys.insert(object.key);
  for (const auto& [name, state] : account_.names) {
    if (name.first != bucket) continue;
    const bool listed = keys.erase(name.second) > 0;
    const bool may = listed ? *state.now.rbegin() != 0 : state.now.count(0) != 0;
    if (!may) wrong_.push_back("list: " + name.second + (listed ? " is there" : " is missing"));
  }
  for (const auto& key : keys) wrong_.push_back("list: an unknown " + key);
}

void Life::flush() {
  (void)took("flush", store_->flush());
}
void Life::adopt() {
  (void)took("adopt", store_->adopt(*base::Uuid::parse("01234567-89ab-4def-8123-456789abcdef")));
}
void Life::close() {
  (void)took("close", store_->close());
  store_.reset();
}

void Life::check_now() {
  for (const auto& [name, state] : account_.names) {
    const auto got = store_->get(0, {name.first, name.second});
    if (!got && !is_absence(got.error())) wrong_.push_back(name.first + "/" + name.second + ": " + got.error().message);
    check_version(name, got);
  }
  for (const auto& [bucket, sure] : account_.buckets) {
    if (sure && !store_->has_bucket(bucket)) wrong_.push_back("bucket " + bucket + " is gone");
    if (store_->has_bucket(bucket)) list(bucket);
  }
}

void Life::check_writable() {
  for (const char* const bucket : {"plain", "safe"}) {
    if (!store_->has_bucket(bucket)) continue;
    for (const std::size_t size : {std::size_t{100}, kLarge}) {
      const Version version = ++account_.last;
      account_.sizes[version] = size;
      const Name name{bucket, "after-" + std::to_string(size)};
      const auto done = store_->put(0, {name.first, name.second}, bytes_of(body_of(version, size)), {});
      if (done) {
        account_.acknowledged(name, version);
        check_version(name, store_->get(0, {name.first, name.second}));
        continue;
      }
      account_.failed(name, version, false);
      const bool closed_to_syncs = bucket == std::string_view("safe") && done.error().message.find("opened again") != std::string::npos;
      if (!closed_to_syncs) wrong_.push_back("put to " + name.first + " does not work again: " + done.error().message);
    }
  }
}

namespace {

void check_objects(const object::LocalStore& store, Account& account, std::vector<std::string>& wrong) {
  for (auto& [name, state] : account.names) {
    const std::string what = name.first + "/" + name.second + ": ";
    const auto got = store.get(0, {name.first, name.second});
    if (!got && !is_absence(got.error())) {
      wrong.push_back(what + got.error().message);
      continue;
    }
    const auto version = got ? version_of(*got, account) : Version{0};
    if (!version)
      wrong.push_back(what + "garbage of " + std::to_string(got->size()) + " bytes");
    else if (state.later.count(*version) == 0)
      wrong.push_back(what + "version " + std::to_string(*version) + " is read after the reopening");
    else
      state = {{*version}, {*version}};
  }
  std::set<std::string> buckets;
  for (const auto& bucket : store.buckets()) buckets.insert(bucket.name);
  for (const auto& [bucket, sure] : account.buckets)
    if (buckets.erase(bucket) == 0 && sure) wrong.push_back("bucket " + bucket + " is gone after the reopening");
  for (const auto& bucket : buckets) wrong.push_back("bucket " + bucket + " has come back");
}

/// Nothing lies around that nobody will ever read.
void check_files(const std::string& directory, const Account& account, std::vector<std::string>& wrong) {
  std::size_t large = 0, solo = 0;
  for (const auto& [name, state] : account.names) {
    const auto size = account.sizes.find(*state.now.begin());
    large += size != account.sizes.end() && size->second >= kLarge ? 1 : 0;
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory + "/volumes")) {
    if (entry.path().extension() != ".tar") wrong.push_back(entry.path().string() + " was left behind");
    solo += entry.file_size() >= kLarge ? 1 : 0;
  }
  if (solo != large) wrong.push_back(std::to_string(solo) + " solo volumes of " + std::to_string(large) + " large objects");
}

/// What a loss of power has done to plain/victim is told.
bool expected(const std::string& trouble) {
  return trouble.find("victim") != std::string::npos;
}

}  // namespace

std::vector<std::string> check_reopened(const std::string& directory, Account& account) {
  std::vector<std::string> wrong;
  for (const char* const round : {"first", "second"}) {
    const auto opened = object::LocalStore::open(options_for(directory));
    if (!opened) return {"does not open again: " + opened.error().message};
    const auto& store = *opened;
    check_objects(*store, account, wrong);
    if (const std::string trouble = store->disks().front().trouble; !trouble.empty() && !expected(trouble))
      wrong.push_back("trouble after the reopening: " + trouble);
    for (const auto& bucket : store->buckets()) {
      const auto uploads = store->uploads().list(bucket.name);
      for (const auto& upload : uploads.value())
        if (!store->uploads().abort(0, upload.name, upload.id)) wrong.push_back("an upload cannot be aborted after the reopening");
    }
    if (!store->has_bucket("after") && !store->create_bucket("after", 1)) wrong.push_back("no new bucket after the reopening");
    account.buckets["after"] = true;
    const Version version = ++account.last;
    account.sizes[version] = 3000;
    if (!store->put(0, {"after", round}, bytes_of(body_of(version, 3000)), {})) wrong.push_back("no put after the reopening");
    account.acknowledged({"after", round}, version);
    if (const auto closed = store->close(); !closed) wrong.push_back("close after the reopening: " + closed.error().message);
  }
  check_files(directory, account, wrong);
  const auto report = object::check_disk(directory, {});
  if (!report) return {"check: " + report.error().message};
  for (const auto& trouble : report->troubles)
    if (!expected(trouble)) wrong.push_back("check: " + trouble);
  for (const auto& damaged : report->damaged) wrong.push_back("check: " + damaged.key + ": " + damaged.reason);
  return wrong;
}

}  // namespace tarn::tests
