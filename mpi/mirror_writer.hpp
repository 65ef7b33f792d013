// mirror_writer.hpp - a body that is written to all disks that are to hold a copy.
// Level 6 (mpi). One thread at a time.
//
//   write -> every copy;  commit: every body is complete and ready -> the first holder names its copy, and so gives the version its
//   time -> the others name theirs. What can fail for lack of space or a lost rank fails before the first has a name.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "mpi/homes.hpp"
#include "object/copy_terms.hpp"

namespace tarn::mpi {

/// What a put says that reached some of its holders only.
[[nodiscard]] Error incomplete_put(const ObjectName& name, std::size_t written, std::size_t wanted, const Error& reason);

class MirrorWriter final : public ObjectWriter {
 public:
  /// @param writers  one for each holder, in order; at least one.
  MirrorWriter(ObjectName name, std::vector<std::unique_ptr<object::CopyWriter>> writers) : name_(std::move(name)), writers_(std::move(writers)) {}

  [[nodiscard]] Result<void> write(std::span<const std::byte> bytes) override;
  [[nodiscard]] Result<void> prepare() override;
  [[nodiscard]] Result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> target) override;
  [[nodiscard]] Result<ObjectInfo> commit() override;

 private:
  const ObjectName name_;
  std::vector<std::unique_ptr<object::CopyWriter>> writers_;
  std::optional<Error> failed_;  // sticks: the copies differ in length
  bool prepared_ = false;
};

}  // namespace tarn::mpi
