#include "volume/record.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "volume/member.hpp"
#include "volume/tar_format.hpp"

namespace tarn::volume {

namespace {

// Value of an index entry (numbers are LEB128, 7 bits a byte, low ones first):
//   form (1: object, 2: removal, 3: assembled object) | sequence | [objects:] size | checksum 16 | modified (zig-zag) |
//   text content type | count, count x (text name, text value) | count, count x extent | [assembled:] extent of the list
//   extent = 4 * volume + 2 * blocks + solo, offset, length, header blocks
constexpr std::byte kObjectForm{1};
constexpr std::byte kRemovalForm{2};
constexpr std::byte kAssembledForm{3};

void put_number(std::vector<std::byte>& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::byte>(value | 0x80));
  out.push_back(static_cast<std::byte>(value));
}

void put_text(std::vector<std::byte>& out, std::string_view text) {
  put_number(out, text.size());
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_extent(std::vector<std::byte>& out, const Extent& extent) {
  put_number(out, extent.volume << 2 | (extent.blocks ? 2 : 0) | (extent.solo ? 1 : 0));
  put_number(out, extent.offset);
  put_number(out, extent.length_bytes);
  put_number(out, extent.header_bytes / tar::kBlockBytes);
}

/// Reads past the end set `failed` and give zeros.
struct Reader {
  std::span<const std::byte> rest;
  bool failed = false;

  std::uint64_t number() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
      const auto byte = static_cast<std::uint64_t>(rest.front());
      rest = rest.subspan(1);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    failed = true;
    return 0;
  }
  std::string_view text() noexcept {
    const auto bytes = raw(number());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::span<const std::byte> raw(std::uint64_t size) noexcept {
    if (size > rest.size()) {
      failed = true;
      return {};
    }
    const auto bytes = rest.first(size);
    rest = rest.subspan(size);
    return bytes;
  }
  Extent extent() noexcept {
    const std::uint64_t volume = number();
    Extent extent{volume >> 2, 0, 0, (volume & 1) != 0, (volume & 2) != 0};
    extent.offset = number();
    extent.length_bytes = number();
    extent.header_bytes = number() * tar::kBlockBytes;
    return extent;
  }
};

}  // namespace

std::uint64_t Extent::footprint_bytes() const noexcept {
  return header_bytes + tar::padded(length_bytes);
}

Record to_record(const Member& member, const Extent& place, std::vector<Extent> extents) {
  const bool assembled = member.kind == MemberKind::assembled;
  Record record{member.sequence,
                assembled ? member.object_bytes : member.size_bytes,
                assembled ? member.object_checksum : member.checksum,
                member.modified_ns,
                member.content_type,
                member.user_metadata,
                std::move(extents)};
  if (assembled) {
    record.list = place;
  } else {
    record.extents.push_back(place);
  }
  return record;
}

std::string index_key(std::string_view bucket, std::string_view key) {
  std::string joined;
  joined.reserve(bucket.size() + 1 + key.size());
  joined.append(bucket).append(1, '\0').append(key);
  return joined;
}

std::string_view object_key(std::string_view index_key) noexcept {
  return index_key.substr(std::min(index_key.find('\0'), index_key.size() - 1) + 1);
}

std::vector<std::byte> encode_record(const Record& record) {
  std::vector<std::byte> out;
  out.reserve(64 + record.content_type.size());
  out.push_back(record.list ? kAssembledForm : kObjectForm);
  put_number(out, record.sequence);
  put_number(out, record.size_bytes);
  const auto checksum = std::as_bytes(std::span(record.checksum));
  out.insert(out.end(), checksum.begin(), checksum.end());
  const auto time = static_cast<std::uint64_t>(record.modified_ns);
  put_number(out, (time << 1) ^ (record.modified_ns < 0 ? ~0ULL : 0ULL));
  put_text(out, record.content_type);
  put_number(out, record.user_metadata.size());
  for (const auto& [name, value] : record.user_metadata) {
    put_text(out, name);
    put_text(out, value);
  }
  put_number(out, record.extents.size());
  for (const auto& extent : record.extents) put_extent(out, extent);
  if (record.list) put_extent(out, *record.list);
  return out;
}

std::vector<std::byte> encode_removal(std::uint64_t sequence) {
  std::vector<std::byte> out{kRemovalForm};
  put_number(out, sequence);
  return out;
}

std::optional<Record> decode_record(std::span<const std::byte> value) {
  if (value.empty() || (value.front() != kObjectForm && value.front() != kAssembledForm)) return std::nullopt;
  Reader reader{value.subspan(1)};
  Record record;
  record.sequence = reader.number();
  record.size_bytes = reader.number();
  const auto checksum = reader.raw(record.checksum.size());
  if (!reader.failed) std::memcpy(record.checksum.data(), checksum.data(), checksum.size());
  const std::uint64_t time = reader.number();
  record.modified_ns = static_cast<std::int64_t>((time >> 1) ^ (0 - (time & 1)));
  record.content_type = reader.text();
  for (std::uint64_t i = 0, count = reader.number(); i < count && !reader.failed; ++i) {
    const std::string name(reader.text());
    record.user_metadata.emplace(name, reader.text());
  }
  for (std::uint64_t i = 0, count = reader.number(); i < count && !reader.failed; ++i) {
    record.extents.push_back(reader.extent());
  }
  if (value.front() == kAssembledForm) record.list = reader.extent();
  if (reader.failed || !reader.rest.empty()) return std::nullopt;
  return record;
}

std::optional<BriefRecord> decode_brief(std::span<const std::byte> value) noexcept {
  if (value.empty() || value.front() != kObjectForm) return std::nullopt;
  Reader reader{value.subspan(1)};
  BriefRecord brief;
  brief.sequence = reader.number();
  brief.size_bytes = reader.number();
  const auto checksum = reader.raw(brief.checksum.size());
  if (!reader.failed) std::memcpy(brief.checksum.data(), checksum.data(), checksum.size());
  (void)reader.number();  // modified
  (void)reader.text();    // content type
  for (std::uint64_t texts = 2 * reader.number(); texts > 0 && !reader.failed; --texts) (void)reader.text();
  const std::uint64_t extents = reader.number();
  if (extents == 1) brief.extent = reader.extent();
  if (reader.failed || !reader.rest.empty() || extents > 1) return std::nullopt;
  return brief;
}

std::optional<std::uint64_t> decode_sequence(std::span<const std::byte> value) {
  if (value.empty() || value.front() < kObjectForm || value.front() > kAssembledForm) return std::nullopt;
  Reader reader{value.subspan(1)};
  const std::uint64_t sequence = reader.number();
  if (reader.failed) return std::nullopt;
  return sequence;
}

bool is_assembled(std::span<const std::byte> value) noexcept {
  return !value.empty() && value.front() == kAssembledForm;
}

bool is_removal(std::span<const std::byte> value) noexcept {
  return !value.empty() && value.front() == kRemovalForm;
}

ObjectInfo object_info(std::string_view key, const Record& record) {
  return ObjectInfo{std::string(key), record.size_bytes, record.checksum, record.modified_ns, record.content_type, record.user_metadata};
}

}  // namespace tarn::volume
