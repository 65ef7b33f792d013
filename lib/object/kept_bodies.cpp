#include "object/kept_bodies.hpp"

#include <charconv>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"

namespace tarn::object {

namespace {

constexpr std::string_view kDirectory = "/kept";
constexpr std::string_view kNamed = "named";
constexpr std::size_t kHexDigits = 32;

/// "<id>-<checksum>-<size>". @return nullopt: a file of another name.
std::optional<std::pair<BodyId, KeptBody>> parse(std::string_view name) {
  if (name.size() <= 2 * kHexDigits + 2 || name[kHexDigits] != '-' || name[2 * kHexDigits + 1] != '-') return std::nullopt;
  const auto id = base::checksum_from_hex(name.substr(0, kHexDigits));
  const auto checksum = base::checksum_from_hex(name.substr(kHexDigits + 1, kHexDigits));
  const auto digits = name.substr(2 * kHexDigits + 2);
  KeptBody body;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), body.size_bytes);
  if (!id || !checksum || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  body.checksum = *checksum;
  return std::pair(*id, std::move(body));
}

Result<std::vector<std::string>> names_in(volume::Disk& on) {
  auto names = on.files().list(on.path() + std::string(kDirectory));
  if (!names && names.error().code == ErrorCode::not_found) return std::vector<std::string>();
  return names;
}

}  // namespace

Result<std::map<BodyId, KeptBody>> KeptBodies::list(std::uint32_t disk) const {
  TARN_TRY(auto* const on, disks_.at(disk));
  TARN_TRY(const auto names, names_in(*on));
  std::map<BodyId, KeptBody> bodies;
  for (const auto& name : names) {
    auto body = parse(name);
    if (!body) continue;
    body->second.path = on->path() + std::string(kDirectory) + "/" + name;
    bodies.insert(std::move(*body));
  }
  return bodies;
}

Result<std::map<BodyId, Checksum>> KeptBodies::named(std::uint32_t disk) const {
  TARN_TRY(auto* const on, disks_.at(disk));
  const auto text = base::read_text_file(on->files(), on->path() + std::string(kDirectory) + "/" + std::string(kNamed), SIZE_MAX);
  if (!text && text.error().code == ErrorCode::not_found) return std::map<BodyId, Checksum>();
  if (!text) return fail(text.error());
  std::map<BodyId, Checksum> bodies;
  constexpr std::size_t kLineBytes = 2 * kHexDigits + 2;
  for (std::size_t at = 0; at + kLineBytes <= text->size(); at += kLineBytes) {
    const auto line = std::string_view(*text).substr(at, kLineBytes);
    const auto id = base::checksum_from_hex(line.substr(0, kHexDigits));
    const auto checksum = base::checksum_from_hex(line.substr(kHexDigits + 1, kHexDigits));
    if (id && checksum) bodies.emplace(*id, *checksum);
  }
  return bodies;
}

Result<void> KeptBodies::note_named(std::uint32_t disk, const std::map<BodyId, Checksum>& bodies) {
  TARN_TRY(auto* const on, disks_.at(disk));
  const std::string directory = on->path() + std::string(kDirectory);
  std::string text;
  for (const auto& [id, checksum] : bodies) text += base::to_hex(id) + " " + base::to_hex(checksum) + "\n";
  TARN_CHECK(on->files().make_directory(directory));
  return base::write_text_file(on->files(), directory + "/" + std::string(kNamed), text);
}

void KeptBodies::remove_all() noexcept {
  const auto remove_on = [](volume::Disk& on) -> Result<void> {
    TARN_TRY(const auto names, names_in(on));
    for (const auto& name : names) TARN_CHECK(on.files().remove(on.path() + std::string(kDirectory) + "/" + name));
    return {};
  };
  for (const auto& disk : disks_.all) try {
      if (const auto removed = remove_on(*disk); !removed) base::log_warn("what a job has kept stays for now: " + removed.error().message);
    } catch (const std::exception& error) {
      base::log_warn(std::string("what a job has kept stays for now: ") + error.what());
    }
}

Result<std::string> KeptBodies::path_for(volume::Disk& on, const BodyId& id, const Checksum& checksum, std::uint64_t size_bytes) {
  const std::string directory = on.path() + std::string(kDirectory);
  TARN_CHECK(on.files().make_directory(directory));
  return directory + "/" + base::to_hex(id) + "-" + base::to_hex(checksum) + "-" + std::to_string(size_bytes);
}

}  // namespace tarn::object
