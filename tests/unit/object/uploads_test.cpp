// Objects that are put in parts.
#include <catch2/catch.hpp>

#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "object/check.hpp"
#include "object/uploads.hpp"
#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

const ObjectName kName{"bucket", "assembled"};

UploadInfo begin(LocalStore& store, const ObjectName& name = kName, const PutOptions& options = {}) {
  const auto upload = store.uploads().begin(0, name, options);
  INFO((upload ? std::string() : upload.error().message));
  REQUIRE(upload);
  return *upload;
}

Result<ObjectInfo> try_part(LocalStore& store, const UploadInfo& upload, std::uint32_t number, std::string_view body) {
  TARN_TRY(const auto writer, store.uploads().part(0, upload.name, upload.id, number, body.size()));
  TARN_CHECK(writer->write(bytes_of(body)));
  return writer->commit();
}
WantedPart part(LocalStore& store, const UploadInfo& upload, std::uint32_t number, std::string_view body) {
  const auto info = try_part(store, upload, number, body);
  INFO((info ? std::string() : info.error().message));
  REQUIRE(info);
  CHECK(info->size_bytes == body.size());
  return {number, info->checksum};
}
ObjectInfo complete(LocalStore& store, const UploadInfo& upload, const std::vector<WantedPart>& parts) {
  const auto info = store.uploads().complete(0, upload.name, upload.id, parts);
  INFO((info ? std::string() : info.error().message));
  REQUIRE(info);
  return *info;
}

std::size_t volumes_of(const std::string& disk) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(disk + "/volumes")) count += entry.is_regular_file() ? 1 : 0;
  return count;
}
std::uint64_t bytes_of_volumes(const std::string& disk) {
  std::uint64_t sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator(disk + "/volumes")) sum += entry.file_size();
  return sum;
}
void lose_index(const std::string& disk) {
  std::filesystem::remove_all(disk + "/index");
}

}  // namespace

TEST_CASE("Uploads: parts in any order become one object with the options of its begin, verified, in ranges, after a reopening and a rebuild",
          "[object][upload]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  const auto upload = begin(*store, kName, {"text/x", {{"who", "me"}}});
  const std::string one = noise(3'000'000, 1), two = noise(10, 2), three = noise(0, 3), four = noise(1'234'567, 4);
  std::vector<WantedPart> parts(4);
  parts[3] = part(*store, upload, 9, four);
  parts[1] = part(*store, upload, 2, two);
  parts[0] = part(*store, upload, 1, one);
  parts[2] = part(*store, upload, 5, three);
  CHECK(get(*store, "assembled") == "error: not_found");
  CHECK(store->uploads().list("bucket")->size() == 1);
  CHECK(store->uploads().list("bucket")->front() == upload);
  const std::uint64_t before = bytes_of_volumes(directory.file("a"));
  const auto info = complete(*store, upload, parts);
  CHECK(bytes_of_volumes(directory.file("a")) < before + 16 * 1024);  // nothing was copied
  const std::string whole = one + two + three + four;
  CHECK(info.checksum == base::xxh3_128(bytes_of(whole)));
  CHECK(store->uploads().list("bucket")->empty());

  const auto expect_whole = [&] {
    CHECK(get(*store, "assembled") == whole);
    const auto found = store->find(0, kName);
    REQUIRE(found);
    CHECK(found->info.size_bytes == whole.size());
    CHECK(found->info.content_type == "text/x");
    CHECK(found->info.user_metadata == PutOptions{"", {{"who", "me"}}}.user_metadata);
    const auto reader = store->open_reader(0, kName);
    REQUIRE(reader);
    std::mt19937 random(7);
    for (int i = 0; i < 40; ++i) {
      const std::size_t offset = i < 8 ? one.size() - 5 + static_cast<std::size_t>(i) : random() % whole.size();
      std::vector<std::byte> piece(random() % 200'000);
      const auto got = (*reader)->read(offset, piece);
      REQUIRE(got);
      CHECK(std::string(reinterpret_cast<const char*>(piece.data()), *got) == whole.substr(offset, piece.size()));
    }
    const auto page = store->list("bucket", {});
    REQUIRE(page);
    REQUIRE(page->objects.size() == 1);
    CHECK(page->objects.front().key == "assembled");
    CHECK(store->disks().front().objects == 1);
    CHECK(store->disks().front().object_bytes == whole.size());
    CHECK(store->buckets().size() == 1);
  };
  expect_whole();
  REQUIRE(store->close());
  store = open_store({directory.file("a")});
  expect_whole();
  REQUIRE(store->close());
  lose_index(directory.file("a"));
  store = open_store({directory.file("a")});
  expect_whole();
  // Replaced, its space is free.
  put(*store, "assembled", "small");
  REQUIRE(store->flush());
  CHECK(bytes_of_volumes(directory.file("a")) < 200'000);
  CHECK(get(*store, "assembled") == "small");
}

TEST_CASE("Uploads: a part that is uploaded again replaces the first; parts that are not listed are removed", "[object][upload]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  const auto upload = begin(*store);
  part(*store, upload, 1, noise(1'500'000, 1));
  const auto again = part(*store, upload, 1, noise(1'200'000, 2));
  part(*store, upload, 2, noise(2'000'000, 3));
  const auto parts = store->uploads().parts(0, kName, upload.id);
  REQUIRE(parts);
  REQUIRE(parts->size() == 2);
  CHECK(parts->front().number == 1);
  CHECK(parts->front().checksum == *again.checksum);
  complete(*store, upload, {again});
  CHECK(get(*store, "assembled") == noise(1'200'000, 2));
  REQUIRE(store->flush());
  CHECK(solo_volumes(directory.file("a")) == 1);
  CHECK(store->uploads().parts(0, kName, upload.id).error().code == ErrorCode::not_found);
}

TEST_CASE("Uploads: abort frees the space, also of writers that are still at work", "[object][upload]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  put(*store, "other", "x");
  REQUIRE(store->flush());
  const std::uint64_t before = bytes_of_volumes(directory.file("a"));
  const auto upload = begin(*store);
  for (std::uint32_t i = 1; i <= 5; ++i) part(*store, upload, i, noise(1'100'000, i));
  auto writer = store->uploads().part(0, kName, upload.id, 6, 2'000'000);
  REQUIRE(writer);
  REQUIRE((*writer)->write(bytes_of(noise(2'000'000, 6))));
  CHECK(store->remove_bucket("bucket").error().code == ErrorCode::busy);
  REQUIRE(store->uploads().abort(0, kName, upload.id));
  const auto late = (*writer)->commit();
  REQUIRE(!late);
  CHECK(late.error().code == ErrorCode::not_found);
  writer->reset();
  CHECK(bytes_of_volumes(directory.file("a")) < before + 20'000);
  CHECK(store->uploads().abort(0, kName, upload.id).error().code == ErrorCode::not_found);
  CHECK(store->uploads().list("bucket")->empty());
  REQUIRE(store->remove(0, {"bucket", "other"}));
  REQUIRE(store->remove_bucket("bucket"));
}

TEST_CASE("Uploads: a list that is wrong is refused with what is wrong, and the upload stays", "[object][upload]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  const auto upload = begin(*store);
  const auto first = part(*store, upload, 1, noise(1'100'000, 1)), second = part(*store, upload, 2, "tail");
  const auto refused = [&](const std::vector<WantedPart>& parts, const std::string& text, const ObjectName& name = kName) {
    const auto done = store->uploads().complete(0, name, upload.id, parts);
    REQUIRE(!done);
    INFO(done.error().message);
    CHECK(done.error().message.find(text) != std::string::npos);
    return done.error().code;
  };
  CHECK(refused({}, "empty") == ErrorCode::invalid);
  CHECK(refused({second, first}, "comes after part 2") == ErrorCode::invalid);
  CHECK(refused({first, first}, "each once") == ErrorCode::invalid);
  CHECK(refused({first, {3, {}}}, "part 3 was never uploaded") == ErrorCode::invalid);
  CHECK(refused({{1, second.checksum}}, "part 1 has the checksum") == ErrorCode::invalid);
  CHECK(refused({{0, {}}}, "from 1 to 10,000") == ErrorCode::invalid);
  CHECK(refused({first}, "no upload", {"bucket", "another"}) == ErrorCode::not_found);
  for (const std::uint32_t number : {0U, 10'001U}) CHECK(store->uploads().part(0, kName, upload.id, number, 1).error().code == ErrorCode::invalid);
  CHECK(store->uploads().part(0, kName, "no-such-id", 1, 1).error().code == ErrorCode::not_found);
  CHECK(store->uploads().begin(0, {"nowhere", "x"}, {}).error().code == ErrorCode::bucket_not_found);
  CHECK(store->uploads().begin(0, {".parts", "x"}, {}).error().code == ErrorCode::invalid);
  CHECK(store->uploads().list("nowhere").error().code == ErrorCode::bucket_not_found);
  complete(*store, upload, {first, second});
  CHECK(get(*store, "assembled") == noise(1'100'000, 1) + "tail");
}

TEST_CASE("Uploads: a damaged part is named and can be uploaded again", "[object][upload]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  const auto upload = begin(*store);
  const auto first = part(*store, upload, 1, noise(1'100'000, 1));
  REQUIRE(store->flush());
  for (const auto& entry : std::filesystem::directory_iterator(directory.file("a") + "/volumes"))
    if (entry.file_size() >= limits::kSoloObjectBytesMin) flip_byte(entry.path().string(), 500'000);
  const auto second = part(*store, upload, 2, noise(1'100'000, 2));
  const auto done = store->uploads().complete(0, kName, upload.id, std::vector{first, second});
  REQUIRE(!done);
  CHECK(done.error().code == ErrorCode::corrupt);
  CHECK(done.error().message.find("part 1") != std::string::npos);
  complete(*store, upload, {part(*store, upload, 1, noise(1'100'000, 1)), second});
  CHECK(get(*store, "assembled") == noise(1'100'000, 1) + noise(1'100'000, 2));
}

TEST_CASE("Uploads: what is not complete is there after a reopening and a rebuild; parts of no upload are not", "[object][upload]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  auto store = open_store({disk});
  const auto upload = begin(*store), other = begin(*store, {"bucket", "a/b/c"});
  const auto first = part(*store, upload, 1, noise(1'100'000, 1));
  part(*store, other, 7, noise(1'200'000, 7));
  // As a process leaves it that is killed between the two steps of an abort.
  REQUIRE(store->close());
  {
    auto raw = volume::Disk::open(base::posix_file_system(), disk, {});
    REQUIRE(raw);
    volume::Member removal;
    removal.kind = volume::MemberKind::deleted;
    removal.name = upload_name(other.id, other.name);
    REQUIRE((*raw)->append(removal, {}));
    REQUIRE((*raw)->close());
  }
  const bool rebuild = GENERATE(false, true);
  if (rebuild) lose_index(disk);
  store = open_store({disk});
  REQUIRE(store->flush());
  CHECK(solo_volumes(disk) == 1);
  CHECK(*store->uploads().list("bucket") == std::vector{upload});
  complete(*store, upload, {first, part(*store, upload, 2, "end")});
  CHECK(get(*store, "assembled") == noise(1'100'000, 1) + "end");
}

TEST_CASE("Uploads: an object of 10,000 parts is read without holding them open, and stays readable when it is replaced", "[object][upload]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  const auto upload = begin(*store);
  std::vector<WantedPart> parts;
  std::string whole;
  const std::uint32_t count = 1000;  // as many files; beyond 16 all are alike
  for (std::uint32_t i = 1; i <= count; ++i) {
    const std::string body = noise(100 + i, i);
    parts.push_back(part(*store, upload, i, body));
    whole += body;
  }
  complete(*store, upload, parts);
  REQUIRE(store->flush());
  auto reader = store->open_reader(0, kName);
  REQUIRE(reader);
  CHECK((*reader)->extents().empty());
  CHECK(get(*store, "assembled") == whole);
  REQUIRE(store->remove(0, kName));
  put(*store, "assembled", "new");
  REQUIRE(store->flush());
  CHECK(volumes_of(directory.file("a")) > count);  // the reader holds them
  std::vector<std::byte> got(whole.size() + 1);
  const auto size = (*reader)->read(0, got);
  REQUIRE(size);
  got.resize(*size);
  CHECK(text_of(got) == whole);
  reader->reset();
  CHECK(volumes_of(directory.file("a")) < 10);
}

TEST_CASE("Uploads: parts are put, replaced, completed and aborted by many threads at once", "[object][upload][thread]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t round = 0; round < 6; ++round) {
        const ObjectName name{"bucket", "t" + std::to_string(t % 2)};  // two threads for each name
        const auto upload = store->uploads().begin(0, name, {});
        if (!upload) return void(++wrong);
        std::string whole;
        std::vector<WantedPart> parts;
        for (std::uint32_t i = 1; i <= 3; ++i) {
          const std::string body = noise(i == 2 ? 1'100'000 : 1000 + t, t * 100 + round * 10 + i);
          if (i == 1 && !try_part(*store, *upload, i, "to be replaced")) ++wrong;
          const auto info = try_part(*store, *upload, i, body);
          if (!info) return void(++wrong);
          parts.push_back({i, info->checksum});
          whole += body;
        }
        if (round % 3 == 2) {
          if (!store->uploads().abort(0, name, upload->id)) ++wrong;
          continue;
        }
        const auto info = store->uploads().complete(0, name, upload->id, parts);
        if (!info || info->checksum != base::xxh3_128(bytes_of(whole))) ++wrong;
        const auto bytes = store->get(0, name);  // this thread's or the other one's
        if (!bytes) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  REQUIRE(store->flush());
  CHECK(solo_volumes(directory.file("a")) == 2);
  CHECK(store->uploads().list("bucket")->empty());
}
