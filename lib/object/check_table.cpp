#include "object/check_table.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"

namespace tarn::object {

namespace {

constexpr std::uintptr_t kPageBytes = 4096;  // of the index, or a part of one
constexpr std::size_t kEndsMax = 1024;       // that are remembered in one go

std::uint64_t hash_of(std::string_view key, std::span<const std::byte> value) noexcept {
  return base::xxh3_64(value, base::xxh3_64(key));
}

}  // namespace

/// A walk finds entries that a look-up does not, where what is damaged are the keys that lead there. Between two keys of one page
/// that are found, in order, all are: each comparison on the way down has the same outcome for them. So the ends of what lies in
/// one page are looked up.
class CheckTable::Builder {
 public:
  Builder(volume::Disk& disk, std::size_t entries_max) : disk_(disk), entries_max_(entries_max) {}

  Result<std::optional<CheckTable>> run() {
    TARN_TRY(const auto counters, disk_.counters());
    if (counters.objects > entries_max_) return std::nullopt;
    entries_.reserve(counters.objects);
    for (bool more = true; more;) {
      const std::string from = last_key_;
      more = false;
      TARN_CHECK(disk_.scan(from, [&](std::string_view key, std::span<const std::byte> value) {
        if (!entries_.empty() && key == from) return volume::ScanStep{};  // where the walk before this one stopped
        add(key, value);
        more = good_ && ends_.size() >= kEndsMax;
        return volume::ScanStep{good_ && !more ? volume::ScanStep::next : volume::ScanStep::stop, {}};
      }));
      ends_.push_back({last_key_, last_sequence_});
      if (!good_ || !can_be_found()) return std::nullopt;
    }
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.sequence < b.sequence; });
    const auto twice = std::adjacent_find(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.sequence == b.sequence; });
    if (twice != entries_.end()) return std::nullopt;
    return CheckTable(std::move(entries_));
  }

 private:
  struct End {
    std::string key;
    std::uint64_t sequence = 0;
  };

  void add(std::string_view key, std::span<const std::byte> value) {
    const auto sequence = volume::decode_sequence(value);
    good_ = sequence && !volume::is_removal(value) && (entries_.empty() || key > last_key_) && entries_.size() < entries_max_ &&
            (volume::decode_brief(value) || volume::decode_record(value));
    if (!good_) return;
    const std::uintptr_t page = reinterpret_cast<std::uintptr_t>(value.data()) / kPageBytes;
    if (page != page_) {
      if (!entries_.empty()) ends_.push_back({last_key_, last_sequence_});
      ends_.push_back({std::string(key), *sequence});
      page_ = page;
    }
    entries_.push_back({*sequence, hash_of(key, value)});
    last_key_ = key;
    last_sequence_ = *sequence;
  }

  bool can_be_found() {
    for (const End& end : std::exchange(ends_, {})) {
      if (end.key.empty()) continue;  // of an index without entries
      const auto name = std::string_view(end.key).substr(0, end.key.find('\0'));
      const auto record = disk_.find(name, volume::object_key(end.key));
      if (!record || !*record || (*record)->sequence != end.sequence) return false;
    }
    return true;
  }

  volume::Disk& disk_;
  const std::size_t entries_max_;
  std::vector<Entry> entries_;
  std::vector<End> ends_;  // not yet looked up
  std::uintptr_t page_ = 0;
  std::string last_key_;
  std::uint64_t last_sequence_ = 0;
  bool good_ = true;
};

Result<std::optional<CheckTable>> CheckTable::make(volume::Disk& disk, std::uint64_t bytes_max) {
  return Builder(disk, static_cast<std::size_t>(bytes_max / sizeof(Entry))).run();
}

CheckTable::Answer CheckTable::compare(std::string_view key, const volume::Record& record, std::size_t& hint) const {
  const std::uint64_t sequence = record.sequence;
  const auto before = [](const Entry& entry, std::uint64_t wanted) { return entry.sequence < wanted; };
  // In steps that double, from the hint on; members of a volume mostly come in the order of their sequences.
  std::size_t begin = hint < entries_.size() && entries_[hint].sequence <= sequence ? hint : 0;
  std::size_t end = begin;
  for (std::size_t step = 1; end < entries_.size() && entries_[end].sequence < sequence; step *= 2) {
    begin = end;
    end = std::min(entries_.size(), end + step);
  }
  const auto at =
      std::lower_bound(entries_.begin() + static_cast<std::ptrdiff_t>(begin), entries_.begin() + static_cast<std::ptrdiff_t>(end), sequence, before);
  hint = static_cast<std::size_t>(at - entries_.begin());
  if (at == entries_.end() || at->sequence != sequence) return Answer::absent;
  return at->hash == hash_of(key, volume::encode_record(record)) ? Answer::same : Answer::other;
}

}  // namespace tarn::object
