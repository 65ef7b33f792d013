#include "volume/extent_list.hpp"

#include <array>
#include <charconv>
#include <string_view>

#include "base/limits.hpp"
#include "volume/tar_format.hpp"

namespace tarn::volume {

std::string encode_extent_list(std::span<const Extent> extents) {
  std::string text;
  text.reserve(extents.size() * 40);
  for (const Extent& extent : extents) {
    for (const std::uint64_t number : {extent.volume, extent.offset, extent.length_bytes, extent.header_bytes})
      text.append(std::to_string(number)).append(1, ' ');
    text.append(extent.blocks ? "1\n" : "0\n");
  }
  return text;
}

std::optional<std::vector<Extent>> decode_extent_list(std::span<const std::byte> bytes) {
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<Extent> extents;
  while (!rest.empty()) {
    std::array<std::uint64_t, 5> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), numbers[i]);
      const char separator = i + 1 < numbers.size() ? ' ' : '\n';
      if (error != std::errc() || end == rest.data() + rest.size() || *end != separator) return std::nullopt;
      rest.remove_prefix(static_cast<std::size_t>(end - rest.data()) + 1);
    }
    const auto [volume, offset, length, header, blocks] = numbers;
    const bool possible = volume < UINT64_MAX >> 2 && header % tar::kBlockBytes == 0 && header <= offset && blocks <= 1;
    if (!possible || length > limits::kObjectBytesMax || extents.size() == limits::kPartsMax) return std::nullopt;
    extents.push_back({volume, offset, length, true, blocks == 1, header});
  }
  return extents;
}

std::optional<std::uint64_t> extents_bytes(std::span<const Extent> extents) noexcept {
  std::uint64_t total = 0;
  for (const Extent& extent : extents) {
    if (extent.length_bytes > UINT64_MAX - total) return std::nullopt;
    total += extent.length_bytes;
  }
  return total;
}

}  // namespace tarn::volume
