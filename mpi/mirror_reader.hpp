// mirror_reader.hpp - an object that has several copies, open for reading: another copy takes over where one fails.
// Level 6 (mpi). One thread at a time.
#pragma once

#include <memory>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "mpi/homes.hpp"
#include "object/object_service.hpp"

namespace tarn::mpi {

/// Writes a good copy over a damaged one. Whoever reads has the bytes already: a failure is logged.
void mend_copy(Homes& homes, Home good, Home damaged, const ObjectName& name);

class MirrorReader final : public object::ObjectReader {
 public:
  /// @param reader  of the copy at `home`.
  /// @param others  where other copies may be, the next to try first.
  MirrorReader(Homes& homes, ObjectName name, std::unique_ptr<object::ObjectReader> reader, Home home, std::vector<Home> others)
      : homes_(homes), name_(std::move(name)), info_(reader->info()), reader_(std::move(reader)), home_(home), others_(std::move(others)) {}

  [[nodiscard]] const ObjectInfo& info() const noexcept override { return info_; }
  /// A damaged copy is mended from the one that took over.
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> target) override;
  [[nodiscard]] std::vector<object::FileExtent> extents() const override { return reader_->extents(); }
  [[nodiscard]] bool verified() const noexcept override { return reader_->verified(); }
  [[nodiscard]] bool may_wait() const noexcept override { return true; }

 private:
  Homes& homes_;
  const ObjectName name_;
  const ObjectInfo info_;
  std::unique_ptr<object::ObjectReader> reader_;
  Home home_;
  std::vector<Home> others_;
};

}  // namespace tarn::mpi
