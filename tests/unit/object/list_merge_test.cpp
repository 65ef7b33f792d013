#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "object/listing.hpp"

using namespace tarn;

namespace {

/// A page as one rank gives it: the first `max` of these entries; those that end in '/' are common prefixes.
ListPage page_of(std::vector<std::string> entries, const std::string& start_after, std::size_t max) {
  std::sort(entries.begin(), entries.end());
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  ListPage page;
  std::size_t taken = 0;
  for (const auto& entry : entries) {
    if (entry <= start_after) continue;
    if (taken++ == max) {
      page.truncated = true;
      break;
    }
    page.next_start_after = entry;
    if (entry.back() == '/') {
      page.common_prefixes.push_back(entry);
    } else {
      page.objects.push_back({});
      page.objects.back().key = entry;
    }
  }
  if (!page.truncated) page.next_start_after.clear();
  return page;
}

std::vector<std::string> entries_of(const ListPage& page) {
  auto entries = page.common_prefixes;
  for (const auto& object : page.objects) entries.push_back(object.key);
  std::sort(entries.begin(), entries.end());
  return entries;
}

}  // namespace

TEST_CASE("merge_pages: page after page gives every entry once, however short the ranks' pages are", "[list]") {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    const std::size_t ranks = 1 + random() % 6;
    std::vector<std::vector<std::string>> of_rank(ranks);
    std::vector<std::string> all;
    for (unsigned i = 0; i < random() % 60; ++i) {
      const std::string entry = random() % 3 == 0 ? "p" + std::to_string(random() % 9) + "/" : "k" + std::to_string(round) + "-" + std::to_string(i);
      of_rank[random() % ranks].push_back(entry);
      if (entry.back() == '/') of_rank[random() % ranks].push_back(entry);  // a prefix may be on several ranks
      all.push_back(entry);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());

    const std::size_t max_keys = 1 + random() % 20;
    std::vector<std::string> merged;
    std::string start_after;
    for (bool more = true; more;) {
      std::vector<ListPage> pages;
      for (const auto& entries : of_rank) pages.push_back(page_of(entries, start_after, 1 + random() % max_keys));  // ranks may give less than asked
      const auto page = object::merge_pages(std::move(pages), max_keys);
      const auto here = entries_of(page);
      REQUIRE(here.size() <= max_keys);
      REQUIRE((!page.truncated || !here.empty()));
      if (page.truncated) REQUIRE(page.next_start_after == here.back());
      merged.insert(merged.end(), here.begin(), here.end());
      start_after = page.next_start_after;
      more = page.truncated;
    }
    REQUIRE(merged == all);
  }
}

TEST_CASE("merge_pages: nothing, and nothing asked for", "[list]") {
  CHECK_FALSE(object::merge_pages({}, 10).truncated);
  CHECK(entries_of(object::merge_pages({ListPage(), ListPage()}, 10)).empty());
  CHECK(entries_of(object::merge_pages({page_of({"a", "b"}, "", 10)}, 0)).empty());
}
