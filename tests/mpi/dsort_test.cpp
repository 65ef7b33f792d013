// dsort on ranks that are threads, over real stores: the same test bodies as an MPI job, in one process.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <random>

#include "base/hash.hpp"
#include "dsort_world.hpp"
#include "shard/shard_index.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

std::string noise(std::mt19937& random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

/// Shards of samples of two members; every fifth shard has things that samples ignore.
Objects make_shards(unsigned seed, int shards, int samples, std::size_t size_max = 3000) {
  std::mt19937 random(seed);
  Objects result;
  for (int s = 0; s < shards; ++s) {
    std::string archive;
    for (int i = 0; i < samples; ++i) {
      const std::string key = "class" + std::to_string(random() % 5) + "/img-" + std::to_string(s) + "-" + std::to_string(i);
      append_member(archive, key + ".jpg", noise(random, random() % size_max));
      if (s % 5 == 0 && i % 7 == 0) append_member(archive, "notes", "ignored");
      append_member(archive, key + ".cls", std::to_string(random() % 1000));
    }
    if (s % 3 != 0) archive.append(1024, '\0');
    result["in-" + std::string(s < 10 ? "0" : "") + std::to_string(s) + ".tar"] = archive;
  }
  return result;
}

/// Every member of every archive: name -> bytes. Counts samples by the rule on the way.
Objects members_of(const Objects& archives, const std::string& directory, std::size_t* samples = nullptr) {
  Objects members;
  std::vector<std::byte> window(shard::kIndexWindowBytesMin);
  for (const auto& [name, bytes] : archives) {
    const auto read = [&bytes = bytes](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
      const std::size_t n = std::min<std::size_t>(target.size(), bytes.size() - offset);
      std::memcpy(target.data(), bytes.data() + offset, n);
      return n;
    };
    const auto counts = shard::index_shard(
        name, bytes.size(), read, [](const shard::Sample&) -> Result<void> { return {}; }, window);
    REQUIRE(counts);
    if (samples != nullptr) *samples += counts->samples;
  }
  std::system(("rm -rf " + directory + " && mkdir -p " + directory + "/x").c_str());  // NOLINT(concurrency-mt-unsafe)
  for (const auto& [name, bytes] : archives) {
    std::ofstream(directory + "/a.tar", std::ios::binary) << bytes;
    REQUIRE(std::system(("tar -C " + directory + "/x -xf " + directory + "/a.tar 2>&1").c_str()) == 0);  // NOLINT(concurrency-mt-unsafe)
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory + "/x")) {
    if (!entry.is_regular_file() || entry.path().filename() == "notes") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    members[entry.path().lexically_relative(directory + "/x").string()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return members;
}

DsortSpec shuffle_spec() {
  DsortSpec spec;
  spec.input.bucket = "input";
  spec.output_bucket = "output";
  spec.output_template = "train-%04d.tar";
  spec.shard_size_bytes = 200'000;
  spec.order = DsortOrder::shuffle;
  spec.seed = 11;
  spec.memory_budget_bytes = 8 << 20;
  return spec;
}

/// The keys of a shard's samples, in order.
std::vector<std::string> keys_of(const std::string& bytes) {
  std::vector<std::string> keys;
  std::vector<std::byte> window(shard::kIndexWindowBytesMin);
  const auto read = [&](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
    const std::size_t n = std::min<std::size_t>(target.size(), bytes.size() - offset);
    std::memcpy(target.data(), bytes.data() + offset, n);
    return n;
  };
  const auto take = [&](const shard::Sample& sample) -> Result<void> {
    keys.push_back(sample.key);
    return {};
  };
  REQUIRE(shard::index_shard("x", bytes.size(), read, take, window));
  return keys;
}

std::vector<std::string> keys_of(const Objects& shards) {
  std::vector<std::string> keys;
  for (const auto& shard : shards)
    for (auto& key : keys_of(shard.second)) keys.push_back(std::move(key));
  return keys;
}

/// Says "no space" after a number of good writes to, or renames of, volumes under a temporary name.
class FailingFileSystem final : public base::FileSystem {
 public:
  std::atomic<std::int64_t> writes_left{INT64_MAX}, renames_left{INT64_MAX};

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    auto file = real_.open(path, mode, permissions);
    if (file && path.ends_with(".tmp")) return std::make_unique<FailingFile>(std::move(*file), *this);
    return file;
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (from.ends_with(".tmp") && renames_left-- <= 0) return fail(ErrorCode::no_space, "rename " + to + ": no space (test)");
    return real_.rename(from, to);
  }
  Result<void> make_directory(const std::string& path) override { return real_.make_directory(path); }
  Result<void> remove(const std::string& path) override { return real_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  Result<void> sync_directory(const std::string& directory) override { return real_.sync_directory(directory); }
  Result<base::Space> space(const std::string& path) override { return real_.space(path); }
  Result<bool> exists(const std::string& path) override { return real_.exists(path); }

 private:
  class FailingFile final : public base::File {
   public:
    FailingFile(std::unique_ptr<base::File> real, FailingFileSystem& owner) : real_(std::move(real)), owner_(owner) {}
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override { return real_->read_at(offset, target); }
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      if (owner_.writes_left-- <= 0) return full();
      return real_->write_at(offset, bytes);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
      if (owner_.writes_left-- <= 0) return full();
      return real_->write_at(offset, pieces);
    }
    Result<void> sync_data() override { return real_->sync_data(); }
    Result<void> truncate(std::uint64_t size_bytes) override { return real_->truncate(size_bytes); }
    Result<std::uint64_t> size() const override { return real_->size(); }
    int descriptor() const noexcept override { return real_->descriptor(); }
    const std::string& path() const noexcept override { return real_->path(); }

   private:
    [[nodiscard]] tl::unexpected<Error> full() const { return fail(ErrorCode::no_space, "write " + path() + ": no space (test)"); }
    std::unique_ptr<base::File> real_;
    FailingFileSystem& owner_;
  };
  base::FileSystem& real_ = base::posix_file_system();
};

void check_refused(DsortWorld& world, const DsortSpec& spec, ErrorCode code, const std::string& part) {
  const auto report = world.dsort(spec);
  REQUIRE(!report);
  CHECK(report.error().code == code);
  CHECK_THAT(report.error().message, Catch::Contains(part));
  CHECK(world.temporary_files() == 0);
}

}  // namespace

TEST_CASE("dsort: shuffled shards are byte-identical at 1, 2, 3, 4, 5 and 8 ranks and hold every sample once", "[dsort]") {
  const Objects input = make_shards(1, 12, 60);
  const TemporaryDirectory scratch;
  std::size_t input_samples = 0;
  const Objects expected_members = members_of(input, scratch.file("in"), &input_samples);
  Objects first;
  for (const int ranks : {1, 2, 3, 4, 5, 8}) {
    INFO("ranks " << ranks);
    DsortWorld world(ranks, 1 + ranks % 2);
    world.put_all("input", input);
    const auto report = world.dsort(shuffle_spec());
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    const Objects output = world.objects("output");
    CHECK(report->input_objects == 12);
    CHECK(report->samples == input_samples);
    CHECK(report->members == expected_members.size());
    CHECK(report->skipped_members == 3 * 9);
    CHECK(report->duplicate_samples == 0);
    CHECK(report->shards == output.size());
    std::uint64_t bytes = 0;
    for (const auto& [name, shard] : output) bytes += shard.size();
    CHECK(report->output_bytes == bytes);
    CHECK(output.size() > 5);
    if (first.empty()) {
      first = output;
      std::size_t samples = 0;
      CHECK(members_of(output, scratch.file("out"), &samples) == expected_members);
      CHECK(samples == input_samples);
      CHECK(output.begin()->first == "train-0000.tar");
    }
    CHECK(output == first);
    CHECK(world.objects("input") == input);
    CHECK(world.temporary_files() == 0);
  }
}

TEST_CASE("dsort: key order up and down, source order, and cuts by number of samples", "[dsort]") {
  const Objects input = make_shards(2, 7, 30);
  DsortSpec spec = shuffle_spec();
  spec.shard_size_bytes = 0;
  spec.shard_samples = 32;
  for (const int ranks : {1, 3}) {
    DsortWorld world(ranks);
    world.put_all("input", input);
    spec.order = DsortOrder::key;
    spec.output_bucket = "up-" + std::to_string(ranks);
    REQUIRE(world.dsort(spec));
    auto keys = keys_of(world.objects(spec.output_bucket));
    CHECK(keys.size() == 210);
    CHECK(std::is_sorted(keys.begin(), keys.end()));
    CHECK(world.objects(spec.output_bucket).size() == 7);
    CHECK(keys_of(world.objects(spec.output_bucket)["train-0000.tar"]).size() == 32);
    spec.decreasing = true;
    spec.output_bucket = "down";
    REQUIRE(world.dsort(spec));
    std::reverse(keys.begin(), keys.end());
    CHECK(keys_of(world.objects("down")) == keys);
    spec.decreasing = false;
    spec.order = DsortOrder::none;
    spec.output_bucket = "none";
    REQUIRE(world.dsort(spec));
    CHECK(keys_of(world.objects("none")) == keys_of(input));
  }
}

TEST_CASE("dsort: loose objects of one sample meet, whichever ranks hold them", "[dsort]") {
  std::mt19937 random(3);
  Objects input;
  for (int i = 0; i < 300; ++i) {
    const std::string key = "tree/" + std::to_string(i % 10) + "/" + std::to_string(i);
    input[key + ".jpg"] = noise(random, i % 3 == 0 ? 0 : random() % 20'000);
    input[key + ".seg.png"] = noise(random, random() % 500);
    input[key + ".json"] = "{}";
  }
  input["tree/1/1.d/x.txt"] = "sorts between 1.* names";
  input["README"] = "ignored";
  input[std::string(150, 'p') + "/" + std::string(140, 'q') + ".txt"] = "long name";
  const TemporaryDirectory scratch;
  for (const DsortOrder order : {DsortOrder::key, DsortOrder::shuffle, DsortOrder::none}) {
    Objects first;
    for (const int ranks : {1, 2, 4, 5}) {
      INFO("ranks " << ranks);
      DsortWorld world(ranks);
      world.put_all("input", input);
      DsortSpec spec = shuffle_spec();
      spec.order = order;
      const auto report = world.dsort(spec);
      INFO((report ? std::string() : report.error().message));
      REQUIRE(report);
      CHECK(report->samples == 302);
      CHECK(report->members == input.size() - 1);
      CHECK(report->skipped_members == 1);
      const Objects output = world.objects("output");
      if (first.empty()) first = output;
      CHECK(output == first);
    }
    Objects expected = input;
    expected.erase("README");
    CHECK(members_of(first, scratch.file("out")) == expected);
  }
}

TEST_CASE("dsort: samples and members larger than every window, with the smallest budget", "[dsort]") {
  std::mt19937 random(4);
  Objects input = make_shards(4, 2, 10);
  std::string archive;
  append_member(archive, "huge.bin", noise(random, 5'000'003));
  append_member(archive, "huge.cls", "1");
  append_member(archive, "notes", "between");
  append_member(archive, "huge.txt", noise(random, 1'500'000));
  input["large.tar"] = archive;
  input["loose/one.bin"] = noise(random, 3'333'333);
  input["loose/one.cls"] = "7";
  const TemporaryDirectory scratch;
  Objects first;
  for (const int ranks : {1, 3}) {
    DsortWorld world(ranks);
    world.put_all("input", input);
    const auto report = world.dsort(shuffle_spec());
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    CHECK(report->samples == 22);
    const Objects output = world.objects("output");
    if (first.empty()) first = output;
    CHECK(output == first);
  }
  const auto members = members_of(first, scratch.file("out"));
  CHECK(members.at("loose/one.bin") == input["loose/one.bin"]);
  CHECK(members.size() == 20 * 2 + 3 + 2);
}

TEST_CASE("dsort: inputs by pattern, prefix and list are joined; others are left alone", "[dsort]") {
  Objects input = make_shards(5, 6, 4);
  input["other-1.tar"] = "not a tar at all";
  DsortWorld world(3);
  world.put_all("input", input);
  DsortSpec spec = shuffle_spec();
  spec.input.pattern = "in-{00..02}.tar";
  spec.input.prefix = "in-02";
  spec.input.names = {"in-04.tar", "in-00.tar"};
  const auto report = world.dsort(spec);
  REQUIRE(report);
  CHECK(report->input_objects == 4);
  CHECK(report->samples == 16);
  CHECK(report->warnings.empty());

  spec.output_bucket = "second";
  spec.input = {"input", "", "in-{03..11}.tar", {}};
  const auto some = world.dsort(spec);
  REQUIRE(some);
  CHECK(some->input_objects == 3);
  REQUIRE(some->warnings.size() == 1);
  CHECK_THAT(some->warnings[0], Catch::Contains("6 of the 9") && Catch::Contains("in-06.tar"));
  spec.missing = MissingPolicy::abort;
  spec.output_bucket = "third";
  check_refused(world, spec, ErrorCode::not_found, "in-06.tar");
  spec.input = {"input", "", "", {"in-99.tar"}};
  check_refused(world, spec, ErrorCode::not_found, "in-99.tar");
  spec.input = {"input", "nothing-", "", {}};
  check_refused(world, spec, ErrorCode::not_found, "no object");
  spec.input = {"no-bucket", "", "", {}};
  check_refused(world, spec, ErrorCode::bucket_not_found, "no-bucket");
  CHECK(!world.has_bucket("third"));
}

TEST_CASE("dsort: duplicate keys abort, or the first by source name stays", "[dsort]") {
  for (const DsortOrder order : {DsortOrder::key, DsortOrder::shuffle, DsortOrder::none}) {
    Objects input = make_shards(6, 3, 10);
    for (const char* name : {"zz.tar", "aa.tar", "mm.tar"}) {
      std::string archive;
      append_member(archive, "same.txt", name);
      append_member(archive, std::string("other-") + name + "x", "1");
      input[name] = archive;
    }
    for (const int ranks : {1, 4}) {
      INFO("order " << static_cast<int>(order) << " ranks " << ranks);
      DsortWorld world(ranks);
      world.put_all("input", input);
      DsortSpec spec = shuffle_spec();
      spec.order = order;
      check_refused(world, spec, ErrorCode::invalid, "'same'");
      check_refused(world, spec, ErrorCode::invalid, "aa.tar");
      CHECK(!world.has_bucket("output"));
      spec.duplicates = DuplicatePolicy::warn;
      const auto report = world.dsort(spec);
      REQUIRE(report);
      CHECK(report->duplicate_samples == 2);
      CHECK(report->samples == 30 + 4);
      REQUIRE(report->warnings.size() == 1);
      const TemporaryDirectory scratch;
      CHECK(members_of(world.objects("output"), scratch.file("out")).at("same.txt") == "aa.tar");
      spec.duplicates = DuplicatePolicy::ignore;
      spec.output_bucket = "quiet";
      REQUIRE(world.dsort(spec));
      CHECK(world.objects("quiet") == world.objects("output"));
    }
  }
}

TEST_CASE("dsort: bad input is refused with its name, and nothing is published", "[dsort]") {
  const Objects good = make_shards(7, 4, 20);
  DsortWorld world(3);
  world.put_all("input", good);
  DsortSpec spec = shuffle_spec();

  spec.output_template = "few-{0..1}.tar";
  spec.shard_size_bytes = 10'000;
  check_refused(world, spec, ErrorCode::invalid, "has 2 names");
  spec.shard_size_bytes = 0;
  spec.shard_samples = 10;
  check_refused(world, spec, ErrorCode::invalid, "but 8 shards are needed");

  spec = shuffle_spec();
  spec.output_bucket = "";
  spec.output_template = "in-%02d.tar";
  check_refused(world, spec, ErrorCode::exists, "in-");

  spec = shuffle_spec();
  spec.input.bucket = "X";
  check_refused(world, spec, ErrorCode::invalid, "bucket");

  spec = shuffle_spec();
  const auto with = [&](const std::string& bytes, ErrorCode code, const std::string& part) {
    world.put("input", "in-zz.tar", bytes);
    check_refused(world, spec, code, part);
    check_refused(world, spec, code, "in-zz.tar");
  };
  with("", ErrorCode::invalid, "empty");
  with("hello", ErrorCode::invalid, "cut off");
  with(std::string(3000, 'x'), ErrorCode::invalid, "checksum");
  with(good.begin()->second.substr(0, 3000), ErrorCode::invalid, "cut off");
  std::string twice;
  append_member(twice, "a.jpg", "1");
  append_member(twice, "a.JPG", "2");
  with(twice, ErrorCode::invalid, "two members");
  CHECK(!world.has_bucket("output"));

  world.put("input", "in-zz.tar", std::string(1024, '\0'));
  spec.input.names = {"in-zz.tar"};
  const auto nothing = world.dsort(spec);
  REQUIRE(nothing);
  CHECK(nothing->shards == 0);
  CHECK(nothing->warnings.size() == 1);
}

TEST_CASE("dsort: loose members with the same extension twice are refused", "[dsort]") {
  DsortWorld world(4);
  world.put_all("input", {{"a/x.jpg", "1"}, {"a/x.JPG", "2"}, {"b.jpg", "3"}});
  check_refused(world, shuffle_spec(), ErrorCode::invalid, "a/x");
}

TEST_CASE("dsort: bytes that change on their way are noticed, and nothing is published", "[dsort]") {
  DsortWorld world(3);
  world.put_all("input", make_shards(8, 6, 30));
  world.fetcher.spoil_next = true;
  check_refused(world, shuffle_spec(), ErrorCode::corrupt, "sample 'class");
  CHECK(!world.has_bucket("output"));
  const auto report = world.dsort(shuffle_spec());
  REQUIRE(report);
}

TEST_CASE("dsort: no space or a failed rename on one rank: all ranks stop, nothing is published, the space is free again", "[dsort]") {
  for (const int good_calls : {0, 2, 5})
    for (const bool renames : {false, true}) {
      INFO("good calls " << good_calls << " renames " << renames);
      FailingFileSystem files;
      DsortWorld world(3, 1, &files);
      world.put_all("input", make_shards(12, 6, 100, 60'000));
      DsortSpec spec = shuffle_spec();
      spec.shard_size_bytes = 1'200'000;  // large enough for volumes of their own
      spec.output_template = "s-%d.tar";
      const auto before = world.objects("input");
      (renames ? files.renames_left : files.writes_left) = good_calls;
      const auto failed = world.dsort(spec);
      files.renames_left = files.writes_left = INT64_MAX;
      if (failed) {  // the last rank happened to be home of fewer shards than calls were good
        CHECK(world.objects("output").size() == failed->shards);
        continue;
      }
      CHECK(failed.error().code == ErrorCode::no_space);
      CHECK(failed.error().rank == 2);
      CHECK(world.objects("output").empty());
      CHECK(!world.has_bucket("output"));
      CHECK(world.temporary_files() == 0);
      CHECK(world.objects("input") == before);
      REQUIRE(world.dsort(spec));
    }
}

TEST_CASE("dsort: stops when asked to, in any phase", "[dsort]") {
  DsortWorld world(3);
  world.put_all("input", make_shards(9, 6, 30));
  for (const std::string phase : {"index", "assemble"}) {
    INFO(phase);
    world.abort = false;
    world.progress = [&](const DsortProgress& progress) {
      if (progress.phase == phase) world.abort = true;
    };
    check_refused(world, shuffle_spec(), ErrorCode::aborted, "request");
    CHECK(!world.has_bucket("output"));
  }
}

TEST_CASE("dsort: a dry run counts and writes nothing", "[dsort]") {
  DsortWorld world(2);
  world.put_all("input", make_shards(10, 6, 30));
  DsortSpec spec = shuffle_spec();
  spec.dry_run = true;
  const auto dry = world.dsort(spec);
  REQUIRE(dry);
  CHECK(!world.has_bucket("output"));
  spec.dry_run = false;
  const auto wet = world.dsort(spec);
  REQUIRE(wet);
  CHECK(dry->shards == wet->shards);
  CHECK(dry->output_bytes == wet->output_bytes);
}

TEST_CASE("dsort: progress goes from nothing to everything in each phase", "[dsort]") {
  DsortWorld world(2);
  const Objects input = make_shards(11, 6, 30);
  world.put_all("input", input);
  std::map<std::string, std::uint64_t> last, total;
  std::vector<std::string> phases;
  world.progress = [&](const DsortProgress& progress) {
    const std::string phase(progress.phase);
    if (phases.empty() || phases.back() != phase) phases.push_back(phase);
    CHECK(progress.done >= last[phase]);
    last[phase] = progress.done;
    total[phase] = progress.total;
  };
  REQUIRE(world.dsort(shuffle_spec()));
  CHECK(phases == std::vector<std::string>{"index", "sort", "assemble", "publish"});
  for (const auto& [phase, done] : last) CHECK(done == total[phase]);
  std::uint64_t bytes = 0;
  for (const auto& [name, shard] : input) bytes += shard.size();
  CHECK(total["index"] == bytes);
}
