#include "volume/member.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/assert.hpp"
#include "base/bucket_options.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace tarn::volume {

namespace {

constexpr std::string_view kXattr = "SCHILY.xattr.user.tarn.";
constexpr std::string_view kSolo = "/solo";
constexpr std::string_view kMeta = "meta.";
constexpr std::size_t kHashDigits = 16;
constexpr std::size_t kPathComponentBytesMax = 240;  // file systems allow 255

constexpr std::string_view kOperations[] = {"", "delete", "bucket-create", "bucket-remove", "blocks", "assembled"};  // by MemberKind

/// "PaxHeaders/<disk>/<volume>" and, of a solo volume, "/solo"; without an allocation: it is wanted for each member that is read.
class PaxBlockName {
 public:
  explicit PaxBlockName(const Place& place) noexcept {
    append(kPaxHeaders);
    const auto disk = place.disk.text();
    append({disk.data(), disk.size()});
    append("/");
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), place.volume).ptr;
    const std::string_view number(digits.data(), static_cast<std::size_t>(end - digits.data()));
    append(std::string_view("00000000").substr(std::min<std::size_t>(8, number.size())));
    append(number);
    shared_bytes_ = size_;
    append(kSolo);
  }
  [[nodiscard]] std::string_view of_shared() const noexcept { return {chars_.data(), shared_bytes_}; }
  [[nodiscard]] std::string_view of_solo() const noexcept { return {chars_.data(), size_}; }

 private:
  static constexpr std::string_view kPaxHeaders = "PaxHeaders/";
  void append(std::string_view text) noexcept {
    std::copy(text.begin(), text.end(), chars_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += text.size();
  }
  std::array<char, kPaxHeaders.size() + base::Uuid::Text().size() + 1 + 20 + kSolo.size()> chars_;
  std::size_t size_ = 0, shared_bytes_ = 0;
};

void append_xattr(std::string& records, std::string_view name, std::string_view value) {
  std::string keyword;
  keyword.reserve(kXattr.size() + name.size());
  keyword.append(kXattr).append(name);
  tar::append_pax(records, keyword, value);
}

void append_number(std::string& records, std::string_view name, std::int64_t value) {
  append_xattr(records, name, std::to_string(value));
}

bool has_data(const Member& member) {
  return member.is_object() || member.kind == MemberKind::blocks;
}

bool needs_path_record(std::string_view path) {
  return path.size() > tar::kUstarNameBytes || std::any_of(path.begin(), path.end(), [](char c) { return static_cast<signed char>(c) < ' '; });
}

std::string encode_records(const Member& member, const std::string& path) {
  std::string records;
  records.reserve(512);
  if (needs_path_record(path)) tar::append_pax(records, "path", path);
  if (member.size_bytes > tar::kUstarSizeMax) tar::append_pax(records, "size", std::to_string(member.size_bytes));
  if (member.kind != MemberKind::object) append_xattr(records, "op", kOperations[static_cast<std::size_t>(member.kind)]);
  if (member.kind != MemberKind::blocks) append_xattr(records, "bucket", member.name.bucket);
  if (!member.name.key.empty()) append_xattr(records, "key", member.name.key);
  if (member.kind == MemberKind::bucket_created) {
    if (member.bucket.durability == Durability::sync) append_xattr(records, "durability", to_string(member.bucket.durability));
    const std::string options = base::encode_bucket_options(member.bucket);
    if (!options.empty()) append_xattr(records, "options", options);
  }
  if (member.kind != MemberKind::blocks) append_xattr(records, "seq", std::to_string(member.sequence));
  if (member.kind == MemberKind::deleted) append_xattr(records, "newest", std::to_string(member.newest_volume));
  if (has_data(member)) append_xattr(records, "xxh3", base::to_hex(member.checksum));
  if (member.kind == MemberKind::assembled) {
    append_xattr(records, "object-size", std::to_string(member.object_bytes));
    append_xattr(records, "object-xxh3", base::to_hex(member.object_checksum));
  }
  append_number(records, "mtime", member.modified_ns);
  if (!member.content_type.empty()) append_xattr(records, "type", member.content_type);
  for (const auto& [name, value] : member.user_metadata) append_xattr(records, std::string(kMeta) + name, value);
  append_xattr(records, "hdr", std::string(kHashDigits, '0'));
  return records;
}

std::uint64_t header_hash(std::span<const std::byte> header, const Place& place) {
  return base::xxh3_64(header, place.offset);
}

using HashDigits = std::array<char, kHashDigits>;

HashDigits hash_digits(std::uint64_t hash) noexcept {
  HashDigits digits;
  for (std::size_t i = kHashDigits; i-- > 0; hash >>= 4) digits[i] = "0123456789abcdef"[hash & 15];
  return digits;
}

/// @param digits  where they stand in the header.
bool hash_is_right(std::span<const std::byte> header, const Place& place, std::string_view digits) {
  std::array<std::byte, 4 * tar::kBlockBytes> usual;
  std::vector<std::byte> longer(header.size() > usual.size() ? header.size() : 0);
  const std::span<std::byte> copy = longer.empty() ? std::span(usual).first(header.size()) : std::span(longer);
  std::copy(header.begin(), header.end(), copy.begin());
  std::memset(copy.data() + (digits.data() - reinterpret_cast<const char*>(header.data())), '0', kHashDigits);
  const HashDigits wanted = hash_digits(header_hash(copy, place));
  return std::equal(wanted.begin(), wanted.end(), digits.begin(), digits.end());
}

/// No escaped component begins with a '%' that the key had, so what begins with "%2" or "%+" is ours.
void append_component(std::string& path, std::string_view component) {
  if (component.empty()) {
    path += '%';
  } else if (component == "." || component == "..") {
    path += component == "." ? "%2E" : "%2E%2E";
  } else {
    if (component.front() == '%') {
      path += "%25";
      component.remove_prefix(1);
    }
    while (component.size() > kPathComponentBytesMax) {
      std::size_t cut = kPathComponentBytesMax;
      while (cut > kPathComponentBytesMax - 4 && (static_cast<unsigned char>(component[cut]) & 0xC0) == 0x80) --cut;  // between characters
      path.append(component.substr(0, cut)).append("/%+");
      component.remove_prefix(cut);
    }
    path += component;
  }
}

template <class T>
bool parse_number(std::string_view text, T& value) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// What the records of one header say; `hash` points into them.
struct Records {
  std::string_view hash;
  bool has_bucket = false, has_sequence = false, has_checksum = false, has_newest = false, wrong = false;
  bool has_object_size = false, has_object_checksum = false;
};

void apply_xattr(std::string_view name, std::string_view value, Member& member, Records& seen) {
  if (name == "bucket") {
    member.name.bucket = value;
    seen.has_bucket = true;
  } else if (name == "key") {
    member.name.key = value;
  } else if (name == "seq") {
    seen.has_sequence = parse_number(value, member.sequence);
  } else if (name == "newest") {
    seen.wrong |= !parse_number(value, member.newest_volume);
    seen.has_newest = true;
  } else if (name == "mtime") {
    seen.wrong |= !parse_number(value, member.modified_ns);
  } else if (name == "type") {
    member.content_type = value;
  } else if (name == "hdr") {
    seen.hash = value;
  } else if (name == "xxh3") {
    const auto checksum = base::checksum_from_hex(value);
    if (checksum) member.checksum = *checksum;
    seen.has_checksum = checksum.has_value();
  } else if (name == "object-size") {
    seen.has_object_size = parse_number(value, member.object_bytes);
  } else if (name == "object-xxh3") {
    const auto checksum = base::checksum_from_hex(value);
    if (checksum) member.object_checksum = *checksum;
    seen.has_object_checksum = checksum.has_value();
  } else if (name == "durability") {
    member.bucket.durability = parse_durability(value).value_or(Durability::sync);  // what a newer version may add promises no less
  } else if (name == "options") {
    member.bucket = base::decode_bucket_options(value, member.bucket.durability);
  } else if (name == "op") {
    const auto* found = std::find(std::begin(kOperations), std::end(kOperations), value);
    seen.wrong |= found == std::end(kOperations);
    if (!seen.wrong) member.kind = static_cast<MemberKind>(found - std::begin(kOperations));
  } else if (name.substr(0, kMeta.size()) == kMeta) {
    member.user_metadata.emplace(name.substr(kMeta.size()), value);
  }  // others: of a newer minor version; covered by the hash, skipped
}

}  // namespace

Result<void> check_options(const PutOptions& options) {
  if (options.content_type.size() > kContentTypeBytesMax)
    return fail(ErrorCode::invalid, "content type of " + std::to_string(options.content_type.size()) + " bytes: at most 1,024 are allowed");
  std::size_t total = 0;
  for (const auto& [name, value] : options.user_metadata) {
    total += name.size() + value.size();
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 127 && c != '='; });
    if (name.empty() || name.size() > kMetadataNameBytesMax || !plain)
      return fail(ErrorCode::invalid, "metadata name \"" + name + "\": must be 1 to 200 printable ASCII characters without blanks and '='");
  }
  if (total > limits::kUserMetadataBytesMax)
    return fail(ErrorCode::invalid, "user metadata of " + std::to_string(total) + " bytes: at most 2,048 are allowed");
  return {};
}

std::string member_path(const Member& member) {
  if (member.kind == MemberKind::deleted) return ".tarn/deleted/" + std::to_string(member.sequence);
  if (member.kind == MemberKind::assembled) return ".tarn/assembled/" + std::to_string(member.sequence);
  if (member.kind != MemberKind::object) return ".tarn/bucket/" + std::to_string(member.sequence);
  std::string path = member.name.bucket;
  path.reserve(path.size() + member.name.key.size() + 8);
  std::string_view rest = member.name.key;
  while (true) {
    const std::size_t slash = rest.find('/');
    path += '/';
    append_component(path, rest.substr(0, slash));
    if (slash == std::string_view::npos) return path;
    rest.remove_prefix(slash + 1);
  }
}

std::vector<std::byte> encode_header(const Member& member, const Place& place, std::size_t data_offset) {
  const std::string path = member.kind == MemberKind::blocks ? ".tarn/blocks/" + std::to_string(place.volume) : member_path(member);
  std::string records = encode_records(member, path);
  const std::size_t hash_at = tar::kBlockBytes + records.size() - 1 - kHashDigits;
  if (data_offset != 0) {
    const std::size_t room = data_offset - 2 * tar::kBlockBytes;
    TARN_ASSERT(records.size() <= room);
    if (room - records.size() >= tar::kPaxCommentBytesMin) tar::append_pax_comment(records, room - records.size());
  }
  const std::size_t records_padded = tar::padded(records.size());
  std::vector<std::byte> header(2 * tar::kBlockBytes + records_padded);
  const std::int64_t mtime_s = member.modified_ns / 1'000'000'000;
  const PaxBlockName name(place);
  tar::encode_ustar({member.solo ? name.of_solo() : name.of_shared(), records.size(), mtime_s, tar::kPaxRecords},
                    std::span<std::byte, tar::kBlockBytes>(header.data(), tar::kBlockBytes));
  std::memcpy(header.data() + tar::kBlockBytes, records.data(), records.size());
  tar::encode_ustar({path, member.size_bytes, mtime_s, tar::kRegularFile},
                    std::span<std::byte, tar::kBlockBytes>(header.data() + tar::kBlockBytes + records_padded, tar::kBlockBytes));
  const HashDigits digits = hash_digits(header_hash(header, place));
  std::memcpy(header.data() + hash_at, digits.data(), digits.size());
  return header;
}

std::size_t solo_data_offset(const Member& member) {
  Member longest = member;
  longest.sequence = UINT64_MAX;
  longest.size_bytes = UINT64_MAX;
  longest.modified_ns = INT64_MIN;
  const std::size_t needed = 2 * tar::kBlockBytes + encode_records(longest, member_path(longest)).size() + tar::kPaxCommentBytesMin;
  std::size_t offset = limits::kSoloDataOffset;
  while (offset < needed) offset *= 2;
  return offset;
}

std::optional<std::size_t> header_length(std::span<const std::byte, tar::kBlockBytes> first, const Place& place) {
  const auto block = tar::decode_ustar(first);
  if (!block || block->type != tar::kPaxRecords) return std::nullopt;
  const PaxBlockName expected(place);
  if (block->name.substr(0, expected.of_shared().size()) != expected.of_shared()) return std::nullopt;
  if (block->size_bytes == 0 || block->size_bytes > kHeaderBytesMax) return std::nullopt;
  return 2 * tar::kBlockBytes + tar::padded(block->size_bytes);
}

bool begins_like_header(std::span<const std::byte> bytes, const Place& place) {
  const PaxBlockName name(place);
  const std::string_view expected = name.of_shared();
  const std::string_view begin(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), expected.size()));
  return begin == expected.substr(0, begin.size());
}

std::optional<Member> decode_header(std::span<const std::byte> header, const Place& place) {
  if (header.size() < 3 * tar::kBlockBytes) return std::nullopt;
  const auto first = tar::decode_ustar(header.first<tar::kBlockBytes>());
  const auto last = tar::decode_ustar(header.last<tar::kBlockBytes>());
  if (!first || first->type != tar::kPaxRecords || !last || last->type != tar::kRegularFile) return std::nullopt;
  if (tar::padded(first->size_bytes) + 2 * tar::kBlockBytes != header.size()) return std::nullopt;

  Member member;
  member.size_bytes = last->size_bytes;
  Records seen;
  const auto* begin = reinterpret_cast<const char*>(header.data()) + tar::kBlockBytes;
  tar::PaxReader reader(std::string_view(begin, first->size_bytes));
  while (reader.next()) {
    if (reader.keyword() == "size") seen.wrong |= !parse_number(reader.value(), member.size_bytes);
    if (reader.keyword().substr(0, kXattr.size()) == kXattr) apply_xattr(reader.keyword().substr(kXattr.size()), reader.value(), member, seen);
  }
  const bool blocks = member.kind == MemberKind::blocks;
  if (reader.malformed() || seen.wrong || seen.has_bucket == blocks || seen.has_sequence == blocks) return std::nullopt;
  if (seen.hash.size() != kHashDigits || (has_data(member) && !seen.has_checksum)) return std::nullopt;
  if (member.kind == MemberKind::assembled && !(seen.has_object_size && seen.has_object_checksum)) return std::nullopt;
  if (member.kind == MemberKind::deleted && !seen.has_newest) member.newest_volume = UINT64_MAX;
  if ((member.is_bucket_note() || blocks) != member.name.key.empty()) return std::nullopt;

  if (!hash_is_right(header, place, seen.hash)) return std::nullopt;
  const PaxBlockName expected(place);
  member.solo = first->name == expected.of_solo();
  if (!member.solo && first->name != expected.of_shared()) return std::nullopt;
  return member;
}

}  // namespace tarn::volume
