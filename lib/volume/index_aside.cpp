#include "volume/index_aside.hpp"

#include "base/error.hpp"
#include "base/log.hpp"

namespace tarn::volume {

namespace {
constexpr const char kData[] = "/data.mdb", kKept[] = "/data.mdb.old", kLock[] = "/lock.mdb";
}

IndexAside::~IndexAside() {
  if (!kept_) return;
  if (const auto back = put_back(); !back) base::log_warn(back.error().message + "; the next open tries it again");
}

Result<void> IndexAside::remove(const char* name) {
  if (auto removed = fs_.remove(directory_ + name); !removed && removed.error().code != ErrorCode::not_found) return removed;
  return {};
}

Result<void> IndexAside::put_back() {
  kept_ = false;
  TARN_TRY(const bool left, fs_.exists(directory_ + kKept));
  if (!left) return {};
  TARN_CHECK(remove(kLock));
  return fs_.rename(directory_ + kKept, directory_ + kData);
}

Result<void> IndexAside::put_aside() {
  TARN_CHECK(remove(kLock));
  if (kept_) return remove(kData);
  TARN_TRY(const bool there, fs_.exists(directory_ + kData));
  if (!there) return {};
  TARN_CHECK(fs_.rename(directory_ + kData, directory_ + kKept));
  kept_ = true;
  return {};
}

Result<void> IndexAside::let_go() {
  if (!kept_) return {};
  TARN_CHECK(remove(kKept));
  kept_ = false;
  return {};
}

std::uint64_t IndexAside::kept_bytes() const {
  if (!kept_) return 0;
  const auto file = fs_.open(directory_ + kKept, base::OpenMode::read);
  const auto size = file ? (*file)->size() : Result<std::uint64_t>(0);
  return size ? *size : 0;
}

}  // namespace tarn::volume
