// Objects that lie in many volumes, read by every rank and by curl: from the owner, as a neighbour, and from another node.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "mpi/mpi_test.hpp"
#include "object/local_store.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

constexpr std::size_t kPartBytes = 70'000;

/// What a process that only has this disk makes of parts.
void assemble(const std::string& directory, const std::string& key, std::uint32_t parts, const std::vector<std::byte>& body) {
  object::LocalStoreOptions options;
  options.directories = {directory};
  auto store = object::LocalStore::open(options);
  REQUIRE(failure(store) == "");
  auto& uploads = (*store)->uploads();
  const auto upload = uploads.begin(0, {"data", key}, {});
  REQUIRE(failure(upload) == "");
  std::vector<object::WantedPart> wanted;
  for (std::uint32_t number = 1; number <= parts; ++number) {
    const auto writer = uploads.part(0, upload->name, upload->id, number, kPartBytes);
    REQUIRE(failure(writer) == "");
    REQUIRE(failure((*writer)->write(std::span(body).subspan((number - 1) * kPartBytes, kPartBytes))) == "");
    REQUIRE(failure((*writer)->commit()) == "");
    wanted.push_back({number, {}});
  }
  REQUIRE(failure(uploads.complete(0, upload->name, upload->id, wanted)) == "");
  REQUIRE(failure((*store)->close()) == "");
}

std::vector<std::byte> fetched_by_curl(const std::string& options, const std::string& url, const std::string& file) {
  REQUIRE(std::system(("curl -sfL " + options + " -o " + file + " " + url).c_str()) == 0);  // NOLINT(concurrency-mt-unsafe)
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("Store: objects assembled from a few parts and from many are read whole and in ranges by every rank, and by curl", "[assembled]") {
  SharedDirectory directory;
  auto options = test_options(directory);
  options.directories = {directory.path() + "/disk-" + std::to_string(world_rank())};
  // Without a service thread nobody would answer other ranks while this one waits for curl.
  options.sidecar.enabled = std::getenv("TARN_TEST_THREADS") == nullptr;  // NOLINT(concurrency-mt-unsafe)
  std::vector<std::string> keys;
  {
    Store store = open_store(options);
    if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
    meet(store);
    for (int rank = 0; rank < world_size(); ++rank) keys.push_back(key_on(store, "data", "object-", rank));
    REQUIRE(failure(store.close()) == "");
  }
  for (const std::uint32_t parts : {3U, 40U}) {
    const auto body_of = [&](int rank) { return test_bytes(parts * kPartBytes, static_cast<std::uint64_t>(rank) + parts); };
    assemble(options.directories.front(), keys[static_cast<std::size_t>(world_rank())], parts, body_of(world_rank()));
    meet();
    Store store = open_store(options);
    for (int rank = 0; rank < world_size(); ++rank) {
      const ObjectName name{"data", keys[static_cast<std::size_t>(rank)]};
      const auto body = body_of(rank);
      for (int round = 0; round < 2; ++round) {  // the second time it is known to be whole
        const auto whole = store.get(name);
        REQUIRE(failure(whole) == "");
        CHECK((*whole == body));
        for (const std::size_t offset : {std::size_t{0}, kPartBytes - 1, 2 * kPartBytes - 5, body.size() - 9}) {
          const auto part = store.get(name, ByteRange{offset, 100'000});
          REQUIRE(failure(part) == "");
          const auto wanted = std::span(body).subspan(offset, std::min<std::size_t>(100'000, body.size() - offset));
          CHECK(std::equal(part->begin(), part->end(), wanted.begin(), wanted.end()));
        }
        if (store.url().empty()) continue;
        const std::string url = store.url() + "/data/" + name.key, file = directory.path() + "/got-" + std::to_string(world_rank());
        const std::string token = store.token().empty() ? "" : "-H 'Authorization: Bearer " + store.token() + "' --location-trusted";
        CHECK((fetched_by_curl(token, url, file) == body));
        const auto part = fetched_by_curl(token + " -r 69990-140009", url, file);
        CHECK(std::equal(part.begin(), part.end(), body.begin() + 69'990, body.begin() + 140'010));
      }
    }
    meet(store);
    REQUIRE(failure(store.close()) == "");
  }
}
