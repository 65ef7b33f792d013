#include "shard/preflight.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"
#include "shard/member.hpp"
#include "shard/tar_walk.hpp"

namespace tarn::shard {

namespace {

constexpr std::size_t kExamples = 3;
constexpr std::size_t kExampleBytes = 200;

constexpr std::array<std::string_view, kFindingKinds> kNames{"damage",       "duplicate_extensions", "keys_apart", "keys_elsewhere",
                                                             "meta_members", "no_extension",         "not_files",  "odd_names"};

bool is_odd(std::string_view name, std::string_view extension) {
  const bool control = std::any_of(name.begin(), name.end(), [](unsigned char c) { return c <= 0x20 || c == 0x7f; });
  const bool upwards = name == ".." || name.starts_with("../") || name.find("/../") != std::string_view::npos;
  return control || upwards || name.starts_with('/') || extension.empty() || !base::is_utf8(name);
}

}  // namespace

std::string_view finding_name(FindingKind kind) noexcept {
  return kNames[static_cast<std::size_t>(kind)];
}

bool is_serious(FindingKind kind) noexcept {
  return kind <= FindingKind::keys_elsewhere;
}

/// One shard.
class Preflight::Pass {
 public:
  Pass(Preflight& all, const std::string& shard) : all_(all), shard_(shard) {}

  Result<void> take(const TarEntry& entry) {
    const auto name = split_member_name(entry.name);
    if (!entry.regular) {
      all_.note(FindingKind::not_files, shard_, entry.name);
    } else if (!name) {
      const bool meta = entry.name.starts_with("__");
      all_.note(meta ? FindingKind::meta_members : FindingKind::no_extension, shard_, entry.name);
    } else {
      take_member(entry.name, *name);
    }
    return {};
  }

 private:
  void take_member(std::string_view name, const MemberName& parts) {
    if (is_odd(name, parts.extension)) all_.note(FindingKind::odd_names, shard_, name);
    if (!open_ || parts.key != key_) begin_sample(parts.key);
    if (std::find(extensions_.begin(), extensions_.end(), parts.extension) != extensions_.end())
      all_.note(FindingKind::duplicate_extensions, shard_, name);
    extensions_.push_back(parts.extension);
    ++all_.members_;
  }

  void begin_sample(std::string_view key) {
    open_ = true;
    key_ = key;
    extensions_.clear();
    ++all_.samples_;
    const auto [at, first] = all_.seen_.try_emplace(base::xxh3_64(key), all_.shards_);
    if (first) return;
    all_.note(at->second == all_.shards_ ? FindingKind::keys_apart : FindingKind::keys_elsewhere, shard_, key);
    at->second = all_.shards_;
  }

  Preflight& all_;
  const std::string& shard_;
  bool open_ = false;
  std::string key_;
  std::vector<std::string> extensions_;
};

void Preflight::note(FindingKind kind, const std::string& shard, std::string_view what) {
  Finding& finding = findings_[static_cast<std::size_t>(kind)];
  ++finding.count;
  if (finding.examples.size() < kExamples) finding.examples.push_back(shard + ": " + base::valid_utf8(what.substr(0, kExampleBytes)));
}

bool Preflight::serious() const noexcept {
  for (std::size_t kind = 0; kind < kFindingKinds; ++kind)
    if (findings_[kind].count > 0 && is_serious(static_cast<FindingKind>(kind))) return true;
  return false;
}

Result<void> Preflight::add_shard(ArchiveKind kind, const std::string& name, std::uint64_t size_bytes, const ArchiveReadFn& read) {
  Result<void> outcome;  // of reading, which is no finding
  const ArchiveReadFn watched = [&](std::uint64_t offset, std::span<std::byte> target) {
    auto got = read(offset, target);
    if (!got) outcome = fail(got.error());
    return got;
  };
  Pass pass(*this, name);
  const auto walked = [&]() -> Result<void> {
    if (size_bytes == 0) return fail(ErrorCode::invalid, "it is empty; a tar has at least one member or two zero blocks");
    TARN_TRY(const auto stream, open_tar_stream(kind, name, size_bytes, watched));
    return walk_tar(*stream, [&](const TarEntry& entry, std::uint64_t) { return pass.take(entry); });
  }();
  TARN_CHECK(outcome);
  if (!walked) note(FindingKind::damage, name, walked.error().message);
  ++shards_;
  return {};
}

}  // namespace tarn::shard
