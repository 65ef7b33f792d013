#include "object/upload_keys.hpp"

#include <charconv>
#include <cstdio>

#include "base/error.hpp"

namespace tarn::object {

ObjectName upload_name(std::string_view id, const ObjectName& name) {
  return {std::string(kUploadsBucket), std::string(id) + "/" + name.bucket + "/" + name.key};
}

ObjectName part_name(std::string_view id, std::uint32_t number) {
  char digits[16];
  std::snprintf(digits, sizeof(digits), "/%05u", number);
  return {std::string(kPartsBucket), std::string(id) + digits};
}

std::string_view upload_id_of(std::string_view key) noexcept {
  return key.substr(0, key.find('/'));
}

std::optional<std::uint32_t> part_number_of(std::string_view key) noexcept {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view digits = key.substr(slash + 1);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::optional<ObjectName> object_of_upload(std::string_view key) {
  const std::size_t first = key.find('/');
  const std::size_t second = first == std::string_view::npos ? first : key.find('/', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  return ObjectName{std::string(key.substr(first + 1, second - first - 1)), std::string(key.substr(second + 1))};
}

Result<std::vector<UploadInfo>> uploads_on(volume::Disk& disk, std::string_view bucket) {
  std::vector<UploadInfo> uploads;
  TARN_TRY(const auto notes, own_objects_on(disk, kUploadsBucket, {}));
  for (const auto& [key, record] : notes) {
    auto name = object_of_upload(key);
    if (!name || (!bucket.empty() && name->bucket != bucket)) continue;
    uploads.push_back({std::string(upload_id_of(key)), std::move(*name), record.modified_ns, {record.content_type, record.user_metadata}});
  }
  return uploads;
}

Result<std::vector<OwnObject>> parts_on(volume::Disk& disk, std::string_view id) {
  return own_objects_on(disk, kPartsBucket, id.empty() ? std::string() : std::string(id) + "/");
}

}  // namespace tarn::object
