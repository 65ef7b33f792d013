#include "mpi/dsort_shard.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "mpi/dsort_by_products.hpp"
#include "mpi/dsort_content.hpp"
#include "shard/dali_index.hpp"
#include "shard/shard_index.hpp"
#include "shard/tar_format.hpp"

namespace tarn::mpi {

namespace {

constexpr std::string_view content_type_of(shard::ArchiveKind kind) {
  return kind == shard::ArchiveKind::tar ? "application/x-tar" : kind == shard::ArchiveKind::tar_gz ? "application/gzip" : "application/zstd";
}

}  // namespace

Result<ShardAssembler::Assembled> ShardAssembler::assemble(const PlannedShard& shard, PhaseControl& control) {
  control_ = &control;
  const object::BodyId id = shard_id(job_, shard);
  const ObjectName name{job_.output_bucket, job_.output.name(shard.number)};
  TARN_TRY(auto finished, take_up(shard, id, name));
  if (!finished) return make(shard, id, name);
  control.add(shard.tar_bytes);
  return std::move(*finished);
}

Result<std::unique_ptr<object::KeepingWriter>> ShardAssembler::create(const PlannedShard& shard, const ObjectName& name) const {
  PutOptions options;
  options.content_type = content_type_of(job_.output_kind);
  return job_.context.store->create(shard.disk, name, options, shard.tar_bytes + shard::kTrailerBytes);
}

Result<std::optional<ShardAssembler::Assembled>> ShardAssembler::take_up(const PlannedShard& shard, const object::BodyId& id,
                                                                         const ObjectName& name) {
  Assembled taken;
  taken.id = id;
  taken.resumed = true;
  const auto expect = [&] {
    expected_.clear();
    for (const auto& run : shard.runs) expected_.push_back(decode(run).second);
  };
  if (const auto checksum = finished_.named(shard.disk, id)) {
    const auto reader = job_.context.store->open_reader(shard.disk, name);
    if (!reader && reader.error().code != ErrorCode::not_found) return fail(reader.error());
    if (reader && (*reader)->info().checksum == *checksum) {
      taken.checksum = *checksum;
      taken.size_bytes = (*reader)->info().size_bytes;
      expect();
      const shard::ArchiveReadFn read_body = [&](std::uint64_t offset, std::span<std::byte> to) { return (*reader)->read(offset, to); };
      TARN_CHECK(verify(shard, name.key, read_body, taken));
      return taken;
    }
  }
  const object::KeptBody* const body = finished_.kept(shard.disk, id);
  if (body == nullptr) return std::nullopt;
  TARN_TRY(auto writer, create(shard, name));
  if (const auto resumed = writer->resume(*body); !resumed) {
    base::log_warn("dsort: shard '" + name.key + "', which an earlier job had finished, is made again: " + resumed.error().message);
    return std::nullopt;
  }
  taken.checksum = body->checksum;
  taken.size_bytes = body->size_bytes;
  expect();
  const shard::ArchiveReadFn read_body = [&](std::uint64_t offset, std::span<std::byte> to) { return writer->read_back(offset, to); };
  TARN_CHECK(verify(shard, name.key, read_body, taken));
  taken.writer = std::move(writer);
  return taken;
}

Result<ShardAssembler::Assembled> ShardAssembler::make(const PlannedShard& shard, const object::BodyId& id, const ObjectName& name) {
  filled_ = 0;
  requests_.clear();
  checks_.clear();
  expected_.clear();
  sample_open_ = false;
  TARN_TRY(writer_, create(shard, name));
  written_ = 0;
  packer_.reset();
  if (job_.output_kind != shard::ArchiveKind::tar) {
    TARN_TRY(packer_, shard::TarPacker::open(job_.output_kind, [this](std::span<const std::byte> bytes) {
               written_ += bytes.size();
               return writer_->write(bytes);
             }));
  }
  for (const auto& run : shard.runs) TARN_CHECK(add_record(run));
  TARN_CHECK(add_zeros(shard::kTrailerBytes));
  TARN_CHECK(flush());
  if (packer_) TARN_CHECK(packer_->finish());
  TARN_CHECK(writer_->prepare());
  Assembled made;
  made.id = id;
  made.size_bytes = written_;
  const shard::ArchiveReadFn read_body = [this](std::uint64_t offset, std::span<std::byte> to) { return writer_->read_back(offset, to); };
  TARN_CHECK(verify(shard, name.key, read_body, made));
  TARN_TRY(made.checksum, writer_->keep(id));
  made.writer = std::move(writer_);
  return made;
}

Result<void> ShardAssembler::write_out(std::span<const std::byte> bytes) {
  if (packer_) return packer_->write(bytes);
  written_ += bytes.size();
  return writer_->write(bytes);
}

std::pair<plan::RecordHead, std::optional<std::uint64_t>> ShardAssembler::decode(std::span<const std::byte> bytes) {
  base::Decoder from(bytes);
  const plan::RecordHead head = plan::read_record(from, parts_);
  TARN_ASSERT(!from.failed());  // it was checked when it arrived
  const bool single = !head.loose && parts_.extents.size() == 1;
  return {head, single ? std::optional(parts_.extents[0].hash) : std::nullopt};
}

Result<void> ShardAssembler::add_record(std::span<const std::byte> bytes) {
  const auto [head, hash] = decode(bytes);
  const bool single = hash.has_value();
  expected_.push_back(hash);
  if (!single) begin_sample();
  for (const auto& extent : parts_.extents) {
    const DsortSource& source = sources_[head.source];
    Check check;
    check.hash = extent.hash;
    check.key = head.key;
    check.source = head.source;
    TARN_CHECK(add_data({source.rank, source.disk}, source.extents, extent.offset, extent.length_bytes, check));
  }
  for (const auto& member : parts_.members) TARN_CHECK(add_loose(member, head.key));
  if (!single) end_sample();
  return {};
}

Result<void> ShardAssembler::add_loose(const plan::LooseMember& member, std::string_view key) {
  TARN_CHECK(add_bytes(shard::make_tar_headers(member.name, member.size_bytes)));
  Check check;
  check.kind = Check::Kind::loose;
  check.checksum = member.checksum;
  check.key = key;
  TARN_CHECK(add_data({member.rank, member.disk}, member.extents, 0, member.size_bytes, check));
  return add_zeros(shard::padded(member.size_bytes) - member.size_bytes);
}

template <class Extents>
Result<void> ShardAssembler::add_data(Origin origin, const Extents& extents, std::uint64_t offset, std::uint64_t length_bytes, Check check) {
  check.first = true;
  while (length_bytes > 0) {
    if (filled_ == window_.size()) TARN_CHECK(flush());
    const std::size_t piece = std::min<std::uint64_t>(length_bytes, window_.size() - filled_);
    add_requests(origin, extents, offset, std::span(window_).subspan(filled_, piece));
    check.begin = filled_;
    check.end = filled_ + piece;
    check.last = piece == length_bytes;
    checks_.push_back(check);
    check.first = false;
    filled_ += piece;
    offset += piece;
    length_bytes -= piece;
  }
  return {};
}

template <class Extents>
void ShardAssembler::add_requests(Origin origin, const Extents& extents, std::uint64_t offset, std::span<std::byte> target) {
  for (const auto& extent : extents) {
    if (offset >= extent.length_bytes) {
      offset -= extent.length_bytes;
      continue;
    }
    const std::size_t piece = std::min<std::uint64_t>(extent.length_bytes - offset, target.size());
    FetchRequest request;
    request.rank = origin.rank;
    request.disk = origin.disk;
    request.volume = extent.volume;
    request.offset = extent.offset + offset;
    request.length_bytes = piece;
    request.target = target.data();
    requests_.push_back(request);
    target = target.subspan(piece);
    offset = 0;
    if (target.empty()) return;
  }
  TARN_ASSERT(target.empty());  // an object's extents are as long as the object
}

Result<void> ShardAssembler::add_bytes(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (filled_ == window_.size()) TARN_CHECK(flush());
    const std::size_t piece = std::min(bytes.size(), window_.size() - filled_);
    std::memcpy(window_.data() + filled_, bytes.data(), piece);
    filled_ += piece;
    bytes = bytes.subspan(piece);
  }
  return {};
}

Result<void> ShardAssembler::add_zeros(std::uint64_t count) {
  static constexpr std::array<std::byte, shard::kTrailerBytes> kZeros{};
  TARN_ASSERT(count <= kZeros.size());
  return add_bytes(std::span(kZeros).first(count));
}

void ShardAssembler::begin_sample() {
  sample_open_ = sample_first_ = true;
  sample_begin_ = filled_;
}

/// Cuts off what the open sample has in this window.
void ShardAssembler::end_sample() {
  Check check;
  check.kind = Check::Kind::sample;
  check.begin = sample_begin_;
  check.end = filled_;
  check.first = sample_first_;
  check.last = true;
  check.slot = expected_.size() - 1;
  checks_.push_back(check);
  sample_open_ = false;
}

Result<void> ShardAssembler::flush() {
  if (control_->stopped()) return fail(ErrorCode::aborted, "dsort: stopped");
  if (sample_open_) {  // goes on in the next window
    end_sample();
    checks_.back().last = false;
    sample_open_ = true;
    sample_first_ = false;
    sample_begin_ = 0;
  }
  TARN_CHECK(job_.context.fetcher.fetch(requests_));
  for (const Check& check : checks_) TARN_CHECK(check_piece(check));
  TARN_CHECK(write_out(std::span(window_).first(filled_)));
  control_->add(filled_);
  filled_ = 0;
  requests_.clear();
  checks_.clear();
  return {};
}

Result<void> ShardAssembler::check_piece(const Check& check) {
  const auto bytes = std::span<const std::byte>(window_).subspan(check.begin, check.end - check.begin);
  const bool whole = check.first && check.last;
  bool good = true;
  if (check.kind == Check::Kind::loose) {
    if (check.first && !whole) loose_checksum_.reset();
    if (!whole) loose_checksum_.update(bytes);
    good = !check.last || (whole ? base::xxh3_128(bytes) : loose_checksum_.digest()) == check.checksum;
  } else {
    base::HashStream& stream = check.kind == Check::Kind::part ? part_hash_ : sample_hash_;
    if (check.first && !whole) stream.reset();
    if (!whole) stream.update(bytes);
    if (check.last) {
      const std::uint64_t hash = whole ? base::xxh3_64(bytes) : stream.digest();
      if (check.kind == Check::Kind::sample)
        expected_[check.slot] = hash;
      else
        good = hash == check.hash;
    }
  }
  if (good) return {};
  const std::string from = check.source < sources_.size() ? "shard '" + sources_[check.source].name + "'" : "a loose object";
  return fail(ErrorCode::corrupt, "dsort: the bytes of sample '" + std::string(check.key.substr(0, 300)) + "' from " + from +
                                      " are not what they were when it was indexed; was it replaced, or is a disk failing?");
}

Result<void> ShardAssembler::count_class(const std::optional<std::string>& content) {
  ++classes_[content ? plan::class_label(*content) : std::string(plan::kOtherClass)];
  if (classes_.size() <= plan::kClassesMax) return {};
  return fail(ErrorCode::invalid, "dsort: there are more than " + std::to_string(plan::kClassesMax) + " values of '." + job_.spec.class_extension +
                                      "' to count; is it a label? leave the class counts out");
}

Result<void> ShardAssembler::verify(const PlannedShard& shard, const std::string& name, const shard::ArchiveReadFn& read_body, Assembled& assembled) {
  std::size_t next = 0;
  const auto wrong = [&](std::string_view what) {
    return fail(ErrorCode::corrupt, "dsort: output shard '" + name + "' is not what was written: " + std::string(what));
  };
  const shard::ArchiveReadFn read_back = [&](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
    if (control_->stopped()) return fail(ErrorCode::aborted, "dsort: stopped");
    return read_body(offset, target);
  };
  TARN_TRY(const auto tar, shard::open_tar_stream(job_.output_kind, name, assembled.size_bytes, read_back));
  const shard::ShardReadFn read = [&](std::uint64_t /*offset*/, std::span<std::byte> target) { return tar->read(target); };
  const shard::ContentWatch classes = class_watch(job_.spec);
  shard::DaliIndex index;
  const shard::SampleFn compare = [&](const shard::Sample& sample) -> Result<void> {
    if (next == shard.runs.size()) return wrong("it has too many samples");
    base::Decoder from(shard.runs[next]);
    const plan::RecordHead head = plan::read_head(from);
    if (sample.key != head.key || sample.members != head.members || sample.extents.size() != 1)
      return wrong("sample '" + std::string(head.key.substr(0, 300)) + "' is not where it belongs");
    if (expected_[next] && sample.extents[0].hash != *expected_[next])
      return wrong("sample '" + std::string(head.key.substr(0, 300)) + "' has other bytes");
    ++next;
    assembled.members += sample.members;
    if (job_.spec.index) index.end_sample();
    return classes.extension.empty() ? Result<void>() : count_class(sample.content);
  };
  const shard::MemberFn add_to_index = [&](const shard::SampleMember& member) -> Result<void> {
    auto added = index.add_member(member.name, member.extension, member.data_offset, member.data_bytes);
    return added ? added : fail(added.error().code, "dsort: shard '" + name + "': " + added.error().message);
  };
  TARN_CHECK(shard::index_shard(name, shard.tar_bytes + shard::kTrailerBytes, read, compare, window_,
                                {classes, job_.spec.index ? add_to_index : shard::MemberFn{}}));
  std::byte more{};
  TARN_TRY(const std::size_t behind, tar->read({&more, 1}));
  if (behind != 0) return wrong("it goes on behind its end");
  if (next != shard.runs.size()) return wrong("samples are missing");
  if (!job_.spec.index) return {};
  assembled.index_name = shard::dali_index_name(name);
  TARN_TRY(assembled.index, stage_index(job_, shard, index.text()));
  return {};
}

}  // namespace tarn::mpi
