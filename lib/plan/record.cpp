#include "plan/record.hpp"

#include "shard/tar_format.hpp"

namespace tarn::plan {

namespace {

constexpr std::uint64_t kBlock = shard::kBlockBytes;

void put_text(base::Encoder& to, std::string_view text) {
  to.varint(text.size()).raw(std::as_bytes(std::span(text.data(), text.size())));
}

std::string_view get_text(base::Decoder& from) {
  const auto bytes = from.raw(from.varint());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Head and number of parts; what follows is the first part.
RecordHead read_front(base::Decoder& from, std::uint64_t& parts) {
  RecordHead head;
  head.key = get_text(from);
  head.content = get_text(from);
  head.members = from.varint();
  head.tar_bytes = from.varint() * kBlock;
  const std::uint64_t origin = from.varint();
  head.loose = origin == 0;
  head.source = origin - 1;  // kLooseSource for 0
  parts = from.varint();
  return head;
}

}  // namespace

std::uint64_t loose_tar_bytes(const LooseMember& member) {
  return shard::tar_headers_bytes(member.name, member.size_bytes) + shard::padded(member.size_bytes);
}

void append_shard_record(base::Encoder& to, const shard::Sample& sample, std::uint64_t source, std::string_view content) {
  std::uint64_t tar_bytes = 0;
  for (const auto& extent : sample.extents) tar_bytes += extent.length_bytes;
  put_text(to, sample.key);
  put_text(to, content);
  to.varint(sample.members).varint(tar_bytes / kBlock).varint(source + 1).varint(sample.extents.size());
  for (const auto& extent : sample.extents) to.varint(extent.offset / kBlock).varint(extent.length_bytes / kBlock).u64(extent.hash);
}

void append_loose_member(base::Encoder& to, const LooseMember& member) {
  put_text(to, member.name);
  to.varint(member.size_bytes).raw(std::as_bytes(std::span(member.checksum)));
  to.varint(static_cast<std::uint64_t>(member.rank)).varint(member.disk).varint(member.extents.size());
  for (const auto& extent : member.extents) to.varint(extent.volume).varint(extent.offset).varint(extent.length_bytes);
}

void append_loose_record(base::Encoder& to, std::string_view key, std::span<const LooseMember> members, std::string_view content) {
  std::uint64_t tar_bytes = 0;
  for (const auto& member : members) tar_bytes += loose_tar_bytes(member);
  put_text(to, key);
  put_text(to, content);
  to.varint(members.size()).varint(tar_bytes / kBlock).varint(0).varint(members.size());
  for (const auto& member : members) append_loose_member(to, member);
}

LooseMember read_loose_member(base::Decoder& from) {
  LooseMember member;
  member.name = get_text(from);
  member.size_bytes = from.varint();
  const auto checksum = from.raw(member.checksum.size());
  for (std::size_t i = 0; i < checksum.size(); ++i) member.checksum[i] = static_cast<std::uint8_t>(checksum[i]);
  member.rank = static_cast<RankId>(from.varint());
  member.disk = static_cast<std::uint32_t>(from.varint());
  for (std::uint64_t n = from.varint(); n > 0 && !from.failed(); --n) {
    VolumeExtent extent;
    extent.volume = from.varint();
    extent.offset = from.varint();
    extent.length_bytes = from.varint();
    member.extents.push_back(extent);
  }
  return member;
}

RecordHead read_head(base::Decoder& from) {
  std::uint64_t parts = 0;
  RecordHead head = read_front(from, parts);
  for (std::uint64_t i = 0; i < parts && !from.failed(); ++i) {
    if (head.loose) {
      (void)read_loose_member(from);
      continue;
    }
    const std::uint64_t offset = from.varint();
    if (i == 0) head.position = offset;
    (void)from.varint();
    (void)from.u64();
  }
  return head;
}

RecordHead read_record(base::Decoder& from, RecordParts& parts) {
  parts.extents.clear();
  parts.members.clear();
  std::uint64_t count = 0;
  RecordHead head = read_front(from, count);
  for (std::uint64_t i = 0; i < count && !from.failed(); ++i) {
    if (head.loose) {
      parts.members.push_back(read_loose_member(from));
      continue;
    }
    shard::SampleExtent extent;
    extent.offset = from.varint() * kBlock;
    extent.length_bytes = from.varint() * kBlock;
    extent.hash = from.u64();
    parts.extents.push_back(extent);
  }
  if (!parts.extents.empty()) head.position = parts.extents[0].offset / kBlock;
  return head;
}

}  // namespace tarn::plan
