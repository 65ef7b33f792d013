#include "shard/tar_format.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>

#include "base/error.hpp"

namespace tarn::shard {

namespace {

// Fields of a ustar header: offset and length.
struct Field {
  std::size_t offset;
  std::size_t length;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kTime{136, 12}, kChecksum{148, 8}, kType{156, 1},
    kMagic{257, 8}, kUser{265, 32}, kGroup{297, 32}, kPrefix{345, 155};
constexpr std::uint64_t kOctalSizeMax = 077777777777;  // eleven digits: 8 GiB - 1

std::string_view chars_of(std::span<const std::byte> block, Field field) {
  return {reinterpret_cast<const char*>(block.data()) + field.offset, field.length};
}

/// Up to the first NUL.
std::string_view text_of(std::span<const std::byte> block, Field field) {
  const auto all = chars_of(block, field);
  return all.substr(0, std::min(all.find('\0'), all.size()));
}

/// Octal digits between blanks, or GNU's base 256 (first bit set); an empty field is 0.
std::optional<std::uint64_t> number_of(std::span<const std::byte> block, Field field) {
  const auto raw = chars_of(block, field);
  const auto first = static_cast<unsigned char>(raw[0]);
  if ((first & 0x80) != 0) {
    if (first != 0x80) return std::nullopt;  // negative, or beyond 64 bits
    std::uint64_t value = 0;
    for (std::size_t i = 1; i < raw.size(); ++i) {
      if (value >> 56 != 0) return std::nullopt;
      value = value << 8 | static_cast<unsigned char>(raw[i]);
    }
    return value;
  }
  std::size_t i = 0;
  while (i < raw.size() && raw[i] == ' ') ++i;
  std::uint64_t value = 0;
  for (; i < raw.size() && raw[i] >= '0' && raw[i] <= '7'; ++i) value = value << 3 | static_cast<std::uint64_t>(raw[i] - '0');
  for (; i < raw.size(); ++i)
    if (raw[i] != ' ' && raw[i] != '\0') return std::nullopt;
  return value;
}

bool is_zero(std::span<const std::byte> block) {
  static constexpr std::array<std::byte, kBlockBytes> kZero{};
  return std::memcmp(block.data(), kZero.data(), kBlockBytes) == 0;
}

/// The sum over the header with blanks in its own field; old tars summed signed characters.
bool checksum_matches(std::span<const std::byte> block) {
  const auto stated = number_of(block, kChecksum);
  if (!stated) return false;
  const auto* bytes = reinterpret_cast<const unsigned char*>(block.data());
  std::uint64_t sum = 0;
  std::uint64_t high = 0;  // bytes >= 128 count 256 less when signed
  for (std::size_t i = 0; i < kBlockBytes; ++i) {
    sum += bytes[i];
    high += bytes[i] >> 7;
  }
  for (std::size_t i = kChecksum.offset; i < kChecksum.offset + kChecksum.length; ++i) {
    sum -= bytes[i];
    high -= bytes[i] >> 7;
  }
  sum += kChecksum.length * ' ';
  return *stated == sum || (high != 0 && *stated + 256 * high == sum);
}

tl::unexpected<Error> damage(ErrorCode code, std::uint64_t offset, std::string_view what) {
  return fail(code, "at offset " + std::to_string(offset) + ": " + std::string(what));
}

/// What the extension blocks in front of a header say.
struct Extensions {
  std::optional<std::string> name;  // pax "path" wins over GNU 'L'
  bool name_is_pax = false;
  std::optional<std::uint64_t> size_bytes;
};

/// Records of "<length> <key>=<value>\n", length counting the whole record.
Result<void> read_pax_records(std::string_view records, std::uint64_t offset, Extensions& extensions) {
  while (!records.empty() && records.front() != '\0') {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(records.data(), records.data() + records.size(), length);
    const auto digits = static_cast<std::size_t>(end - records.data());
    if (error != std::errc() || length < digits + 3 || length > records.size() || *end != ' ' || records[length - 1] != '\n')
      return damage(ErrorCode::invalid, offset, "a pax header is malformed");
    const auto record = records.substr(digits + 1, length - digits - 2);
    records.remove_prefix(length);
    const auto equals = record.find('=');
    if (equals == std::string_view::npos) return damage(ErrorCode::invalid, offset, "a pax record has no '='");
    const auto key = record.substr(0, equals);
    const auto value = record.substr(equals + 1);
    if (key.starts_with("GNU.sparse."))
      return damage(ErrorCode::unsupported, offset, "a sparse file; unpack the archive and pack it again without --sparse");
    if (key == "path") {
      extensions.name = std::string(value);
      extensions.name_is_pax = true;
    } else if (key == "size") {
      std::uint64_t size = 0;
      const auto parsed = std::from_chars(value.data(), value.data() + value.size(), size);
      if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size())
        return damage(ErrorCode::invalid, offset, "a pax size is not a number");
      extensions.size_bytes = size;
    }
  }
  return {};
}

/// The text of an extension block of this type.
Result<void> read_extension(char type, std::string_view text, std::uint64_t offset, Extensions& extensions) {
  if (type == 'x' || type == 'X') return read_pax_records(text, offset, extensions);
  if (type == 'L' && !extensions.name_is_pax) extensions.name = std::string(text.substr(0, std::min(text.find('\0'), text.size())));
  if (type == 'g') {  // comments and times are harmless; a name or size for all members that follow is not
    Extensions global;
    TARN_CHECK(read_pax_records(text, offset, global));
    if (global.name || global.size_bytes) return damage(ErrorCode::unsupported, offset, "a global pax header that sets names or sizes");
  }
  return {};
}

std::string name_of(std::span<const std::byte> block) {
  std::string name;
  if (chars_of(block, kMagic).substr(0, 6) == std::string_view("ustar\0", 6)) {  // GNU's "ustar  " has no prefix
    name = text_of(block, kPrefix);
    if (!name.empty()) name.push_back('/');
  }
  return name.append(text_of(block, kName));
}

/// Types whose header is followed by data whatever its size field says: all but links, directories, devices.
bool has_data(char type) {
  return type < '1' || type > '6';
}

bool is_extension(char type) {
  return type == 'x' || type == 'X' || type == 'g' || type == 'L' || type == 'K';
}

struct Header {
  char type = '0';
  std::uint64_t size_bytes = 0;
};

Result<Header> read_header(std::span<const std::byte> block, std::uint64_t offset) {
  if (!checksum_matches(block)) return damage(ErrorCode::invalid, offset, "no tar header (its checksum does not match)");
  const auto size_bytes = number_of(block, kSize);
  if (!size_bytes || *size_bytes > kMemberBytesMax) return damage(ErrorCode::invalid, offset, "the size of a member is not a sensible number");
  return Header{chars_of(block, kType)[0], *size_bytes};
}

/// Name, kind and size of the member that `block` and its extensions describe.
Result<void> finish_entry(std::span<const std::byte> block, const Header& header, std::uint64_t offset, Extensions& extensions, TarEntry& entry) {
  if (header.type == 'S') return damage(ErrorCode::unsupported, offset, "a sparse file; unpack the archive and pack it again without --sparse");
  entry.name = extensions.name ? std::move(*extensions.name) : name_of(block);
  const bool directory = header.type == '\0' && entry.name.ends_with('/');  // how tars before ustar wrote them
  entry.regular = (header.type == '0' || header.type == '\0' || header.type == '7') && !directory;
  entry.data_bytes = has_data(header.type) ? extensions.size_bytes.value_or(header.size_bytes) : 0;
  if (entry.data_bytes > kMemberBytesMax) return damage(ErrorCode::invalid, offset, "the size of a member is not a sensible number");
  return {};
}

void put_text(std::span<std::byte> block, Field field, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.substr(0, field.length)));
  std::copy(bytes.begin(), bytes.end(), block.begin() + static_cast<std::ptrdiff_t>(field.offset));
}

void put_octal(std::span<std::byte> block, Field field, std::uint64_t value) {
  for (std::size_t i = field.length - 1; i-- > 0; value >>= 3) block[field.offset + i] = static_cast<std::byte>('0' + (value & 7));
}

/// One 512-byte ustar header; texts that are too long are cut (a pax record in front has the whole).
void put_header(std::span<std::byte> block, std::string_view prefix, std::string_view name, std::uint64_t size_bytes, char type) {
  put_text(block, kName, name);
  put_octal(block, kMode, 0444);
  put_octal(block, kUid, 0);
  put_octal(block, kGid, 0);
  put_octal(block, kSize, std::min(size_bytes, kOctalSizeMax));
  put_octal(block, kTime, 0);
  put_text(block, kType, std::string_view(&type, 1));
  put_text(block, kMagic, std::string_view("ustar\00000", 8));
  put_text(block, kUser, "root");
  put_text(block, kGroup, "root");
  put_text(block, kPrefix, prefix);
  put_text(block, kChecksum, "        ");
  std::uint64_t sum = 0;
  for (const std::byte b : block) sum += static_cast<unsigned char>(b);
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%06o", static_cast<unsigned>(sum));
  text[6] = '\0';
  put_text(block, kChecksum, std::string_view(text.data(), 8));
  block[kChecksum.offset + 7] = static_cast<std::byte>(' ');
}

/// Where to cut a name into prefix and name: npos = it fits whole, nullopt = not at all.
std::optional<std::size_t> ustar_split(std::string_view name) noexcept {
  if (name.size() <= kName.length) return std::string_view::npos;
  if (name.size() > kPrefix.length + 1 + kName.length) return std::nullopt;
  const auto cut = name.rfind('/', kPrefix.length);
  if (cut == std::string_view::npos || cut == 0 || name.size() - cut - 1 > kName.length || cut + 1 == name.size()) return std::nullopt;
  return cut;
}

std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;  // blank, '=', newline
  std::size_t length = rest + 1;
  while (length != rest + std::to_string(length).size()) length = rest + std::to_string(length).size();
  return std::to_string(length).append(" ").append(key).append("=").append(value).append("\n");
}

/// The records that ustar's fields cannot hold; empty for most names.
std::string pax_records(std::string_view name, std::uint64_t size_bytes) {
  std::string records;
  if (!ustar_split(name)) records += pax_record("path", name);
  if (size_bytes > kOctalSizeMax) records += pax_record("size", std::to_string(size_bytes));
  return records;
}

}  // namespace

Result<TarParse> parse_tar_entry(std::span<const std::byte> bytes, std::uint64_t offset, TarEntry& entry) {
  Extensions extensions;
  std::uint64_t at = 0;
  entry.skip_bytes = 0;
  while (true) {
    if (bytes.size() < at + kBlockBytes) return TarParse::more;
    const auto block = bytes.subspan(at, kBlockBytes);
    if (is_zero(block)) {
      if (at == entry.skip_bytes) return TarParse::end;
      return damage(ErrorCode::invalid, offset + at, "the archive ends between an extension header and its member");
    }
    TARN_TRY(const auto header, read_header(block, offset + at));
    if (!is_extension(header.type)) {
      TARN_CHECK(finish_entry(block, header, offset + at, extensions, entry));
      entry.header_bytes = at + kBlockBytes - entry.skip_bytes;
      return TarParse::entry;
    }
    const std::uint64_t end = at + kBlockBytes + padded(header.size_bytes);
    if (end > kEntryHeadersBytesMax)
      return damage(ErrorCode::invalid, offset + at,
                    "the extension headers of a member are longer than " + std::to_string(kEntryHeadersBytesMax) + " bytes");
    if (bytes.size() < end) return TarParse::more;
    const std::string_view text(reinterpret_cast<const char*>(block.data()) + kBlockBytes, header.size_bytes);
    if (header.type == 'g') {
      if (at != entry.skip_bytes) return damage(ErrorCode::invalid, offset + at, "a global header between an extension header and its member");
      entry.skip_bytes = end;
    }
    TARN_CHECK(read_extension(header.type, text, offset + at, extensions));
    at = end;
  }
}

std::vector<std::byte> make_tar_headers(std::string_view name, std::uint64_t size_bytes) {
  const std::string records = pax_records(name, size_bytes);
  std::vector<std::byte> headers(tar_headers_bytes(name, size_bytes));
  std::span<std::byte> rest(headers);
  if (!records.empty()) {
    put_header(rest.first(kBlockBytes), {}, "././@PaxHeader", records.size(), 'x');
    std::memcpy(rest.data() + kBlockBytes, records.data(), records.size());
    rest = rest.last(kBlockBytes);
  }
  const auto cut = ustar_split(name).value_or(std::string_view::npos);
  const bool whole = cut == std::string_view::npos;
  put_header(rest, whole ? std::string_view() : name.substr(0, cut), whole ? name : name.substr(cut + 1), size_bytes, '0');
  return headers;
}

std::uint64_t tar_headers_bytes(std::string_view name, std::uint64_t size_bytes) {
  if (ustar_split(name) && size_bytes <= kOctalSizeMax) return kBlockBytes;
  return 2 * kBlockBytes + padded(pax_records(name, size_bytes).size());
}

}  // namespace tarn::shard
