#include "object/staging.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "object/own_objects.hpp"
#include "object/writer.hpp"

namespace tarn::object {

Result<std::unique_ptr<ObjectWriter>> Staging::create(std::uint32_t disk, std::string_view key) {
  TARN_TRY(auto* const on, disks_.at(disk));
  auto guard = [](const CopyTerms&, const LocalWriter::LastStep& last_step) { return last_step(Durability::none, base::now_ns()); };
  return std::make_unique<LocalWriter>(*on, memory_, ObjectName{std::string(kStagingBucket), std::string(key)}, PutOptions{}, UINT64_MAX,
                                       std::move(guard), LocalWriter::Form::solo);
}

Result<volume::Record> Staging::find(std::uint32_t disk, std::string_view key) const {
  TARN_TRY(const auto* const on, disks_.at(disk));
  TARN_TRY(auto record, on->find(kStagingBucket, key));
  if (!record) return fail(ErrorCode::not_found, "what was staged as '" + std::string(key) + "' is not there");
  return std::move(*record);
}

void Staging::remove(std::string_view prefix) noexcept {
  const auto remove_on = [&](volume::Disk& on) -> Result<void> {
    TARN_TRY(const auto staged, own_objects_on(on, kStagingBucket, prefix));
    for (const auto& [key, record] : staged) TARN_CHECK(append_removal(on, {std::string(kStagingBucket), key}, nullptr));
    return staged.empty() ? Result<void>() : on.commit();
  };
  for (const auto& disk : disks_.all) try {
      if (const auto removed = remove_on(*disk); !removed) base::log_warn("what a job has staged stays for now: " + removed.error().message);
    } catch (const std::exception& error) {
      base::log_warn(std::string("what a job has staged stays for now: ") + error.what());
    }
}

}  // namespace tarn::object
