// get.cpp - `tarn get` and `tarn cat`: objects into files, or to standard output.
// Level 7 (tools).
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/text.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/local_tree.hpp"
#include "mpi/tools/progress.hpp"
#include "mpi/tools/remote.hpp"
#include "mpi/tools/standard_output.hpp"

namespace tarn::tools {

namespace {

/// Into a pipe or device, which stays what it is: no temporary file takes its place.
/// @param progress  may be null; so below.
Result<void> get_into_stream(http::Client& client, const ObjectName& name, const std::string& path, Progress* progress) {
  const base::UniqueFd stream(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!stream) return fail(base::errno_error(errno, "open", path));
  TARN_CHECK(client.get(name, [&](std::span<const std::byte> bytes) {
    if (progress != nullptr) progress->add(bytes.size());
    return write_all(stream.get(), path, bytes);
  }));
  return {};
}

Result<void> get_whole_file(http::Client& client, const ObjectName& name, const std::string& path, Progress* progress) {
  std::optional<WholeFile> file;  // made when the first byte arrives: a missing object leaves nothing
  const auto open = [&]() -> Result<void> {
    TARN_TRY(auto created, WholeFile::create(path));
    file.emplace(std::move(created));
    return {};
  };
  const auto sink = [&](std::span<const std::byte> bytes) -> Result<void> {
    if (!file) TARN_CHECK(open());
    if (progress != nullptr) progress->add(bytes.size());
    return file->append(bytes);
  };
  TARN_CHECK(client.get(name, sink));
  if (!file) TARN_CHECK(open());  // an object of no bytes
  return file->commit();
}

/// To where the path leads, whatever is there.
Result<void> get_file(http::Client& client, const ObjectName& name, const std::string& path, Progress* progress) {
  return is_stream(path) ? get_into_stream(client, name, path, progress) : get_whole_file(client, name, path, progress);
}

Result<void> get_one(http::Client& client, const ObjectName& name, std::string path) {
  if (path == "-") {
    TARN_CHECK(client.get(name, write_stdout));
    return {};
  }
  if (is_stream(path)) return get_into_stream(client, name, path, nullptr);
  if (is_directory(path) || (!path.empty() && path.back() == '/')) {
    const std::string base = name.key.substr(name.key.rfind('/') + 1);
    if (!is_safe_path(base)) return fail(ErrorCode::invalid, "the key '" + name.key + "' cannot be a file name; name the file");
    path = (std::filesystem::path(path) / base).string();
  }
  Progress progress("get", 0, Progress::Unit::bytes);
  return get_file(client, name, path, &progress);
}

struct Wanted {
  std::vector<std::string> keys;
  std::vector<std::string> paths;
  std::uint64_t size_bytes = 0;
  std::vector<std::string> unsafe;
};

/// Keys lose what comes before the last '/' of the prefix: "runs/7/" and "runs/7/a" both give paths below 7.
Result<Wanted> find_wanted(http::Client& client, const ObjectName& source, const std::string& directory) {
  Wanted wanted;
  const std::size_t cut = source.key.rfind('/') == std::string::npos ? 0 : source.key.rfind('/') + 1;
  TARN_CHECK(for_each_key(client, source.bucket, {.prefix = source.key}, [&](const ListPage& page) -> Result<void> {
    for (const ObjectInfo& object : page.objects) {
      const std::string below = object.key.substr(cut);
      if (!is_safe_path(below)) {
        wanted.unsafe.push_back(object.key);
        continue;
      }
      wanted.keys.push_back(object.key);
      wanted.paths.push_back(directory + "/" + below);
      wanted.size_bytes += object.size_bytes;
    }
    return {};
  }));
  return wanted;
}

Result<void> get_tree(http::Client& client, const ObjectName& source, const std::string& directory, unsigned jobs, bool quiet) {
  TARN_TRY(const Wanted wanted, find_wanted(client, source, directory));
  if (wanted.keys.empty() && wanted.unsafe.empty()) return fail(ErrorCode::not_found, "no key begins with " + format_tarn_url(source));
  double seconds = 0;
  {
    Progress progress("get", wanted.size_bytes, Progress::Unit::bytes);
    const auto get_one_of_all = [&](std::size_t i) -> Result<void> {
      TARN_CHECK(make_parents(wanted.paths[i]));
      return get_file(client, {source.bucket, wanted.keys[i]}, wanted.paths[i], &progress);
    };
    TARN_CHECK(run_parallel(wanted.keys.size(), jobs, get_one_of_all));
    seconds = progress.seconds();
  }
  if (!quiet)
    std::cout << "got " << wanted.keys.size() << " objects, " << base::format_size(wanted.size_bytes) << " in " << format_duration(seconds) << " ("
              << format_rate(wanted.size_bytes, seconds) << ")\n";
  if (wanted.unsafe.empty()) return {};
  return fail(ErrorCode::invalid, std::to_string(wanted.unsafe.size()) + " keys cannot be paths below " + directory + ", the first is '" +
                                      wanted.unsafe.front() + "'; fetch them one by one with `tarn get URL FILE`");
}

}  // namespace

Result<int> run_get(const Arguments& arguments) {
  bool recursive = false;
  bool quiet = false;
  unsigned jobs = kJobsDefault;
  std::string endpoint_file;
  CommandLine line("get [-r] tarn://BUCKET/KEY [TARGET]",
                   "Fetches an object into the file TARGET (default: its last name, here; '-': standard output), or with -r all objects whose\n"
                   "keys begin with KEY into the directory TARGET (default: here). Checksums are verified; a file appears when it is whole.",
                   "tarn get tarn://raw/a.png out.png\n"
                   "tarn get -r tarn://train/ ./shards\n"
                   "tarn get tarn://archive/logs.tar - | tar tv");
  line.options().add_options()("recursive,r", po::bool_switch(&recursive), "all keys with this prefix")("quiet,q", po::bool_switch(&quiet),
                                                                                                        "no summary");
  add_jobs_option(line, jobs);
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 1, 2));
  if (!go_on) return 0;
  TARN_CHECK(check_jobs(jobs));
  const std::string target = line.operands().size() == 2 ? line.operands()[1] : ".";
  if (recursive) {
    TARN_TRY(const ObjectName source, parse_tarn_url(line.operands()[0]));
    TARN_TRY(const auto client, connect(endpoint_file));
    TARN_CHECK(get_tree(*client, source, target, jobs, quiet));
  } else {
    TARN_TRY(const ObjectName source, parse_object_url(line.operands()[0]));
    TARN_TRY(const auto client, connect(endpoint_file));
    TARN_CHECK(get_one(*client, source, target));
  }
  return 0;
}

Result<int> run_cat(const Arguments& arguments) {
  std::string endpoint_file;
  std::uint64_t offset = 0;
  std::string length;
  CommandLine line("cat tarn://BUCKET/KEY...", "Writes objects, one after the other, to standard output; or a part of each.",
                   "tarn cat tarn://raw/a.png >a.png\n"
                   "tarn cat --offset 512 --length 4KiB tarn://train/train-000000.tar | xxd");
  line.options().add_options()("offset", po::value(&offset)->value_name("BYTE"), "from this byte on")(
      "length", po::value(&length)->value_name("SIZE"), "at most so many bytes");
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 1, kAnyNumber));
  if (!go_on) return 0;
  std::optional<ByteRange> range;
  if (line.given("offset") || line.given("length")) {
    range = ByteRange{offset, ByteRange::kToEnd};
    if (line.given("length")) {
      TARN_TRY(range->length, size_option("length", length));
    }
  }
  std::vector<ObjectName> names;
  for (const std::string& operand : line.operands()) {
    TARN_TRY(names.emplace_back(), parse_object_url(operand));
  }
  TARN_TRY(const auto client, connect(endpoint_file));
  for (const ObjectName& name : names) TARN_CHECK(client->get(name, write_stdout, range));
  return 0;
}

}  // namespace tarn::tools
