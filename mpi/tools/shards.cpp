// shards.cpp - `tarn shards` and `tarn index`: shards in files, looked through before training, and indexed for DALI.
// Level 7 (tools). Needs no store.
#include <iostream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "mpi/tools/command_line.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/progress.hpp"
#include "shard/dali_index.hpp"
#include "shard/member.hpp"
#include "shard/preflight.hpp"
#include "shard/shard_index.hpp"

namespace tarn::tools {

namespace {

using shard::FindingKind;

/// A shard in a file.
struct ShardFile {
  std::unique_ptr<base::File> file;
  std::uint64_t size_bytes = 0;
  shard::ArchiveKind kind = shard::ArchiveKind::tar;

  static Result<ShardFile> open(const std::string& path) {
    const auto kind = shard::archive_kind(path);
    if (!kind) return fail(ErrorCode::invalid, path + ": is not named as a shard (.tar, .tar.gz, .tgz, .tar.zst, .tar.lz4, .tar.xz, .zip)");
    ShardFile shard;
    shard.kind = *kind;
    TARN_TRY(shard.file, base::posix_file_system().open(path, base::OpenMode::read));
    TARN_TRY(shard.size_bytes, shard.file->size());
    return shard;
  }
};

Result<shard::Preflight> look_through(const std::vector<std::string>& paths) {
  std::vector<ShardFile> files;
  std::uint64_t bytes = 0;
  for (const std::string& path : paths) {
    TARN_TRY(files.emplace_back(), ShardFile::open(path));
    bytes += files.back().size_bytes;
  }
  Progress progress("shards check", bytes, Progress::Unit::bytes);
  shard::Preflight preflight;
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto read = [&](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
      auto got = files[i].file->read_at(offset, target);
      if (got) progress.set("shards check", done + offset + *got, bytes);
      return got;
    };
    TARN_CHECK(preflight.add_shard(files[i].kind, paths[i], files[i].size_bytes, read));
    done += files[i].size_bytes;
    files[i].file.reset();
  }
  return preflight;
}

base::Json to_json(const shard::Preflight& preflight) {
  base::JsonObject findings;
  for (std::size_t i = 0; i < shard::kFindingKinds; ++i) {
    const auto kind = static_cast<FindingKind>(i);
    const auto& finding = preflight.finding(kind);
    base::JsonArray examples;
    for (const std::string& example : finding.examples) examples.emplace_back(example);
    findings[shard::finding_name(kind)] =
        base::JsonObject{{"count", finding.count}, {"serious", shard::is_serious(kind)}, {"examples", std::move(examples)}};
  }
  return base::JsonObject{{"shards", preflight.shards()},
                          {"samples", preflight.samples()},
                          {"members", preflight.members()},
                          {"good", !preflight.serious()},
                          {"findings", std::move(findings)}};
}

void print(const shard::Preflight& preflight) {
  std::cout << preflight.shards() << " shards, " << preflight.samples() << " samples of " << preflight.members() << " members"
            << (preflight.serious() ? "\n" : ": good\n");
  for (std::size_t i = 0; i < shard::kFindingKinds; ++i) {
    const auto kind = static_cast<FindingKind>(i);
    const auto& finding = preflight.finding(kind);
    if (finding.count == 0) continue;
    std::cout << (shard::is_serious(kind) ? "error: " : "note: ") << shard::finding_name(kind) << ": " << finding.count << "\n";
    for (const std::string& example : finding.examples) std::cout << "    " << example << "\n";
  }
}

Result<int> run_shards_check(const Arguments& arguments) {
  bool json = false;
  CommandLine line(
      "shards check FILE... [--json]",
      "Reads shards through, of all kinds that dsort reads, and says what readers of WebDataset pass over in silence (links, directories,\n"
      "hidden and meta names) and what they trip over: damage, an extension twice in a sample, a key that comes again later or in\n"
      "another of these shards. Exit code 65 for the latter.",
      "tarn shards check train-*.tar\n"
      "tarn shards check --json *.tar.gz | jq .findings.keys_apart");
  line.options().add_options()("json", po::bool_switch(&json), "one JSON object");
  TARN_TRY(const bool go_on, line.parse(arguments, 1, kAnyNumber));
  if (!go_on) return 0;
  TARN_TRY(const auto preflight, look_through(line.operands()));
  if (json)
    std::cout << base::pretty_json(to_json(preflight));
  else
    print(preflight);
  if (!preflight.serious()) return 0;
  return fail(ErrorCode::corrupt, "these shards are not what a reader expects; see the findings");
}

/// A line of JSON for each sample.
Result<void> list_samples(const std::string& path) {
  TARN_TRY(const auto source, ShardFile::open(path));
  const auto read_file = [&](std::uint64_t offset, std::span<std::byte> target) { return source.file->read_at(offset, target); };
  TARN_TRY(const auto stream, shard::open_tar_stream(source.kind, path, source.size_bytes, read_file));
  const shard::ShardReadFn read = [&](std::uint64_t, std::span<std::byte> target) { return stream->read(target); };
  base::JsonArray members;
  const shard::MemberFn add = [&](const shard::SampleMember& member) -> Result<void> {
    members.push_back(base::JsonObject{{"name", base::valid_utf8(member.name)},
                                       {"extension", base::valid_utf8(shard::split_member_name(member.name)->extension)},
                                       {"offset", member.data_offset},
                                       {"bytes", member.data_bytes}});
    return {};
  };
  const shard::SampleFn print_sample = [&](const shard::Sample& sample) -> Result<void> {
    const base::JsonObject line{{"shard", path}, {"key", base::valid_utf8(sample.key)}, {"members", std::move(members)}};
    std::cout << boost::json::serialize(line) << "\n";
    members = {};
    return {};
  };
  std::vector<std::byte> window(shard::kIndexWindowBytesMin);
  TARN_CHECK(shard::index_shard(path, source.kind == shard::ArchiveKind::tar ? source.size_bytes : shard::kUnknownShardBytes, read, print_sample,
                                window, {{}, add}));
  return {};
}

Result<int> run_shards_list(const Arguments& arguments) {
  CommandLine line(
      "shards list FILE...",
      "Prints a line of JSON for each sample of these shards: its key and its members, with extension (lower case), size, and where the\n"
      "data lies in the shard (once it is unpacked).",
      "tarn shards list train-0000.tar | jq -r .key\n"
      "tarn shards list *.tar | jq '[.members[].bytes] | add' | sort -n | tail");
  TARN_TRY(const bool go_on, line.parse(arguments, 1, kAnyNumber));
  if (!go_on) return 0;
  for (const std::string& path : line.operands()) TARN_CHECK(list_samples(path));
  return 0;
}

/// The index of one shard, beside it or in `directory`. @return its path.
Result<std::string> write_index(const std::string& path, const std::string& directory) {
  TARN_TRY(const auto source, ShardFile::open(path));
  if (source.kind != shard::ArchiveKind::tar)
    return fail(ErrorCode::invalid, path + ": offsets in a packed shard are of no use; unpack it first, or let dsort write .tar");
  shard::DaliIndex index;
  const auto read = [&](std::uint64_t offset, std::span<std::byte> target) { return source.file->read_at(offset, target); };
  const shard::SampleFn end_sample = [&](const shard::Sample&) -> Result<void> {
    index.end_sample();
    return {};
  };
  const shard::MemberFn add = [&](const shard::SampleMember& member) -> Result<void> {
    auto added = index.add_member(member.name, member.extension, member.data_offset, member.data_bytes);
    return added ? added : fail(added.error().code, path + ": " + added.error().message);
  };
  std::vector<std::byte> window(shard::kIndexWindowBytesMin);
  TARN_CHECK(shard::index_shard(path, source.size_bytes, read, end_sample, window, {{}, add}));
  std::string target = shard::dali_index_name(path);
  if (!directory.empty()) target = directory + "/" + target.substr(target.rfind('/') + 1);
  TARN_CHECK(base::write_text_file(base::posix_file_system(), target, index.text()));
  return target;
}

}  // namespace

Result<int> run_shards(const Arguments& arguments) {
  const std::string what = arguments.empty() ? std::string() : arguments.front();
  const Arguments rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (what == "check") return run_shards_check(rest);
  if (what == "list") return run_shards_list(rest);
  if (what == "--help" || what == "-h") {
    std::cout << "Usage: tarn shards check FILE... | tarn shards list FILE...\n\n"
                 "Shards in files: looked through before training, or listed sample by sample. `tarn shards check --help` says more.\n";
    return 0;
  }
  return fail(ErrorCode::invalid, "say what to do with the shards: `tarn shards check FILE...` or `tarn shards list FILE...`");
}

Result<int> run_index(const Arguments& arguments) {
  std::string directory;
  CommandLine line(
      "index FILE... [--output DIR]",
      "Writes an index for NVIDIA DALI (version 1.2) for each shard: train-0000.idx for train-0000.tar. `tarn dsort --index` makes them\n"
      "for shards in a store. The shard is read through and has to be sound.",
      "tarn index train-*.tar\n"
      "tarn index --output /scratch/idx /datasets/train-*.tar");
  line.options().add_options()("output", po::value(&directory)->value_name("DIR"), "where to write them (default: beside the shards)");
  TARN_TRY(const bool go_on, line.parse(arguments, 1, kAnyNumber));
  if (!go_on) return 0;
  for (const std::string& path : line.operands()) {
    TARN_TRY(const auto target, write_index(path, directory));
    std::cout << target << "\n";
  }
  return 0;
}

}  // namespace tarn::tools
