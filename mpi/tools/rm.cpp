// rm.cpp - `tarn rm`, `tarn mb`, `tarn rb`: objects removed, buckets made and removed.
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

/// The bucket of a "tarn://BUCKET/" operand.
Result<std::string> bucket_operand(const std::string& operand) {
  TARN_TRY(const ObjectName name, parse_tarn_url(operand));
  if (!name.key.empty()) return fail(ErrorCode::invalid, "'" + operand + "' names an object; a bucket is tarn://" + name.bucket + "/");
  return name.bucket;
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

Result<int> run_mb(const Arguments& arguments) {
  std::string endpoint_file;
  std::string durability;
  CommandLine line("mb [--durability none|sync] tarn://BUCKET/", "Makes a bucket on all ranks.",
                   "tarn mb tarn://raw/\n"
                   "tarn mb --durability sync tarn://checkpoints/");
  line.options().add_options()("durability", po::value(&durability)->default_value("none"),
                               "what an acknowledged put or removal survives: none: the death of a process; sync: a loss of power as well");
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 1, 1));
  if (!go_on) return 0;
  const auto wanted = parse_durability(durability);
  if (!wanted) return fail(ErrorCode::invalid, "--durability " + durability + ": can be none or sync");
  TARN_TRY(const std::string bucket, bucket_operand(line.operands()[0]));
  TARN_TRY(const auto client, connect(endpoint_file));
  TARN_CHECK(client->create_bucket(bucket, {*wanted}));
  return 0;
}

Result<int> run_rb(const Arguments& arguments) {
  std::string endpoint_file;
  CommandLine line("rb tarn://BUCKET/", "Removes an empty bucket (`tarn rm -r tarn://BUCKET/` empties one).", "tarn rb tarn://raw/");
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 1, 1));
  if (!go_on) return 0;
  TARN_TRY(const std::string bucket, bucket_operand(line.operands()[0]));
  TARN_TRY(const auto client, connect(endpoint_file));
  TARN_CHECK(client->remove_bucket(bucket));
  return 0;
}

}  // namespace tarn::tools
