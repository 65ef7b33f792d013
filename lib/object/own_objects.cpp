#include "object/own_objects.hpp"

#include "base/error.hpp"

namespace tarn::object {

Result<std::vector<OwnObject>> own_objects_on(volume::Disk& disk, std::string_view bucket, std::string_view prefix) {
  const std::string begin = volume::index_key(bucket, prefix);
  std::vector<OwnObject> found;
  bool damaged = false;
  TARN_CHECK(disk.scan(begin, [&](std::string_view joined, std::span<const std::byte> value) {
    if (joined.substr(0, begin.size()) != begin) return volume::ScanStep{volume::ScanStep::stop, {}};
    auto record = volume::decode_record(value);
    damaged |= !record;
    if (record) found.emplace_back(std::string(volume::object_key(joined)), std::move(*record));
    return volume::ScanStep{};
  }));
  if (damaged) return fail(ErrorCode::corrupt, disk.path() + ": an entry of the index is damaged; tarn check --rebuild makes it anew");
  return found;
}

}  // namespace tarn::object
