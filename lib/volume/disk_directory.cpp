#include "volume/disk_directory.hpp"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/host.hpp"
#include "base/json.hpp"
#include "base/log.hpp"

namespace tarn::volume {

namespace {

constexpr std::string_view kOwnNames[] = {"disk.json", "index", "kept", "lock", "lost+found", "quarantine", "volumes"};

/// Changes with every start of the machine; empty where the system has none (then nothing is ever trusted unclean).
std::string boot_id(base::FileSystem& fs) {
  const auto file = fs.open("/proc/sys/kernel/random/boot_id", base::OpenMode::read);
  if (!file) return {};
  std::array<std::byte, 64> text;  // /proc files have no size
  const auto got = (*file)->read_at(0, text);
  if (!got) return {};
  const std::string_view all(reinterpret_cast<const char*>(text.data()), *got);
  return std::string(all.substr(0, all.find('\n')));
}

/// Of what placement depends on, so that a changed digit is not taken for another weight or store.
std::string identity_sum(const DiskIdentity& identity) {
  const std::string text = identity.id.to_string() + " " + identity.store_id.to_string() + " " + std::to_string(identity.weight);
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(base::xxh3_64(std::string_view(text))));
  return digits;
}

/// What is missing or malformed counts as never noted: the store then looks for objects on all disks until it has been settled.
DiskLayout layout_from_json(const base::Json& identity) {
  const auto* json = identity.get_object().if_contains("layout");
  if (json == nullptr || !json->is_object()) return {};
  DiskLayout layout;
  layout.epoch = base::json_u64(*json, "epoch").value_or(0);
  layout.disks = base::json_u64(*json, "disks").value_or(0);
  layout.places = base::json_u64(*json, "places").value_or(0);
  layout.settled = base::json_bool(*json, "settled").value_or(false);
  layout.stale = base::json_bool(*json, "stale").value_or(true);
  return layout;
}

tl::unexpected<Error> damaged_identity(const std::string& what) {
  return fail(ErrorCode::corrupt, what +
                                      "; write it anew: another disk of the store lists this one in its disk.json "
                                      "(docs/OPERATIONS.md, \"A damaged disk.json\")");
}

}  // namespace

Result<std::unique_ptr<DiskDirectory>> DiskDirectory::open(base::FileSystem& fs, const std::string& path, std::uint64_t weight, bool create) {
  if (path.empty()) return fail(ErrorCode::invalid, "the name of a disk's directory is empty");
  if (create) {
    const auto made = fs.make_directory(path);
    if (!made && made.error().code == ErrorCode::not_found)
      return fail(ErrorCode::not_found, path + ": cannot be made, its parent directory does not exist");
    if (!made) return fail(made.error());
  }
  std::error_code error;
  const auto absolute = std::filesystem::canonical(path, error);
  if (error) return fail(base::errno_error(error.value(), "open directory", path));
  if (!std::filesystem::is_directory(absolute, error)) return fail(ErrorCode::invalid, path + ": is not a directory");
  std::unique_ptr<DiskDirectory> directory(new DiskDirectory(fs, absolute.string()));
  TARN_TRY(const auto names, fs.list(directory->path_));
  const bool known = std::find(names.begin(), names.end(), "disk.json") != names.end();
  if (!known) {
    if (!create) return fail(ErrorCode::invalid, path + ": is not a disk of a Tarn store (no disk.json)");
    for (const auto& name : names) {
      const bool own = std::find(std::begin(kOwnNames), std::end(kOwnNames), name) != std::end(kOwnNames) || name.rfind("disk.json.tmp", 0) == 0;
      if (!own) return fail(ErrorCode::invalid, path + ": holds files that are not Tarn's (\"" + name + "\"); give an empty directory");
    }
  }
  TARN_CHECK(directory->take_lock());
  TARN_CHECK(directory->load_or_make_identity(weight, create));
  TARN_CHECK(directory->need_volumes());
  TARN_CHECK(fs.sync_directory(directory->path_));  // what is durable in a volume must be found
  return directory;
}

Result<void> DiskDirectory::take_lock() {
  const std::string lock_path = path_ + "/lock";
  TARN_TRY(lock_, fs_.open(lock_path, base::OpenMode::create));
  std::string text(4096, '\0');
  TARN_TRY(const auto got, lock_->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size()))));
  text.resize(got);
  const auto parsed = base::parse_json(text, lock_path);
  const base::Json last = parsed ? *parsed : base::Json(base::JsonObject());
  if (::flock(lock_->descriptor(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(base::errno_error(errno, "lock", lock_path));
    // Whoever took the lock a moment ago has not written its name yet.
    const auto pid = base::json_u64(last, "pid");
    const std::string user =
        pid ? "process " + std::to_string(*pid) + " on host " + base::json_string(last, "host").value_or("?") : "another process";
    return fail(ErrorCode::busy, path_ + ": is in use by " + user +
                                     "; end that one or give another directory (ranks of one job need one each, as /scratch/tarn-{rank})");
  }
  const auto boot = base::json_string(last, "boot");
  const bool same_boot = boot && !boot->empty() && *boot == boot_id(fs_);
  index_mark_ = base::json_string(last, "index").value_or("");
  was_clean_ = base::json_bool(last, "clean").value_or(false);
  trustworthy_ = was_clean_ || (same_boot && base::json_bool(last, "trustworthy").value_or(true));
  return write_lock_text(false, trustworthy_);
}

Result<void> DiskDirectory::write_lock_text(bool clean, bool trustworthy) {
  base::JsonObject state;
  state["pid"] = static_cast<std::uint64_t>(::getpid());
  state["host"] = base::host_name();
  state["boot"] = boot_id(fs_);
  state["clean"] = clean;
  state["trustworthy"] = trustworthy;
  state["index"] = index_mark_;
  std::string text = base::pretty_json(state);
  text.resize(std::max<std::size_t>(text.size(), 511), ' ');  // one write of one length: never a mix of two texts
  text += '\n';
  const std::lock_guard lock(text_mutex_);
  TARN_CHECK(lock_->write_at(0, std::as_bytes(std::span(text.data(), text.size()))));
  TARN_CHECK(lock_->truncate(text.size()));
  return lock_->sync_data();
}

Result<void> DiskDirectory::set_index_mark(const std::string& mark) {
  index_mark_ = mark;
  return write_lock_text(false, trustworthy_);
}

Result<void> DiskDirectory::mark_clean() {
  return write_lock_text(true, true);
}

Result<void> DiskDirectory::set_trustworthy(bool trustworthy) {
  trustworthy_ = trustworthy;
  return write_lock_text(false, trustworthy);
}

Result<void> DiskDirectory::load_or_make_identity(std::uint64_t weight, bool create) {
  const std::string file = path_ + "/disk.json";
  const auto text = base::read_text_file(fs_, file);
  if (!text && text.error().code == ErrorCode::not_found && create) {
    const auto volumes = fs_.list(volumes_path());
    if (!volumes && volumes.error().code != ErrorCode::not_found) return fail(volumes.error());
    if (volumes && !volumes->empty()) return damaged_identity(file + " is missing, but there are volumes beside it");
    TARN_TRY(const bool has_index, holds_index());
    if (has_index)
      return damaged_identity(file +
                              " is missing, but there is an index beside it (if nothing of that disk is needed any more, empty the directory)");
    identity_.id = base::Uuid::random();
    identity_.weight = weight;
    if (weight == 0) {
      TARN_TRY(const auto space, fs_.space(path_));
      identity_.weight = std::max<std::uint64_t>(1, space.capacity_bytes);
    }
    // Before the identity: a disk that has one has a name that lasts.
    const std::string parent = std::filesystem::path(path_).parent_path().string();
    auto named = fs_.sync_directory(parent);
    if (!named && named.error().code != ErrorCode::denied) return named;
    if (!named) base::log_warn(named.error().message + "; a loss of power in the next seconds may take the new disk with it");
    TARN_CHECK(fs_.make_directory(volumes_path()));  // before it, too: need_volumes()
    TARN_CHECK(fs_.sync_directory(path_));
    return write_identity();
  }
  if (!text) return fail(text.error());
  const auto json = base::parse_json(*text, file);
  if (!json) return damaged_identity(json.error().message);
  const auto format = base::json_u64(*json, "format");
  if (format && *format > kFormatVersion)
    return fail(ErrorCode::invalid, path_ + ": was written in format " + std::to_string(*format) + ", this Tarn knows up to " +
                                        std::to_string(kFormatVersion) + "; use a newer one");
  const auto id = base::Uuid::parse(base::json_string(*json, "disk").value_or(""));
  const auto store = base::json_string(*json, "store");
  const auto store_id = store && store->empty() ? base::Uuid() : base::Uuid::parse(store.value_or(""));
  const auto saved_weight = base::json_u64(*json, "weight");
  if (format.value_or(0) == 0 || !id || !store_id || !saved_weight || *saved_weight == 0) return damaged_identity(file + " does not describe a disk");
  const auto* saved_disks = json->get_object().if_contains("disks");
  auto store_disks = disk_set_from_json(saved_disks == nullptr ? base::Json() : *saved_disks);
  if (!store_disks) base::log_warn(file + ": its list of the store's disks is damaged; a disk that is missing may not be missed");
  identity_ = {*id, *store_id, *saved_weight, std::move(store_disks).value_or(DiskSet()), layout_from_json(*json)};
  const auto sum = base::json_string(*json, "sum");  // who writes the file by hand leaves it out
  if (sum && *sum != identity_sum(identity_)) return damaged_identity(file + " does not match its own sum");
  return {};
}

Result<bool> DiskDirectory::holds_index() {
  for (const char* const name : {"/data.mdb", "/data.mdb.old"}) {
    TARN_TRY(const bool there, fs_.exists(index_path() + name));
    if (there) return true;
  }
  return false;
}

/// A disk has its volumes/ before it has its disk.json. Where that was the other way round (earlier versions) and the process ended in
/// between, the disk has no store and no index.
Result<void> DiskDirectory::need_volumes() {
  TARN_TRY(const bool there, fs_.exists(volumes_path()));
  if (there) return {};
  TARN_TRY(const bool has_index, holds_index());
  if (identity_.store_id.is_nil() && !has_index) return fs_.make_directory(volumes_path());
  return fail(ErrorCode::corrupt, volumes_path() + " is missing: it holds the objects of disk " + identity_.id.to_string() +
                                      "; put it back, or make an empty directory of that name if its objects are gone for good");
}

Result<void> DiskDirectory::set_store(const base::Uuid& store_id, const DiskSet& store_disks) {
  if (identity_.store_id == store_id) {
    if (store_disks.empty() || identity_.store_disks == store_disks) return {};
    identity_.store_disks = store_disks;
    // A full or read-only disk can still be read: what it knows of the others is then as it was.
    if (const auto written = write_identity(); !written) base::log_warn(written.error().message);
    return {};
  }
  if (!identity_.store_id.is_nil())
    return fail(ErrorCode::invalid, path_ + ": belongs to store " + identity_.store_id.to_string() + ", not to " + store_id.to_string());
  identity_.store_id = store_id;
  identity_.store_disks = store_disks;
  auto written = write_identity();
  if (!written) {  // asked again, it is to be written again
    identity_.store_id = base::Uuid();
    identity_.store_disks.clear();
  }
  return written;
}

Result<void> DiskDirectory::set_layout(const DiskLayout& layout) {
  if (layout == identity_.layout) return {};
  const DiskLayout old = std::exchange(identity_.layout, layout);
  auto written = write_identity();
  if (!written) identity_.layout = old;
  return written;
}

Result<void> DiskDirectory::write_identity() {
  base::JsonObject json;
  json["format"] = kFormatVersion;
  json["disk"] = identity_.id.to_string();
  json["store"] = identity_.store_id.is_nil() ? std::string() : identity_.store_id.to_string();
  json["weight"] = identity_.weight;
  json["sum"] = identity_sum(identity_);
  if (!identity_.store_disks.empty()) json["disks"] = disk_set_to_json(identity_.store_disks);
  if (const DiskLayout& layout = identity_.layout; layout != DiskLayout())
    json["layout"] = base::JsonObject{
        {"epoch", layout.epoch}, {"disks", layout.disks}, {"places", layout.places}, {"settled", layout.settled}, {"stale", layout.stale}};
  TARN_CHECK(base::write_text_file(fs_, path_ + "/disk.json", base::pretty_json(json)));
  return fs_.sync_directory(path_);
}

}  // namespace tarn::volume
