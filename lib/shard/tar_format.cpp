#include "shard/tar_format.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/error.hpp"
#include "base/ustar.hpp"

namespace tarn::shard {

using namespace base::ustar;

namespace {

tl::unexpected<Error> damage(ErrorCode code, std::uint64_t offset, std::string_view what) {
  return fail(code, "at offset " + std::to_string(offset) + ": " + std::string(what));
}

/// What the extension blocks in front of a header say.
struct Extensions {
  std::optional<std::string> name;  // pax "path" wins over GNU 'L'
  bool name_is_pax = false;
  std::optional<std::uint64_t> size_bytes;
};

Result<void> read_pax_records(std::string_view records, std::uint64_t offset, Extensions& extensions) {
  PaxReader reader(records);
  while (reader.next()) {
    const auto value = reader.value();
    if (reader.keyword().starts_with("GNU.sparse."))
      return damage(ErrorCode::unsupported, offset, "a sparse file; unpack the archive and pack it again without --sparse");
    if (reader.keyword() == "path") {
      extensions.name = std::string(value.substr(0, value.find_last_not_of('/') + 1));  // as Python's tarfile, and so WebDataset, reads it
      extensions.name_is_pax = true;
    } else if (reader.keyword() == "size") {
      std::uint64_t size = 0;
      const auto parsed = std::from_chars(value.data(), value.data() + value.size(), size);
      if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size())
        return damage(ErrorCode::invalid, offset, "a pax size is not a number");
      extensions.size_bytes = size;
    }
  }
  if (reader.malformed()) return damage(ErrorCode::invalid, offset, "a pax header is malformed");
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

std::string name_of(ConstBlock block) {
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

Result<Header> read_header(ConstBlock block, std::uint64_t offset) {
  if (!checksum_matches(block)) return damage(ErrorCode::invalid, offset, "no tar header (its checksum does not match)");
  const auto size_bytes = number_of(block, kSize);
  if (!size_bytes || *size_bytes > kMemberBytesMax) return damage(ErrorCode::invalid, offset, "the size of a member is not a sensible number");
  return Header{chars_of(block, kType)[0], *size_bytes};
}

/// Name, kind and size of the member that `block` and its extensions describe.
Result<void> finish_entry(ConstBlock block, const Header& header, std::uint64_t offset, Extensions& extensions, TarEntry& entry) {
  if (header.type == 'S') return damage(ErrorCode::unsupported, offset, "a sparse file; unpack the archive and pack it again without --sparse");
  entry.name = extensions.name ? std::move(*extensions.name) : name_of(block);
  const bool directory = header.type == '\0' && entry.name.ends_with('/');  // how tars before ustar wrote them
  entry.regular = (header.type == '0' || header.type == '\0' || header.type == '7') && !directory;
  entry.data_bytes = has_data(header.type) ? extensions.size_bytes.value_or(header.size_bytes) : 0;
  if (entry.data_bytes > kMemberBytesMax) return damage(ErrorCode::invalid, offset, "the size of a member is not a sensible number");
  return {};
}

/// One 512-byte ustar header; texts that are too long are cut (a pax record in front has the whole).
void put_header(Block block, std::string_view prefix, std::string_view name, std::uint64_t size_bytes, char type) {
  put_text(block, kName, name);
  put_octal(block, kMode, 0444);
  put_octal(block, kUid, 0);
  put_octal(block, kGid, 0);
  put_octal(block, kSize, std::min(size_bytes, kSizeMax));
  put_octal(block, kTime, 0);
  put_text(block, kType, std::string_view(&type, 1));
  put_text(block, kMagic, kMagicText);
  put_text(block, kUser, "root");
  put_text(block, kGroup, "root");
  put_text(block, kPrefix, prefix);
  put_checksum(block);
}

/// Where to cut a name into prefix and name: npos = it fits whole, nullopt = not at all.
std::optional<std::size_t> ustar_split(std::string_view name) noexcept {
  if (name.size() <= kName.length) return std::string_view::npos;
  if (name.size() > kPrefix.length + 1 + kName.length) return std::nullopt;
  const auto cut = name.rfind('/', kPrefix.length);
  if (cut == std::string_view::npos || cut == 0 || name.size() - cut - 1 > kName.length || cut + 1 == name.size()) return std::nullopt;
  return cut;
}

/// The records that ustar's fields cannot hold; empty for most names.
std::string pax_records(std::string_view name, std::uint64_t size_bytes) {
  std::string records;
  if (!ustar_split(name)) append_pax(records, "path", name);
  if (size_bytes > kSizeMax) append_pax(records, "size", std::to_string(size_bytes));
  return records;
}

}  // namespace

Result<TarParse> parse_tar_entry(std::span<const std::byte> bytes, std::uint64_t offset, TarEntry& entry) {
  Extensions extensions;
  std::uint64_t at = 0;
  entry.skip_bytes = 0;
  while (true) {
    if (bytes.size() < at + kBlockBytes) return TarParse::more;
    const auto block = bytes.subspan(at).first<kBlockBytes>();
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
    put_header(rest.first<kBlockBytes>(), {}, "././@PaxHeader", records.size(), 'x');
    std::memcpy(rest.data() + kBlockBytes, records.data(), records.size());
    rest = rest.last(kBlockBytes);
  }
  const auto cut = ustar_split(name).value_or(std::string_view::npos);
  const bool whole = cut == std::string_view::npos;
  put_header(rest.first<kBlockBytes>(), whole ? std::string_view() : name.substr(0, cut), whole ? name : name.substr(cut + 1), size_bytes, '0');
  return headers;
}

std::uint64_t tar_headers_bytes(std::string_view name, std::uint64_t size_bytes) {
  if (ustar_split(name) && size_bytes <= kSizeMax) return kBlockBytes;
  return 2 * kBlockBytes + padded(pax_records(name, size_bytes).size());
}

}  // namespace tarn::shard
