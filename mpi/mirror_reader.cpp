#include "mpi/mirror_reader.hpp"

#include <utility>

#include "base/log.hpp"

namespace tarn::mpi {

void mend_copy(Homes& homes, Home good, Home damaged, const ObjectName& name) {
  const auto mended = homes.copy(good, damaged, name, object::CopyTerms::Kind::mend);
  const std::string what = name.bucket + "/" + name.key + ": its copy on rank " + std::to_string(damaged.rank) + " is damaged";
  if (mended)
    base::log_warn(what + "; it has been written anew from the one on rank " + std::to_string(good.rank));
  else
    base::log_error(what + " and could not be written anew: " + mended.error().message);
}

Result<std::size_t> MirrorReader::read(std::uint64_t offset, std::span<std::byte> target) {
  auto got = reader_->read(offset, target);
  while (!got && got.error().code != ErrorCode::out_of_range && !others_.empty()) {
    const Home next = others_.front();
    others_.erase(others_.begin());
    auto reader = homes_.open(next, name_);
    if (!reader || (*reader)->info().checksum != info_.checksum || (*reader)->info().modified_ns != info_.modified_ns) continue;
    auto again = (*reader)->read(offset, target);
    if (!again) continue;
    const bool damaged = got.error().code == ErrorCode::corrupt;
    const Home failed = std::exchange(home_, next);
    reader_ = std::move(*reader);
    got = again;
    if (damaged) mend_copy(homes_, home_, failed, name_);
  }
  return got;
}

}  // namespace tarn::mpi
