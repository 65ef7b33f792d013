#include "mpi/dsort_by_products.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "mpi/dsort_exchange.hpp"
#include "mpi/dsort_input.hpp"
#include "mpi/fetcher.hpp"
#include "shard/dali_index.hpp"

namespace tarn::mpi {

namespace {

constexpr std::size_t kPieceBytes = 1 << 20;

const placement::Disk& home_of(const DsortJob& job, std::string_view key) {
  return job.home(job.output_bucket, key);
}

object::BodyId by_product_id(const DsortJob& job, std::string_view key) {
  const std::string text = "by-product\n" + job.output_bucket + "/" + std::string(key);
  return base::xxh3_128(std::as_bytes(std::span(text)));
}

/// Writes an object that only lacks its name; nothing is left to do where a job before this one has given it.
class ByProductWriter {
 public:
  ByProductWriter(const DsortJob& job, std::string key) : job_(job) {
    output_.disk = home_of(job, key).index;
    output_.id = by_product_id(job, key);
    output_.key = std::move(key);
  }

  Result<void> open(std::string_view content_type, std::uint64_t size_bytes) {
    PutOptions options;
    options.content_type = content_type;
    TARN_TRY(output_.writer, job_.context.store->create(output_.disk, name(), options, size_bytes));
    return {};
  }
  Result<void> write(std::span<const std::byte> bytes) {
    checksum_.update(bytes);
    return output_.writer->write(bytes);
  }
  Result<Output> finish() {
    TARN_CHECK(output_.writer->prepare());
    output_.checksum = checksum_.digest();
    const auto there = job_.context.store->find(output_.disk, name());
    if (there && there->info.checksum != output_.checksum) return name_taken(job_, output_.key);
    if (there) output_.writer.reset();
    return std::move(output_);
  }

 private:
  [[nodiscard]] ObjectName name() const { return {job_.output_bucket, output_.key}; }

  const DsortJob& job_;
  Output output_;
  base::ChecksumStream checksum_;
};

/// From the staging of the rank that made it.
Result<Output> fetch_index(const DsortJob& job, const plan::LooseMember& staged) {
  ByProductWriter writer(job, std::string(staged.name));
  TARN_CHECK(writer.open("text/plain", staged.size_bytes));
  std::vector<std::byte> buffer;
  for (const auto& extent : staged.extents)
    for (std::uint64_t at = 0; at < extent.length_bytes; at += buffer.size()) {
      buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, extent.length_bytes - at)));
      const FetchRequest request{staged.rank, staged.disk, extent.volume, extent.offset + at, buffer.size(), buffer.data()};
      TARN_CHECK(job.context.fetcher.fetch({&request, 1}));
      TARN_CHECK(writer.write(buffer));
    }
  TARN_TRY(auto output, writer.finish());
  if (output.checksum != staged.checksum)
    return fail(ErrorCode::corrupt, "dsort: the bytes of '" + output.key + "' changed on their way; is a disk failing?");
  return output;
}

Result<void> make_indices(DsortJob& job, const std::vector<ShardAssembler::Assembled>& shards, std::vector<Output>& outputs) {
  base::Encoder item;
  const auto outgoing = [&](std::size_t i) {
    item = base::Encoder();
    plan::LooseMember staged = shards[i].index;
    staged.name = shards[i].index_name;
    plan::append_loose_member(item, staged);
    return OutgoingItem{static_cast<std::size_t>(home_of(job, staged.name).rank), item.bytes()};
  };
  std::vector<std::vector<std::byte>> received;
  TARN_CHECK(exchange_in_rounds(job.collectives(), shards.size(), outgoing, [&](std::size_t, std::vector<std::byte> bytes) -> Result<void> {
    received.push_back(std::move(bytes));
    return {};
  }));
  for (const auto& block : received) {
    base::Decoder from(block);
    while (!from.rest().empty()) {
      const auto staged = plan::read_loose_member(from);
      if (from.failed()) return fail(ErrorCode::internal, "dsort: the place of an index is cut off");
      TARN_TRY(outputs.emplace_back(), fetch_index(job, staged));
    }
  }
  return {};
}

Result<void> make_manifest(DsortJob& job, const ShardPlan& plan, const std::vector<ShardAssembler::Assembled>& shards, std::vector<Output>& outputs) {
  const std::string key = plan::manifest_name(job.output.prefix());
  const auto home = static_cast<std::size_t>(home_of(job, key).rank);
  base::Encoder item;
  const auto outgoing = [&](std::size_t i) {
    item = base::Encoder();
    item.varint(plan.shards[i].number).varint(plan.shards[i].samples).varint(shards[i].members).varint(shards[i].size_bytes);
    item.raw(std::as_bytes(std::span(shards[i].checksum)));
    return OutgoingItem{home, item.bytes()};
  };
  std::vector<plan::ManifestShard> all;
  TARN_CHECK(exchange_in_rounds(job.collectives(), shards.size(), outgoing, [&](std::size_t, std::vector<std::byte> bytes) -> Result<void> {
    base::Decoder from(bytes);
    while (!from.rest().empty()) {
      plan::ManifestShard shard;
      shard.number = from.varint();
      shard.samples = from.varint();
      shard.members = from.varint();
      shard.size_bytes = from.varint();
      const auto checksum = from.raw(shard.checksum.size());
      std::transform(checksum.begin(), checksum.end(), shard.checksum.begin(), [](std::byte b) { return static_cast<std::uint8_t>(b); });
      if (from.failed()) return fail(ErrorCode::internal, "dsort: a line of the manifest is cut off");
      all.push_back(shard);
    }
    return {};
  }));
  if (home != static_cast<std::size_t>(job.rank())) return {};
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  std::vector<std::string> names;
  for (const auto& shard : all) names.push_back(job.output.name(shard.number));
  const std::string text = base::pretty_json(plan::make_manifest(job.spec, all, names, job.report.classes));
  ByProductWriter writer(job, key);
  TARN_CHECK(writer.open("application/json", text.size()));
  TARN_CHECK(writer.write(std::as_bytes(std::span(text))));
  TARN_TRY(outputs.emplace_back(), writer.finish());
  return {};
}

}  // namespace

bool is_by_product(const DsortJob& job, std::string_view key) {
  if (job.spec.manifest && key == plan::manifest_name(job.output.prefix())) return true;
  constexpr std::string_view kIndex = ".idx";
  return job.spec.index && key.ends_with(kIndex) && job.output.index_of(std::string(key.substr(0, key.size() - kIndex.size())) + ".tar").has_value();
}

Result<plan::LooseMember> stage_index(const DsortJob& job, const PlannedShard& shard, std::string_view text) {
  auto& staging = job.context.store->staging();
  const std::string key = "dsort/index/" + std::to_string(shard.number);
  TARN_TRY(const auto writer, staging.create(shard.disk, key));
  TARN_CHECK(writer->write(std::as_bytes(std::span(text))));
  TARN_TRY(const auto info, writer->commit());
  TARN_TRY(const auto record, staging.find(shard.disk, key));
  plan::LooseMember member{{}, info.size_bytes, info.checksum, job.rank(), shard.disk, {}};
  for (const auto& extent : record.extents) member.extents.push_back({extent.volume, extent.offset, extent.length_bytes});
  return member;
}

Result<void> sum_classes(DsortJob& job, const plan::ClassCounts& own) {
  if (job.spec.class_extension.empty()) return {};
  base::Encoder to;
  for (const auto& [label, count] : own) to.text(label).varint(count);
  TARN_TRY(const auto all, all_gather_in_rounds(job.collectives(), to.bytes()));
  for (const auto& bytes : all) {
    base::Decoder from(bytes);
    while (!from.rest().empty()) {
      std::string label(from.text());
      const std::uint64_t count = from.varint();
      if (from.failed()) return fail(ErrorCode::internal, "dsort: a class count is cut off");
      job.report.classes[std::move(label)] += count;
    }
  }
  return {};
}

Result<std::vector<Output>> make_by_products(DsortJob& job, const ShardPlan& plan, const std::vector<ShardAssembler::Assembled>& shards) {
  std::vector<Output> outputs;
  if (job.spec.index) TARN_CHECK(make_indices(job, shards, outputs));
  if (job.spec.manifest) TARN_CHECK(make_manifest(job, plan, shards, outputs));
  return outputs;
}

}  // namespace tarn::mpi
