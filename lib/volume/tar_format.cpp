#include "volume/tar_format.hpp"

#include <algorithm>

namespace tarn::volume::tar {

using namespace base::ustar;

namespace {
constexpr std::int64_t kMtimeMax = (1LL << 33) - 1;
}

void encode_ustar(const Ustar& header, Block block) noexcept {
  std::fill(block.begin(), block.end(), std::byte{0});
  put_text(block, kName, header.name);
  put_octal(block, kMode, 0644);
  put_octal(block, kUid, 0);
  put_octal(block, kGid, 0);
  put_octal(block, kSize, header.size_bytes > kUstarSizeMax ? 0 : header.size_bytes);
  put_octal(block, kTime, static_cast<std::uint64_t>(std::clamp<std::int64_t>(header.mtime_s, 0, kMtimeMax)));
  put_text(block, kType, {&header.type, 1});
  put_text(block, kMagic, kMagicText);
  put_checksum(block);
}

std::optional<Ustar> decode_ustar(ConstBlock block) noexcept {
  if (chars_of(block, kMagic) != kMagicText || !checksum_matches(block)) return std::nullopt;
  const auto size_bytes = number_of(block, kSize);
  const auto mtime = number_of(block, kTime);
  if (!size_bytes || !mtime) return std::nullopt;
  return Ustar{text_of(block, kName), *size_bytes, static_cast<std::int64_t>(*mtime), chars_of(block, kType)[0]};
}

void append_pax_comment(std::string& records, std::size_t bytes) {
  const std::string start = std::to_string(bytes) + " comment=";
  records += start;
  records.append(bytes - start.size() - 1, ' ');
  records += '\n';
}

}  // namespace tarn::volume::tar
