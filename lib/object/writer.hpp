// writer.hpp - a body that arrives piece by piece and becomes an object on one disk.
// Level 3 (object). One thread at a time; must not outlive its Disk.
//
//   buffer (up to 1 MiB) --full, or no memory left for writers--> solo volume under a temporary name, 1 MiB at a time
//   commit: still in the buffer: one member of a shared volume; else: header and rename; in a bucket with durability sync
//   it then waits for the disk, the bucket no longer held
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "base/hash.hpp"
#include "object/copy_terms.hpp"
#include "object/kept_bodies.hpp"
#include "object/writer_memory.hpp"
#include "volume/disk.hpp"
#include "volume/member.hpp"

namespace tarn::object {

/// A member for a new version of `name`, modified now; size, checksum and sequence are still missing.
[[nodiscard]] volume::Member new_member(const ObjectName& name, const PutOptions& options);
/// Writes a body into a solo volume and names it. @cost hashes and writes it once. @errors no_space, io.
[[nodiscard]] Result<volume::Record> put_solo(volume::Disk& on, volume::Member& member, std::span<const std::byte> bytes, volume::Receipt* receipt);
/// @param receipt  as in Appender::append. @errors no_space, io.
[[nodiscard]] Result<void> append_removal(volume::Disk& on, const ObjectName& name, volume::Receipt* receipt);

class LocalWriter final : public KeepingWriter {
 public:
  /// Which volume the body goes to; a part of an upload needs one for itself whatever its size.
  enum class Form : std::uint8_t { by_size, solo };
  /// Runs the last step with the bucket held in place; tells it the bucket's durability and the version's time, or returns what the
  /// disk has where the terms say that this is enough. @errors bucket_not_found.
  using LastStep = std::function<Result<volume::Record>(Durability, std::int64_t modified_ns)>;
  using Guard = std::function<Result<volume::Record>(const CopyTerms&, const LastStep&)>;
  LocalWriter(volume::Disk& disk, std::shared_ptr<WriterMemory> memory, const ObjectName& name, const PutOptions& options, std::uint64_t size_hint,
              Guard guard, Form form = Form::by_size);
  ~LocalWriter() override { memory_->give_back(taken_bytes_); }

  [[nodiscard]] Result<void> write(std::span<const std::byte> bytes) override;
  /// Bodies above 64 KiB leave the memory: for a solo volume that only lacks its name. Smaller ones do when many wait.
  [[nodiscard]] Result<void> prepare() override;
  /// Bodies that prepare() left in memory are read from there.
  [[nodiscard]] Result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> target) override;
  [[nodiscard]] Result<ObjectInfo> commit_as(const CopyTerms& terms) override;
  [[nodiscard]] Result<Checksum> keep(const BodyId& id) override;
  [[nodiscard]] Result<void> resume(const KeptBody& body) override;

 private:
  /// Makes sure that buffer_ may grow to this size. @return false: there is no memory for it.
  [[nodiscard]] bool reserve(std::size_t size_bytes, std::size_t limit_bytes);
  void free_buffer() noexcept;
  [[nodiscard]] Result<void> write_solo(std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> spill();
  [[nodiscard]] Result<void> settle();
  [[nodiscard]] Result<void> end_body();

  volume::Disk& disk_;
  volume::Member member_;
  const Guard guard_;
  const Form form_;
  base::ChecksumStream checksum_;
  const std::shared_ptr<WriterMemory> memory_;
  std::size_t taken_bytes_ = 0;  // of memory_
  std::vector<std::byte> buffer_;
  std::unique_ptr<volume::SoloFile> solo_;
  std::uint64_t size_bytes_ = 0;
  std::optional<Error> failed_;  // of an earlier call: no commit may follow
  bool ended_ = false, committed_ = false;
};

}  // namespace tarn::object
