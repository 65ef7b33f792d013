// rm.cpp - `tarn rm`: objects removed.
// Level 7 (tools).
#include <iostream>

#include "base/error.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/progress.hpp"
#include "mpi/tools/remote.hpp"

namespace tarn::tools {

namespace {

Result<void> remove_one(http::Client& client, const ObjectName& name) {
  TARN_CHECK(client.head(name));  // S3's DELETE says nothing about a name that is not there
  return client.remove(name);
}

/// Keys are collected first: a listing that runs while its keys go away would be hard to reason about.
Result<void> remove_prefix(http::Client& client, const ObjectName& where, unsigned jobs, bool quiet) {
  std::vector<std::string> keys;
  TARN_CHECK(for_each_key(client, where.bucket, {.prefix = where.key}, [&](const ListPage& page) -> Result<void> {
    for (const ObjectInfo& object : page.objects) keys.push_back(object.key);
    return {};
  }));
  if (keys.empty() && !where.key.empty()) return fail(ErrorCode::not_found, "no key begins with " + format_tarn_url(where));
  {
    Progress progress("rm", keys.size(), Progress::Unit::steps);
    const auto remove_key = [&](std::size_t i) -> Result<void> {
      TARN_CHECK(client.remove({where.bucket, keys[i]}));
      progress.add(1);
      return {};
    };
    TARN_CHECK(run_parallel(keys.size(), jobs, remove_key));
  }
  if (!quiet) std::cout << "removed " << keys.size() << " objects\n";
  return {};
}

}  // namespace

Result<int> run_rm(const Arguments& arguments) {
  bool recursive = false;
  bool quiet = false;
  unsigned jobs = kJobsDefault;
  std::string endpoint_file;
  CommandLine line("rm [-r] tarn://BUCKET/KEY...",
                   "Removes objects, or with -r all objects whose keys begin with KEY. The bucket stays (see `tarn rb`).",
                   "tarn rm tarn://raw/a.png\n"
                   "tarn rm -r tarn://raw/2024/");
  line.options().add_options()("recursive,r", po::bool_switch(&recursive), "all keys with this prefix")("quiet,q", po::bool_switch(&quiet),
                                                                                                        "no summary");
  add_jobs_option(line, jobs);
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 1, kAnyNumber));
  if (!go_on) return 0;
  TARN_CHECK(check_jobs(jobs));
  std::vector<ObjectName> names;
  for (const std::string& operand : line.operands()) {
    TARN_TRY(names.emplace_back(), recursive ? parse_tarn_url(operand) : parse_object_url(operand));
  }
  TARN_TRY(const auto client, connect(endpoint_file));
  for (const ObjectName& name : names) TARN_CHECK(recursive ? remove_prefix(*client, name, jobs, quiet) : remove_one(*client, name));
  return 0;
}

}  // namespace tarn::tools
