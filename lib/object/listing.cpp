#include "object/listing.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "volume/record.hpp"

namespace tarn::object {

namespace {

/// The first text that is greater than all that begin with `prefix` (which is not empty and not all 0xFF).
std::string behind_prefix(std::string prefix) {
  while (static_cast<unsigned char>(prefix.back()) == 0xFF) prefix.pop_back();
  ++prefix.back();
  return prefix;
}

/// Where listing begins: the first index key that can be in the page.
std::string first_key(std::string_view bucket, const ListOptions& options) {
  if (options.start_after >= options.prefix && !options.start_after.empty())
    return volume::index_key(bucket, options.start_after) + '\0';  // keys have no NUL: the next possible key
  return volume::index_key(bucket, options.prefix);
}

}  // namespace

Result<ListPage> list_disk(volume::Disk& disk, std::string_view bucket, const ListOptions& options) {
  ListPage page;
  if (options.max_keys == 0) return page;
  const std::string begin = volume::index_key(bucket, options.prefix);
  bool damaged = false;
  TARN_CHECK(disk.scan(first_key(bucket, options), [&](std::string_view joined, std::span<const std::byte> value) {
    using volume::ScanStep;
    if (joined.substr(0, begin.size()) != begin) return ScanStep{ScanStep::stop, {}};
    const std::string_view key = volume::object_key(joined);
    std::string_view rolled_up;
    if (!options.delimiter.empty()) {
      const std::size_t found = key.find(options.delimiter, options.prefix.size());
      if (found != std::string_view::npos) rolled_up = key.substr(0, found + options.delimiter.size());
    }
    const bool skipped = !rolled_up.empty() && rolled_up <= options.start_after;  // the page before ended with it
    if (!skipped && page.objects.size() + page.common_prefixes.size() == options.max_keys) {
      page.truncated = true;
      return ScanStep{ScanStep::stop, {}};
    }
    if (!rolled_up.empty()) {
      if (!skipped) page.common_prefixes.emplace_back(rolled_up);
      return ScanStep{ScanStep::seek, behind_prefix(volume::index_key(bucket, rolled_up))};
    }
    const auto record = volume::decode_record(value);
    damaged |= !record;
    if (record) page.objects.push_back(volume::object_info(key, *record));
    return ScanStep{damaged ? ScanStep::stop : ScanStep::next, {}};
  }));
  if (damaged) return fail(ErrorCode::corrupt, disk.path() + ": an entry of the index is damaged; tarn check --rebuild makes it anew");
  if (page.truncated) {
    const std::string_view last_object = page.objects.empty() ? std::string_view() : std::string_view(page.objects.back().key);
    const std::string_view last_prefix = page.common_prefixes.empty() ? std::string_view() : std::string_view(page.common_prefixes.back());
    page.next_start_after = std::max(last_object, last_prefix);
  }
  return page;
}

ListPage merge_pages(std::vector<ListPage> pages, std::size_t max_keys) {
  if (pages.size() == 1 && pages.front().objects.size() + pages.front().common_prefixes.size() <= max_keys) return std::move(pages.front());
  // A key beyond the end of a truncated page may have unseen ones of that page's disk before it: it is for the next page.
  bool truncated = false;
  std::string end;  // of what is known to be complete
  for (const ListPage& page : pages) {
    if (!page.truncated) continue;
    if (!truncated || page.next_start_after < end) end = page.next_start_after;
    truncated = true;
  }
  std::map<std::string_view, ObjectInfo*> items;  // nullptr: a common prefix
  for (ListPage& page : pages) {
    for (const auto& prefix : page.common_prefixes) items.emplace(prefix, nullptr);
    for (ObjectInfo& info : page.objects) {
      const auto [at, fresh] = items.emplace(info.key, &info);
      if (!fresh && at->second != nullptr && at->second->modified_ns < info.modified_ns) at->second = &info;
    }
  }
  ListPage merged;
  std::size_t count = 0;
  for (const auto& [key, info] : items) {
    if (count == max_keys || (truncated && key > end)) {
      merged.truncated = true;
      break;
    }
    ++count;
    merged.next_start_after = key;
    if (info == nullptr) {
      merged.common_prefixes.emplace_back(key);
    } else {
      merged.objects.push_back(std::move(*info));
    }
  }
  merged.truncated |= truncated;
  if (!merged.truncated) merged.next_start_after.clear();
  return merged;
}

}  // namespace tarn::object
