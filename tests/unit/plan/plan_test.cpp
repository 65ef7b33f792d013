// plan_test.cpp - dsort's plan for many numbers of ranks, and its specification.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <string>

#include "plan/dsort_spec.hpp"
#include "plan/record.hpp"
#include "plan/record_table.hpp"
#include "plan/sample_order.hpp"
#include "plan/shard_cut.hpp"

using namespace tarn;
using namespace tarn::plan;

namespace {

struct TestSample {
  std::string key;
  std::uint64_t source = 0, offset = 0, length = 0;
};

std::vector<std::byte> pack(std::span<const TestSample> samples) {
  base::Encoder records;
  for (const auto& sample : samples) {
    shard::Sample found{sample.key, 2, {{sample.offset, sample.length, 7}}};
    append_shard_record(records, found, sample.source);
  }
  return std::move(records).take();
}

/// A data set with long common prefixes, duplicate keys and sizes over a wide range.
std::vector<TestSample> make_samples(unsigned seed, std::size_t count) {
  std::mt19937 random(seed);
  std::vector<TestSample> samples;
  std::map<std::uint64_t, std::uint64_t> ends;
  for (std::size_t i = 0; i < count; ++i) {
    TestSample sample;
    sample.key = "train/class" + std::to_string(random() % 7) + "/" + std::to_string(random() % (count * 4));
    sample.source = random() % 13;
    sample.length = 512 * (1 + random() % 40);
    if (random() % 50 == 0) sample.length *= 60;
    sample.offset = ends[sample.source];
    ends[sample.source] += sample.length;
    samples.push_back(sample);
  }
  return samples;
}

/// The metadata side of dsort with `ranks` ranks in memory. @return the shards as lists of "key@source:position".
std::vector<std::vector<std::string>> simulate(const DsortSpec& spec, const std::vector<TestSample>& samples, std::size_t ranks, unsigned seed) {
  const SampleOrder order(spec);
  std::mt19937 random(seed);
  std::vector<std::vector<TestSample>> inputs(ranks);
  for (const auto& sample : samples) inputs[random() % (random() % ranks + 1)].push_back(sample);  // uneven on purpose
  std::vector<SampledPlace> sampled;
  std::vector<RecordTable> tables(ranks, RecordTable(order));
  for (std::size_t r = 0; r < ranks; ++r) {
    REQUIRE(tables[r].append(pack(inputs[r])));
    tables[r].sort();
    for (auto& place : tables[r].sample(16)) sampled.push_back(place);
  }
  const auto splitters = choose_splitters(order, sampled, ranks);
  std::vector<RecordTable> sorted(ranks, RecordTable(order));
  for (const auto& table : tables) {
    const auto begins = table.cut(splitters, ranks);
    REQUIRE(begins.size() == ranks + 1);
    for (std::size_t to = 0; to < ranks; ++to) {
      base::Encoder message;
      for (std::size_t i = begins[to]; i < begins[to + 1]; ++i) message.raw(table.bytes(i));
      REQUIRE(sorted[to].append(std::move(message).take()));
    }
  }
  std::uint64_t before = 0;
  std::vector<std::vector<std::uint64_t>> slots;
  std::vector<SlotRun> runs;
  for (auto& table : sorted) {
    table.sort();
    std::vector<std::uint64_t> sizes;
    for (std::size_t i = 0; i < table.size(); ++i) sizes.push_back(table.head(i).tar_bytes);
    slots.push_back(shard_slots(spec, sizes, before));
    runs.push_back(slot_run(slots.back()));
    before += spec.shard_size_bytes != 0 ? std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0}) : sizes.size();
  }
  std::vector<std::vector<std::string>> shards(shard_count(runs));
  for (std::size_t r = 0; r < ranks; ++r) {
    std::uint64_t number = first_shard(runs, r);
    for (std::size_t i = 0; i < sorted[r].size(); ++i) {
      if (i > 0 && slots[r][i] != slots[r][i - 1]) ++number;
      const auto head = sorted[r].head(i);
      shards.at(number).push_back(std::string(head.key) + "@" + std::to_string(head.source) + ":" + std::to_string(head.position));
    }
  }
  return shards;
}

DsortSpec good_spec() {
  DsortSpec spec;
  spec.input.bucket = "input";
  spec.output_template = "train-%06d.tar";
  spec.shard_size_bytes = 1 << 20;
  return spec;
}

}  // namespace

TEST_CASE("records: what was packed comes back", "[plan]") {
  base::Encoder records;
  const shard::Sample sample{"a/b", 3, {{512, 1024, 11}, {4096, 512, UINT64_MAX}}};
  append_shard_record(records, sample, 5);
  LooseMember one{"x.jpg", 1000, {1, 2, 3}, 4, 2, {{9, 4096, 1000}}};
  LooseMember two{"x.cls", 0, {}, 0, 0, {}};
  const std::vector<LooseMember> members{one, two};
  append_loose_record(records, "x", members);
  base::Decoder from(records.bytes());
  RecordParts parts;
  const auto first = read_record(from, parts);
  CHECK(first.key == "a/b");
  CHECK(first.members == 3);
  CHECK(first.tar_bytes == 1536);
  CHECK(first.source == 5);
  CHECK(first.position == 1);
  CHECK(parts.extents == sample.extents);
  const auto second = read_record(from, parts);
  CHECK(second.loose);
  CHECK(second.source == kLooseSource);
  CHECK(second.tar_bytes == 512 + 1024 + 512);
  REQUIRE(parts.members.size() == 2);
  CHECK(parts.members[0].name == "x.jpg");
  CHECK(parts.members[0].checksum == one.checksum);
  CHECK(parts.members[0].extents == one.extents);
  CHECK(parts.members[0].rank == 4);
  CHECK(parts.members[1].size_bytes == 0);
  CHECK(from.complete());
  for (std::size_t cut = 1; cut < records.size(); ++cut) {  // torn records are noticed
    RecordTable table(SampleOrder(DsortOrder::key, false, 0));
    std::vector<std::byte> torn(records.bytes().begin(), records.bytes().begin() + static_cast<std::ptrdiff_t>(cut));
    const auto appended = table.append(torn);
    CHECK((!appended || table.size() == 1));
  }
}

TEST_CASE("dsort: the same shards whatever the number of ranks and the place of the input", "[plan]") {
  const auto samples = make_samples(3, 3000);
  for (const DsortOrder kind : {DsortOrder::none, DsortOrder::key, DsortOrder::shuffle})
    for (const bool decreasing : {false, true})
      for (const bool by_bytes : {false, true}) {
        if (decreasing && kind != DsortOrder::key) continue;
        DsortSpec spec = good_spec();
        spec.order = kind;
        spec.decreasing = decreasing;
        spec.seed = 42;
        spec.shard_size_bytes = by_bytes ? 300'000 : 0;
        spec.shard_samples = by_bytes ? 0 : 77;
        INFO("order " << static_cast<int>(kind) << " decreasing " << decreasing << " by bytes " << by_bytes);
        const auto expected = simulate(spec, samples, 1, 1);
        CHECK(std::none_of(expected.begin(), expected.end(), [](const auto& shard) { return shard.empty(); }));
        std::size_t total = 0;
        for (const auto& shard : expected) total += shard.size();
        CHECK(total == samples.size());
        for (const std::size_t ranks : {2UL, 3UL, 4UL, 5UL, 8UL, 37UL}) {
          INFO("ranks " << ranks);
          CHECK(simulate(spec, samples, ranks, static_cast<unsigned>(ranks)) == expected);
        }
      }
}

TEST_CASE("dsort: key order is byte order, up and down; ties by source, then position", "[plan]") {
  const std::vector<TestSample> samples{{"b", 1, 512, 512},
                                        {"b", 0, 1024, 512},
                                        {"b", 0, 512, 512},
                                        {"\xc3\xa4", 0, 0, 512},
                                        {"a", 2, 0, 512},
                                        {"", 3, 0, 512},
                                        {"prefix-long-b", 0, 1536, 512},
                                        {"prefix-long-a", 4, 0, 512}};
  DsortSpec spec = good_spec();
  spec.order = DsortOrder::key;
  CHECK(simulate(spec, samples, 3, 5) == std::vector<std::vector<std::string>>{
                                             {"@3:0", "a@2:0", "b@0:1", "b@0:2", "b@1:1", "prefix-long-a@4:0", "prefix-long-b@0:3", "\xc3\xa4@0:0"}});
  spec.decreasing = true;
  CHECK(simulate(spec, samples, 3, 5) == std::vector<std::vector<std::string>>{
                                             {"\xc3\xa4@0:0", "prefix-long-b@0:3", "prefix-long-a@4:0", "b@0:1", "b@0:2", "b@1:1", "a@2:0", "@3:0"}});
}

TEST_CASE("dsort: another seed is another order; a shuffle leaves no runs of the input", "[plan]") {
  const auto samples = make_samples(4, 2000);
  DsortSpec spec = good_spec();
  spec.order = DsortOrder::shuffle;
  spec.shard_size_bytes = 1ULL << 40;
  spec.seed = 1;
  const auto one = simulate(spec, samples, 3, 1);
  spec.seed = 2;
  const auto two = simulate(spec, samples, 3, 1);
  REQUIRE(one.size() == 1);
  CHECK(one != two);
  auto sorted_one = one[0];
  auto sorted_two = two[0];
  std::sort(sorted_one.begin(), sorted_one.end());
  std::sort(sorted_two.begin(), sorted_two.end());
  CHECK(sorted_one == sorted_two);
}

TEST_CASE("choose_splitters: parts of about equal size, also when ranks hold very different numbers", "[plan]") {
  const SampleOrder order(DsortOrder::shuffle, false, 9);
  const auto samples = make_samples(5, 40'000);
  const std::size_t ranks = 8;
  std::vector<RecordTable> tables(ranks, RecordTable(order));
  std::vector<SampledPlace> sampled;
  std::size_t at = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    const std::size_t share = r == 0 ? 30'000 : r == 1 ? 9'000 : r == 2 ? 1'000 : 0;
    REQUIRE(tables[r].append(pack(std::span(samples).subspan(at, share))));
    at += share;
    tables[r].sort();
    for (auto& place : tables[r].sample(128)) sampled.push_back(place);
  }
  const auto splitters = choose_splitters(order, sampled, ranks);
  REQUIRE(splitters.size() == ranks - 1);
  std::vector<std::size_t> sizes(ranks);
  for (const auto& table : tables) {
    const auto begins = table.cut(splitters, ranks);
    for (std::size_t p = 0; p < ranks; ++p) sizes[p] += begins[p + 1] - begins[p];
  }
  CHECK(std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}) == samples.size());
  for (const std::size_t size : sizes) CHECK(size < 2 * samples.size() / ranks);
  CHECK(choose_splitters(order, {}, 4).empty());
}

TEST_CASE("shard_slots: a sample larger than the target leaves no empty shard", "[plan]") {
  DsortSpec spec = good_spec();
  spec.shard_size_bytes = 10;
  const std::vector<std::uint64_t> sizes{4, 3, 25, 2};
  CHECK(shard_slots(spec, sizes, 0) == std::vector<std::uint64_t>{0, 0, 0, 3});
  const std::vector<SlotRun> runs{
      slot_run(std::vector<std::uint64_t>{0, 0}), {}, slot_run(std::vector<std::uint64_t>{0, 3}), slot_run(std::vector<std::uint64_t>{3, 7, 9}), {}};
  CHECK(first_shard(runs, 0) == 0);
  CHECK(first_shard(runs, 2) == 0);
  CHECK(first_shard(runs, 3) == 1);
  CHECK(shard_count(runs) == 4);
  CHECK(shard_count(std::vector<SlotRun>(3)) == 0);
}

TEST_CASE("dsort spec: AIStore's JSON is understood, and goes there and back", "[plan]") {
  const auto json = base::parse_json(R"({
    "description": "shuffle", "input_bck": {"name": "input", "provider": "ais"}, "output_bck": {"name": "output"},
    "input_extension": ".tar", "input_format": {"template": "in-{0000..0063}"}, "output_format": "train-%06d", "output_shard_size": "16MB",
    "algorithm": {"kind": "shuffle", "seed": "7"}, "max_mem_usage": "64MiB", "duplicated_records": "warn", "missing_shards": "abort"})",
                                     "spec");
  REQUIRE(json);
  const auto spec = dsort_spec_from_json(*json);
  REQUIRE(spec);
  CHECK(spec->input.bucket == "input");
  CHECK(spec->input.pattern == "in-{0000..0063}.tar");
  CHECK(spec->output_bucket == "output");
  CHECK(spec->output_template == "train-%06d.tar");
  CHECK(spec->shard_size_bytes == 16'000'000);
  CHECK(spec->order == DsortOrder::shuffle);
  CHECK(spec->seed == 7);
  CHECK(spec->memory_budget_bytes == 64 << 20);
  CHECK(spec->duplicates == DuplicatePolicy::warn);
  CHECK(spec->missing == MissingPolicy::abort);
  const auto again = dsort_spec_from_json(dsort_spec_to_json(*spec));
  REQUIRE(again);
  CHECK(dsort_spec_to_json(*again) == dsort_spec_to_json(*spec));
  const auto by_content = dsort_spec_from_json(*base::parse_json(
      R"({"input_bck": "abc", "output_format": "o-%d", "output_shard_samples": 5,
          "algorithm": {"kind": "content", "extension": ".cls", "content_key_type": "float", "decreasing": true, "missing_content": "last"},
          "keep_extensions": [".cls", "jpg"], "key_pattern": "^n", "index": true, "manifest": true, "class_extension": "cls"})",
      "spec"));
  REQUIRE(by_content);
  CHECK(by_content->order == DsortOrder::content);
  CHECK(by_content->content_extension == "cls");
  CHECK(by_content->content_type == ContentType::real);
  CHECK(by_content->missing_content == MissingContent::last);
  CHECK(by_content->decreasing);
  CHECK(by_content->keep_extensions == std::vector<std::string>{"cls", "jpg"});
  CHECK(by_content->key_pattern == "^n");
  CHECK((by_content->index && by_content->manifest && by_content->class_extension == "cls"));
  CHECK(dsort_spec_to_json(*dsort_spec_from_json(dsort_spec_to_json(*by_content))) == dsort_spec_to_json(*by_content));
  const auto defaults = dsort_spec_from_json(*base::parse_json(
      R"({"input_bck": "abc", "input_format": {"objnames": ["a.tar"], "prefix": "p"}, "output_format": "o-@99.tar", "output_shard_samples": 5, "max_mem_usage": "50%"})",
      "spec"));
  REQUIRE(defaults);
  CHECK(defaults->order == DsortOrder::key);
  CHECK(defaults->output_bucket.empty());
  CHECK(defaults->input.names == std::vector<std::string>{"a.tar"});
  CHECK(defaults->memory_budget_bytes >= kMemoryBudgetBytesMin);
}

TEST_CASE("dsort spec: what is wrong is named, before any work", "[plan]") {
  const auto refused = [](const char* text, const char* part, ErrorCode code = ErrorCode::invalid) {
    INFO(text);
    const auto json = base::parse_json(text, "spec");
    REQUIRE(json);
    const auto spec = dsort_spec_from_json(*json);
    REQUIRE(!spec);
    CHECK(spec.error().code == code);
    CHECK_THAT(spec.error().message, Catch::Contains(part));
  };
  refused("[]", "object");
  refused(R"({"input_bucket": "abc"})", "input_bucket");
  refused(R"({"input_bck": 3})", "input_bck");
  refused(R"({"input_bck": {"name": "abc", "provider": "aws"}})", "aws", ErrorCode::unsupported);
  refused(R"({"input_bck": "abc", "algorithm": {"kind": "quick"}})", "quick");
  refused(R"({"input_bck": "abc", "algorithm": {"kind": "content", "content_key_type": "number"}})", "content_key_type cannot be 'number'");
  refused(R"({"input_bck": "abc", "algorithm": {"kind": "content", "missing_content": "ignore"}})", "missing_content cannot be 'ignore'");
  refused(R"({"input_bck": "abc", "output_format": "a-%d", "output_shard_size": 10, "algorithm": {"kind": "content"}})", "needs the extension");
  refused(R"({"input_bck": "abc", "output_format": "a-%d", "output_shard_size": 10, "algorithm": {"kind": "md5", "decreasing": true}})",
          "decreasing");
  refused(R"({"input_bck": "abc", "algorithm": {"seed": -1}})", "seed");
  refused(R"({"input_bck": "abc", "output_extension": ".tar.bz2"})", ".tar.bz2");
  refused(R"({"input_bck": "abc", "ekm_file": "http://x"})", "ekm_file", ErrorCode::unsupported);
  refused(R"({"input_bck": "abc", "output_format": "a-%d"})", "either a size");
  refused(R"({"input_bck": "abc", "output_format": "a-%d", "output_shard_size": "1MB", "output_shard_samples": 4})", "either a size");
  refused(R"({"input_bck": "abc", "output_shard_size": "1MB"})", "output template");
  refused(R"({"input_bck": "abc", "output_format": "a-{3..1}", "output_shard_size": "1MB"})", "backwards");
  refused(R"({"input_bck": "abc", "output_format": "a-%d", "output_shard_size": "ten"})", "output_shard_size");
  refused(R"({"input_bck": "A", "output_format": "a-%d", "output_shard_size": 10})", "bucket");
  refused(R"({"input_bck": "abc", "output_format": "a-%d", "output_shard_size": 10, "max_mem_usage": "1MiB"})", "memory");
  refused(R"({"input_bck": "abc", "output_format": "a-%d", "output_shard_size": 10, "max_mem_usage": "0%"})", "max_mem_usage");
  refused(R"({"input_bck": "abc", "output_format": "a-%d", "output_shard_size": 10, "algorithm": {"kind": "shuffle", "decreasing": true}})",
          "decreasing");
}
