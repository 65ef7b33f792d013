#include "mpi/dsort_unpack.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "mpi/dsort_content.hpp"
#include "mpi/dsort_exchange.hpp"
#include "shard/tar_stream.hpp"

namespace tarn::mpi {

namespace {

constexpr std::string_view kPrefix = "dsort/";

std::string staged_key(std::uint64_t number) {
  return std::string(kPrefix) + std::to_string(number);
}

/// number, size, and where it lies, of each shard that this rank has unpacked.
Result<std::vector<std::byte>> pack_places(const DsortJob& job, const DsortInputs& inputs) {
  base::Encoder to;
  for (const std::size_t number : inputs.mine) {
    const DsortSource& source = inputs.sources[number];
    if (source.kind == shard::ArchiveKind::tar) continue;
    TARN_TRY(const auto record, job.context.store->staging().find(source.disk, staged_key(number)));
    to.varint(number).varint(record.size_bytes).varint(record.extents.size());
    for (const auto& extent : record.extents) to.varint(extent.volume).varint(extent.offset).varint(extent.length_bytes);
  }
  return std::move(to).take();
}

Result<void> unpack_places(std::span<const std::byte> bytes, std::vector<DsortSource>& sources) {
  base::Decoder from(bytes);
  while (!from.rest().empty()) {
    const std::uint64_t number = from.varint();
    if (from.failed() || number >= sources.size()) return fail(ErrorCode::internal, "dsort: the place of an unpacked shard is cut off");
    DsortSource& source = sources[number];
    source.size_bytes = from.varint();
    source.extents.clear();
    for (std::uint64_t n = from.varint(); n > 0 && !from.failed(); --n) {
      object::StoredExtent extent;
      extent.volume = from.varint();
      extent.offset = from.varint();
      extent.length_bytes = from.varint();
      source.extents.push_back(extent);
    }
  }
  return {};
}

}  // namespace

Result<shard::ShardCounts> unpack_and_index(const DsortJob& job, const DsortSource& source, std::uint64_t number, std::span<std::byte> window,
                                            const shard::SampleFn& take, PhaseControl& control) {
  object::LocalStore& store = *job.context.store;
  TARN_TRY(const auto reader, store.open_reader(source.disk, {job.spec.input.bucket, source.name}));
  if (reader->info().size_bytes != source.size_bytes)
    return fail(ErrorCode::aborted, "dsort: input shard '" + source.name + "' was replaced while the job ran; start it again");
  const shard::ArchiveReadFn read_packed = [&](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
    if (control.stopped()) return fail(ErrorCode::aborted, "dsort: stopped");
    auto got = reader->read(offset, target);
    if (got) control.add(*got);
    return got;
  };
  TARN_TRY(const auto stream, shard::open_tar_stream(source.kind, source.name, source.size_bytes, read_packed));
  std::unique_ptr<ObjectWriter> staged;
  if (!job.spec.dry_run) {
    TARN_TRY(staged, store.staging().create(source.disk, staged_key(number)));
  }
  const shard::ShardReadFn read = [&](std::uint64_t /*offset*/, std::span<std::byte> target) -> Result<std::size_t> {
    TARN_TRY(const std::size_t got, stream->read(target));
    if (staged) TARN_CHECK(staged->write(target.first(got)));
    return got;
  };
  TARN_TRY(auto counts, shard::index_shard(source.name, shard::kUnknownShardBytes, read, take, window, input_options(job)));
  if (staged) TARN_CHECK(staged->commit());
  counts.skipped_members += stream->left_out();
  return counts;
}

Result<void> share_unpacked(DsortJob& job, DsortInputs& inputs) {
  const bool any =
      std::any_of(inputs.sources.begin(), inputs.sources.end(), [](const auto& source) { return source.kind != shard::ArchiveKind::tar; });
  if (!any || job.spec.dry_run) return {};  // the same on all ranks
  TARN_TRY(const auto mine, agree_on(job.collectives(), pack_places(job, inputs)));
  TARN_TRY(const auto all, all_gather_in_rounds(job.collectives(), mine));
  for (const auto& bytes : all) TARN_CHECK(unpack_places(bytes, inputs.sources));
  return {};
}

void remove_unpacked(object::LocalStore* store) noexcept {
  if (store != nullptr) store->staging().remove(kPrefix);
}

}  // namespace tarn::mpi
