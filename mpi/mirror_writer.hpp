// mirror_writer.hpp - a body that is written to all disks that are to hold a copy.
// Level 6 (mpi). One thread at a time.
//
//   write -> every copy;  commit: every body is complete and ready -> the first holder names its copy, and so gives the version its
//   time -> the others name theirs. What can fail for lack of space or a lost rank fails before the first has a name.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "mpi/homes.hpp"
#include "object/copy_terms.hpp"

namespace tarn::mpi {

/// The last step of a put: first the copy that gives the version its time, then the others.
/// @param write  (place among the holders, terms) -> Result<ObjectInfo>.
/// @return what the first one says. @errors the first holder's: nothing has been written; another's: some holders have it, some do not.
[[nodiscard]] Result<ObjectInfo> write_copies(const ObjectName& name, std::size_t holders,
                                              const std::function<Result<ObjectInfo>(std::size_t, const object::CopyTerms&)>& write);

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
