#include "mpi/list_merge.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace tarn::mpi {

ListPage merge_pages(std::vector<ListPage> pages, std::size_t max_keys) {
  ListPage merged;
  std::optional<std::string> known_until;  // entries up to here are all known
  for (auto& page : pages) {
    if (page.truncated && (!known_until || page.next_start_after < *known_until)) known_until = page.next_start_after;
    std::move(page.objects.begin(), page.objects.end(), std::back_inserter(merged.objects));
    std::move(page.common_prefixes.begin(), page.common_prefixes.end(), std::back_inserter(merged.common_prefixes));
  }
  auto& objects = merged.objects;
  auto& prefixes = merged.common_prefixes;
  std::sort(objects.begin(), objects.end(), [](const ObjectInfo& a, const ObjectInfo& b) { return a.key < b.key; });
  std::sort(prefixes.begin(), prefixes.end());
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());

  std::size_t object = 0;
  std::size_t prefix = 0;
  while (object < objects.size() || prefix < prefixes.size()) {
    const bool take_object = prefix == prefixes.size() || (object < objects.size() && objects[object].key < prefixes[prefix]);
    const std::string& entry = take_object ? objects[object].key : prefixes[prefix];
    if (object + prefix == max_keys || (known_until && entry > *known_until)) break;
    merged.next_start_after = entry;
    ++(take_object ? object : prefix);
  }
  merged.truncated = object < objects.size() || prefix < prefixes.size() || known_until.has_value();
  objects.resize(object);
  prefixes.resize(prefix);
  if (!merged.truncated) merged.next_start_after.clear();
  return merged;
}

}  // namespace tarn::mpi
