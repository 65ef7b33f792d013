#include <algorithm>
#include <map>

#include "base/limits.hpp"
#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

std::string name_of(int rank, std::size_t size) {
  return "from-" + std::to_string(rank) + "/" + std::to_string(size) + ".bin";
}
std::uint64_t seed_of(int rank, std::size_t size) {
  return static_cast<std::uint64_t>(rank) * 1'000'003 + size;
}

const std::vector<std::size_t> kSizes{0,
                                      1,
                                      10 * limits::KiB,
                                      limits::kPeerInlineBytesMax,
                                      limits::kPeerInlineBytesMax + 1,
                                      limits::kSoloObjectBytesMin,
                                      limits::kPeerTransferBytes,
                                      limits::kPeerTransferBytes + 1,
                                      9 * limits::MiB + 5};

}  // namespace

TEST_CASE("Store: what any rank puts, every rank gets, whole and in part", "[store]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == world_size() - 1) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);

  PutOptions options;
  options.content_type = "image/png";
  options.user_metadata = {{"colour", "grün"}};
  for (const auto size : kSizes) {
    const auto info = store.put({"data", name_of(world_rank(), size)}, test_bytes(size, seed_of(world_rank(), size)), options);
    REQUIRE(failure(info) == "");
    CHECK(info->size_bytes == size);
  }
  meet(store);

  for (int from = 0; from < world_size(); ++from) {
    for (const auto size : kSizes) {
      const ObjectName name{"data", name_of(from, size)};
      INFO(name.key << " at rank " << world_rank() << ", owner " << store.owner(name).value());
      const auto expected = test_bytes(size, seed_of(from, size));
      const auto bytes = store.get(name);
      REQUIRE(failure(bytes) == "");
      CHECK((*bytes == expected));

      const auto info = store.head(name);
      REQUIRE(failure(info) == "");
      CHECK(info->size_bytes == size);
      CHECK(info->content_type == "image/png");
      CHECK(info->user_metadata.at("colour") == "grün");

      const std::size_t offset = size / 3;
      const auto part = store.get(name, {offset, size / 2});
      REQUIRE(failure(part) == "");
      CHECK((*part == std::vector<std::byte>(expected.begin() + static_cast<std::ptrdiff_t>(offset),
                                             expected.begin() + static_cast<std::ptrdiff_t>(offset + std::min(size / 2, size - offset)))));
      const auto tail = store.get(name, {offset, ByteRange::kToEnd});
      REQUIRE(failure(tail) == "");
      CHECK((*tail == std::vector<std::byte>(expected.begin() + static_cast<std::ptrdiff_t>(offset), expected.end())));

      std::vector<std::byte> target(size + 10, std::byte{0xee});
      CHECK(store.read(name, 0, target).value() == size);
      CHECK(std::equal(expected.begin(), expected.end(), target.begin()));
      CHECK(target[size] == std::byte{0xee});
      CHECK(store.get(name, {size, 10}).value().empty());
      CHECK(code_of(store.get(name, {size + 1, 10})) == "out_of_range");
      CHECK(code_of(store.get(name, {size + 1, ByteRange::kToEnd})) == "out_of_range");
    }
  }
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Store: overwriting and removing are seen by all ranks", "[store]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  for (int owner = 0; owner < world_size(); ++owner) {
    const std::string key = key_on(store, "data", "o", owner);
    for (int round = 0; round < 3; ++round) {
      const int writer = (owner + round) % world_size();
      const std::size_t size = round == 1 ? 2 * limits::MiB : 5000;  // solo and shared volumes
      if (world_rank() == writer) REQUIRE(failure(store.put({"data", key}, test_bytes(size, static_cast<std::uint64_t>(round)))) == "");
      meet(store);
      const auto bytes = store.get({"data", key});
      REQUIRE(failure(bytes) == "");
      CHECK((*bytes == test_bytes(size, static_cast<std::uint64_t>(round))));
      meet(store);
    }
    const int remover = (owner + 1) % world_size();
    if (world_rank() == remover) REQUIRE(failure(store.remove({"data", key})) == "");
    meet(store);
    CHECK(code_of(store.get({"data", key})) == "not_found");
    CHECK(code_of(store.head({"data", key})) == "not_found");
    CHECK(code_of(store.get({"data", key}, {0, 1})) == "not_found");
    CHECK(code_of(store.remove({"data", key})) == "not_found");
    meet(store);
  }
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Store: bad names and missing buckets are refused, wherever the owner is", "[store]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  for (int owner = 0; owner < world_size(); ++owner) {
    const auto missing = store.get({"data", key_on(store, "data", "missing", owner)});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ErrorCode::not_found);
    if (owner != world_rank()) CHECK(missing.error().rank == owner);
  }
  CHECK(code_of(store.get({"nobucket", "k"})) == "bucket_not_found");
  CHECK(code_of(store.put({"nobucket", "k"}, {})) == "bucket_not_found");
  CHECK(code_of(store.writer({"nobucket", "k"})) == "bucket_not_found");
  CHECK(code_of(store.list("nobucket")) == "bucket_not_found");
  CHECK(code_of(store.put({"data", ""}, {})) == "invalid");
  CHECK(code_of(store.put({"data", std::string(1025, 'k')}, {})) == "invalid");
  CHECK(code_of(store.put({"data", "\xff\xfe"}, {})) == "invalid");
  CHECK(code_of(store.put({"DATA", "k"}, {})) == "invalid");
  CHECK(code_of(store.create_bucket("No")) == "invalid");
  PutOptions options;
  options.user_metadata["big"] = std::string(3000, 'm');
  for (int owner = 0; owner < world_size(); ++owner)
    CHECK(code_of(store.put({"data", key_on(store, "data", "meta", owner)}, {}, options)) == "invalid");
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Store.create_bucket: on all ranks when it returns; one of many callers makes it", "[store][buckets]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  const auto outcome = store.create_bucket("shared", {Durability::sync});  // all ranks at once
  CHECK((outcome || outcome.error().code == ErrorCode::exists));
  REQUIRE(failure(store.put({"shared", "k-" + std::to_string(world_rank())}, test_bytes(10, 1))) == "");
  int made = outcome ? 1 : 0;
  meet(store);
  MPI_Allreduce(MPI_IN_PLACE, &made, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  CHECK(made == 1);
  REQUIRE(store.buckets().value().size() == 1);
  CHECK(store.buckets().value().front().options.durability == Durability::sync);
  CHECK(code_of(store.remove_bucket("shared")) == "busy");
  CHECK(code_of(store.remove_bucket("other")) == "bucket_not_found");
  meet(store);
  REQUIRE(failure(store.remove({"shared", "k-" + std::to_string(world_rank())})) == "");
  meet(store);
  if (world_rank() == world_size() - 1) CHECK(failure(store.remove_bucket("shared")) == "");
  meet(store);
  CHECK(store.buckets().value().empty());
  CHECK(code_of(store.put({"shared", "k"}, {})) == "bucket_not_found");
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Store.list: pages of all ranks in key order, as a sorted map says", "[store][list]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  std::map<std::string, std::size_t> model;
  for (int i = 0; i < 300; ++i) {
    const std::string key = (i % 3 == 0 ? "a/" : i % 3 == 1 ? "b/" + std::to_string(i % 7) + "/" : std::string()) + std::to_string(i * 7919 % 1000);
    model[key] = static_cast<std::size_t>(i);
    if (i % world_size() == world_rank()) REQUIRE(failure(store.put({"data", key}, test_bytes(static_cast<std::size_t>(i), 3))) == "");
  }
  meet(store);
  for (const std::string prefix : {"", "a/", "b/", "b/3", "zzz"}) {
    for (const std::string delimiter : {"", "/"}) {
      std::vector<std::string> expected;  // entries in order; prefixes end with the delimiter
      for (const auto& [key, size] : model) {
        if (key.compare(0, prefix.size(), prefix) != 0) continue;
        const auto cut = delimiter.empty() ? std::string::npos : key.find(delimiter, prefix.size());
        const std::string entry = cut == std::string::npos ? key : key.substr(0, cut + delimiter.size());
        if (expected.empty() || expected.back() != entry) expected.push_back(entry);
      }
      std::sort(expected.begin(), expected.end());
      for (const std::size_t max_keys : {1000, 17}) {
        ListOptions options;
        options.prefix = prefix;
        options.delimiter = delimiter;
        options.max_keys = max_keys;
        std::vector<std::string> entries;
        for (bool more = true; more;) {
          const auto page = store.list("data", options);
          REQUIRE(failure(page) == "");
          REQUIRE(page->objects.size() + page->common_prefixes.size() <= max_keys);
          std::vector<std::string> here = page->common_prefixes;
          for (const auto& object : page->objects) {
            here.push_back(object.key);
            CHECK(object.size_bytes == model.at(object.key));
          }
          std::sort(here.begin(), here.end());
          entries.insert(entries.end(), here.begin(), here.end());
          more = page->truncated;
          if (more) {
            REQUIRE(page->next_start_after == here.back());
            options.start_after = page->next_start_after;
          }
        }
        INFO("prefix '" << prefix << "' delimiter '" << delimiter << "' max_keys " << max_keys);
        CHECK(entries == expected);
      }
    }
  }
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Store.writer: bodies in pieces of any size arrive whole, at any owner", "[store][writer]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  for (int owner = 0; owner < world_size(); ++owner) {
    const std::string key = key_on(store, "data", "w" + std::to_string(world_rank()), owner);
    const auto body = test_bytes(11 * limits::MiB + 3, static_cast<std::uint64_t>(owner));
    auto writer = store.writer({"data", key});
    REQUIRE(failure(writer) == "");
    std::size_t at = 0;
    for (std::size_t i = 0; at < body.size(); ++i) {
      const std::size_t sizes[] = {1, 4096, 700'000, limits::kPeerTransferBytes, 3 * limits::MiB};
      const std::size_t size = std::min(sizes[i % 5], body.size() - at);
      REQUIRE(failure((*writer)->write(std::span(body).subspan(at, size))) == "");
      at += size;
    }
    CHECK(code_of(store.head({"data", key})) == "not_found");
    REQUIRE(failure((*writer)->prepare()) == "");
    std::vector<std::byte> back(3 * limits::MiB);
    CHECK((*writer)->read_back(body.size() - 1000, back).value() == 1000);
    CHECK(std::equal(body.end() - 1000, body.end(), back.begin()));
    CHECK((*writer)->read_back(100, back).value() == back.size());
    CHECK(std::equal(back.begin(), back.end(), body.begin() + 100));
    const auto info = (*writer)->commit();
    REQUIRE(failure(info) == "");
    CHECK(info->size_bytes == body.size());
    const auto bytes = store.get({"data", key});
    REQUIRE(failure(bytes) == "");
    CHECK((*bytes == body));
  }
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Store.writer: destroyed before commit, it leaves nothing", "[store][writer]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  for (int owner = 0; owner < world_size(); ++owner) {
    auto writer = store.writer({"data", key_on(store, "data", "gone" + std::to_string(world_rank()), owner)});
    REQUIRE(failure(writer) == "");
    REQUIRE(failure((*writer)->write(test_bytes(5 * limits::MiB, 1))) == "");
  }
  meet(store);
  CHECK(store.list("data").value().objects.empty());
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Store.stats: counts what all ranks hold", "[store]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  for (int i = 0; i < 20; ++i)
    REQUIRE(failure(store.put({"data", std::to_string(world_rank()) + "/" + std::to_string(i)}, test_bytes(1000, 5))) == "");
  REQUIRE(failure(store.flush()) == "");
  const auto stats = store.stats();
  REQUIRE(failure(stats) == "");
  CHECK(stats->ranks == world_size());
  CHECK(stats->objects == static_cast<std::uint64_t>(20 * world_size()));
  CHECK(stats->object_bytes == static_cast<std::uint64_t>(20'000 * world_size()));
  CHECK(stats->per_rank.size() == static_cast<std::size_t>(world_size()));
  CHECK(stats->disk_capacity_bytes > 0);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Store: after close and after a move every call says so", "[store]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  Store moved = std::move(store);
  CHECK(code_of(store.get({"data", "k"})) == "aborted");
  REQUIRE(failure(moved.close()) == "");
  CHECK(failure(moved.close()) == "");
  CHECK(code_of(moved.get({"data", "k"})) == "aborted");
  CHECK(code_of(moved.create_bucket("data")) == "aborted");
  CHECK_FALSE(moved.progress());
}

TEST_CASE("Store: a writer that is still open when the store closes says so, and stores nothing", "[store]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const int other = (world_rank() + 1) % world_size();
  auto here = store.writer({"data", key_on(store, "data", "here" + std::to_string(world_rank()), world_rank())});
  auto there = store.writer({"data", key_on(store, "data", "there" + std::to_string(world_rank()), other)});
  REQUIRE(failure(here) == "");
  REQUIRE(failure(there) == "");
  REQUIRE(failure((*here)->write(test_bytes(3 << 20, 1))) == "");
  REQUIRE(failure((*there)->write(test_bytes(3 << 20, 2))) == "");
  meet(store);
  REQUIRE(failure(store.close()) == "");
  CHECK(code_of((*here)->write(test_bytes(10, 1))) == "aborted");
  CHECK(code_of((*here)->commit()) == "aborted");
  CHECK(code_of((*there)->write(test_bytes(10, 1))) == "aborted");
  CHECK(code_of((*there)->commit()) == "aborted");
}
