#include "mpi/mirror_writer.hpp"

#include <string>

#include "base/error.hpp"

namespace tarn::mpi {

Result<ObjectInfo> write_copies(const ObjectName& name, std::size_t holders,
                                const std::function<Result<ObjectInfo>(std::size_t, const object::CopyTerms&)>& write) {
  using Kind = object::CopyTerms::Kind;
  TARN_TRY(const ObjectInfo info, write(0, {Kind::first, 0}));
  std::optional<Error> missed;
  std::size_t written = 1;
  for (std::size_t i = 1; i < holders; ++i) {
    const auto copied = write(i, {Kind::copy, info.modified_ns});
    if (copied) ++written;
    if (!copied && !missed) missed = copied.error();
  }
  if (!missed) return info;
  return fail(missed->code,
              name.bucket + "/" + name.key + ": written to " + std::to_string(written) + " of " + std::to_string(holders) + " copies (" +
                  missed->message + "); it may be read as it was or as it is now until it is written again",
              missed->rank);
}

Result<void> MirrorWriter::write(std::span<const std::byte> bytes) {
  if (failed_) return fail(*failed_);
  for (const auto& writer : writers_) {
    if (auto written = writer->write(bytes); !written) {
      failed_ = written.error();
      return written;
    }
  }
  return {};
}

Result<void> MirrorWriter::prepare() {
  if (failed_) return fail(*failed_);
  if (prepared_) return {};
  for (const auto& writer : writers_) {
    if (auto ready = writer->prepare(); !ready) {
      failed_ = ready.error();
      return ready;
    }
  }
  prepared_ = true;
  return {};
}

Result<std::size_t> MirrorWriter::read_back(std::uint64_t offset, std::span<std::byte> target) {
  if (failed_) return fail(*failed_);
  return writers_.front()->read_back(offset, target);
}

Result<ObjectInfo> MirrorWriter::commit() {
  TARN_CHECK(prepare());
  return write_copies(name_, writers_.size(), [&](std::size_t i, const object::CopyTerms& terms) { return writers_[i]->commit_as(terms); });
}

}  // namespace tarn::mpi
