// put.cpp - `tarn put`: a file, standard input, or everything below a directory into the store.
// Level 7 (tools).
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/local_tree.hpp"
#include "mpi/tools/progress.hpp"
#include "mpi/tools/remote.hpp"

namespace tarn::tools {

namespace {

struct PutArguments {
  bool recursive = false;
  bool quiet = false;
  unsigned jobs = kJobsDefault;
  std::string content_type;
  std::string endpoint_file;
};

PutOptions options_for(const PutArguments& arguments, std::string_view name) {
  PutOptions options;
  options.content_type = arguments.content_type.empty() ? content_type_of(name) : arguments.content_type;
  return options;
}

Result<void> put_stream(http::Client& client, const PutArguments& arguments, const ObjectName& target) {
  if (target.key.empty() || target.key.back() == '/')
    return fail(ErrorCode::invalid, "standard input needs a whole key: " + format_tarn_url(target) + "NAME");
  http::StreamBody body(STDIN_FILENO, "standard input");
  TARN_CHECK(client.put(target, body, options_for(arguments, target.key)));
  return {};
}

Result<void> put_file(http::Client& client, const PutArguments& arguments, const std::string& path, ObjectName target) {
  if (is_directory(path)) return fail(ErrorCode::invalid, path + " is a directory; use `tarn put -r` for all files below it");
  if (is_stream(path))
    return fail(ErrorCode::invalid, path + " is not a regular file; `tarn put - URL <" + path + "` stores what can be read from it");
  if (target.key.empty() || target.key.back() == '/') target.key += std::filesystem::path(path).filename().string();
  TARN_TRY(http::FileBody body, http::FileBody::open(path));
  Progress progress("put", *body.size(), Progress::Unit::bytes);
  TARN_CHECK(client.put(target, body, options_for(arguments, path)));
  return {};
}

/// Keys are checked before anything is sent, so that a bad name stores nothing.
Result<std::vector<ObjectName>> names_of(const Tree& tree, const ObjectName& target) {
  std::string prefix = target.key;
  if (!prefix.empty() && prefix.back() != '/') prefix += '/';
  std::vector<ObjectName> names;
  names.reserve(tree.files.size());
  for (const TreeFile& file : tree.files) {
    ObjectName name{target.bucket, prefix + file.key};
    if (const auto checked = base::check_name(name); !checked)
      return fail(checked.error().code, file.path + ": " + checked.error().message + "; nothing was stored");
    names.push_back(std::move(name));
  }
  return names;
}

Result<void> put_tree(http::Client& client, const PutArguments& arguments, const std::string& directory, const ObjectName& target) {
  TARN_TRY(const Tree tree, walk_tree(directory));
  TARN_TRY(const auto names, names_of(tree, target));
  if (auto created = client.create_bucket(target.bucket); !created && created.error().code != ErrorCode::exists) return created;
  double seconds = 0;
  std::atomic<std::uint64_t> stored{0};
  Result<void> outcome;
  {
    Progress progress("put", tree.size_bytes, Progress::Unit::bytes);
    outcome = run_parallel(tree.files.size(), arguments.jobs, [&](std::size_t i) -> Result<void> {
      TARN_TRY(http::FileBody body, http::FileBody::open(tree.files[i].path));
      TARN_CHECK(client.put(names[i], body, options_for(arguments, tree.files[i].path)));
      progress.add(tree.files[i].size_bytes);
      stored.fetch_add(1);
      return {};
    });
    seconds = progress.seconds();
  }
  if (!outcome)
    return fail(outcome.error().code, outcome.error().message + " (" + std::to_string(stored.load()) + " of " + std::to_string(tree.files.size()) +
                                          " objects were stored before)");
  if (arguments.quiet) return {};
  std::cout << "put " << tree.files.size() << " objects, " << base::format_size(tree.size_bytes) << " in " << format_duration(seconds) << " ("
            << format_rate(tree.size_bytes, seconds) << ")";
  if (tree.skipped > 0) std::cout << "; skipped " << tree.skipped << " that are not regular files";
  std::cout << "\n";
  return {};
}

}  // namespace

Result<int> run_put(const Arguments& arguments) {
  PutArguments put;
  CommandLine line("put [-r] SOURCE tarn://BUCKET/[KEY]",
                   "Stores a file, or standard input when SOURCE is '-', or with -r all regular files below the directory SOURCE. With -r the\n"
                   "bucket is made when it is missing and keys are the paths below SOURCE. A key that ends in '/' (or none) stands for a\n"
                   "directory. An object is visible when it is whole; one of the same name is replaced.",
                   "tarn put -r ./images tarn://raw/\n"
                   "tarn put model.h5 tarn://models/run-17/\n"
                   "tar c ./logs | tarn put - tarn://archive/logs.tar");
  line.options().add_options()("recursive,r", po::bool_switch(&put.recursive), "all files below a directory")(
      "content-type", po::value(&put.content_type)->value_name("TYPE"), "instead of the one that the name's ending suggests")(
      "quiet,q", po::bool_switch(&put.quiet), "no summary");
  add_jobs_option(line, put.jobs);
  add_endpoint_option(line, put.endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 2, 2));
  if (!go_on) return 0;
  TARN_CHECK(check_jobs(put.jobs));
  const std::string& source = line.operands()[0];
  TARN_TRY(const ObjectName target, parse_tarn_url(line.operands()[1]));
  TARN_TRY(const auto client, connect(put.endpoint_file));
  if (put.recursive)
    TARN_CHECK(put_tree(*client, put, source, target));
  else if (source == "-")
    TARN_CHECK(put_stream(*client, put, target));
  else
    TARN_CHECK(put_file(*client, put, source, target));
  return 0;
}

}  // namespace tarn::tools
