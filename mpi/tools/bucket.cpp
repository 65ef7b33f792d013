// bucket.cpp - `tarn bucket create|show|ls|rm`, and the short forms `tarn mb` and `tarn rb`.
// Level 7 (tools).
#include <algorithm>
#include <iostream>

#include "base/bucket_options.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "mpi/tools/bucket_text.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/remote.hpp"

namespace tarn::tools {

base::JsonObject bucket_to_json(const BucketInfo& bucket) {
  return {
      {"bucket", bucket.name},           {"created", base::format_iso_time(bucket.created_ns)}, {"durability", to_string(bucket.options.durability)},
      {"mirror", bucket.options.mirror}, {"placement", to_string(bucket.options.placement)},    {"checksum", to_string(bucket.options.checksum)}};
}

std::string describe_bucket(const BucketInfo& bucket) {
  const BucketOptions& options = bucket.options;
  std::string text = bucket.name + ", durability " + std::string(to_string(options.durability)) + ", ";
  text += options.mirror == 1 ? "1 copy" : std::to_string(options.mirror) + " copies";
  text += ", placement " + to_string(options.placement);
  if (options.checksum != ChecksumPolicy::store) text += ", checksum " + std::string(to_string(options.checksum));
  return text;
}

namespace {

/// The bucket of a "tarn://BUCKET/" operand.
Result<std::string> bucket_operand(const std::string& operand) {
  TARN_TRY(const ObjectName name, parse_tarn_url(operand));
  if (!name.key.empty()) return fail(ErrorCode::invalid, "'" + operand + "' names an object; a bucket is tarn://" + name.bucket + "/");
  return name.bucket;
}

Result<int> create(const Arguments& arguments, const std::string& command) {
  std::string endpoint_file, durability, placement, checksum;
  unsigned mirror = 1;
  CommandLine line(command + " [OPTION...] tarn://BUCKET/", "Makes a bucket on all ranks. It keeps its properties for as long as it exists.",
                   "tarn " + command + " tarn://raw/\ntarn " + command + " --mirror 2 --durability sync tarn://checkpoints/");
  line.options().add_options()("durability", po::value(&durability)->default_value("none"),
                               "what an acknowledged put or removal survives: none: the death of a process; sync: a loss of power as well")(
      "mirror", po::value(&mirror)->default_value(1), "copies of each object, on different nodes")(
      "placement", po::value(&placement)->default_value("hash"), "where objects go first: hash, local (the rank that writes), rank=N")(
      "checksum", po::value(&checksum)->default_value("store"),
      "which large objects may be sent unseen: store (as --verify-sendfile), never, first, always");
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 1, 1));
  if (!go_on) return 0;
  BucketOptions options;
  options.mirror = mirror;
  const auto wanted_durability = parse_durability(durability);
  if (!wanted_durability) return fail(ErrorCode::invalid, "--durability " + durability + ": can be none or sync");
  options.durability = *wanted_durability;
  const auto wanted_placement = parse_placement(placement);
  if (!wanted_placement) return fail(ErrorCode::invalid, "--placement " + placement + ": can be hash, local or rank=N");
  options.placement = *wanted_placement;
  const auto wanted_checksum = parse_checksum_policy(checksum);
  if (!wanted_checksum) return fail(ErrorCode::invalid, "--checksum " + checksum + ": can be store, never, first or always");
  options.checksum = *wanted_checksum;
  TARN_CHECK(base::check_bucket_options(options));
  TARN_TRY(const std::string bucket, bucket_operand(line.operands()[0]));
  TARN_TRY(const auto client, connect(endpoint_file));
  TARN_CHECK(client->create_bucket(bucket, options));
  return 0;
}

Result<int> remove(const Arguments& arguments, const std::string& command) {
  std::string endpoint_file;
  CommandLine line(command + " tarn://BUCKET/", "Removes an empty bucket (`tarn rm -r tarn://BUCKET/` empties one).",
                   "tarn " + command + " tarn://raw/");
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 1, 1));
  if (!go_on) return 0;
  TARN_TRY(const std::string bucket, bucket_operand(line.operands()[0]));
  TARN_TRY(const auto client, connect(endpoint_file));
  TARN_CHECK(client->remove_bucket(bucket));
  return 0;
}

Result<int> show(const Arguments& arguments) {
  std::string endpoint_file;
  bool json = false;
  CommandLine line("bucket show [--json] tarn://BUCKET/", "Shows a bucket's properties.", "tarn bucket show tarn://raw/");
  line.options().add_options()("json", po::bool_switch(&json), "as a JSON object");
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 1, 1));
  if (!go_on) return 0;
  TARN_TRY(const std::string bucket, bucket_operand(line.operands()[0]));
  TARN_TRY(const auto client, connect(endpoint_file));
  TARN_TRY(const auto all, client->buckets());
  const auto found = std::find_if(all.begin(), all.end(), [&](const BucketInfo& info) { return info.name == bucket; });
  if (found == all.end()) return fail(ErrorCode::bucket_not_found, "there is no bucket " + bucket);
  if (json)
    std::cout << base::pretty_json(bucket_to_json(*found));
  else
    std::cout << "bucket " << describe_bucket(*found) << ", made " << base::format_iso_time(found->created_ns) << "\n";
  return 0;
}

Result<int> list(const Arguments& arguments) {
  std::string endpoint_file;
  CommandLine line("bucket ls", "Shows all buckets and their properties (as JSON: `tarn ls --json`).", "tarn bucket ls");
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 0, 0));
  if (!go_on) return 0;
  TARN_TRY(const auto client, connect(endpoint_file));
  TARN_TRY(const auto all, client->buckets());
  for (const BucketInfo& bucket : all) std::cout << describe_bucket(bucket) << "\n";
  return 0;
}

}  // namespace

Result<int> run_bucket(const Arguments& arguments) {
  const std::string verb = arguments.empty() ? std::string() : arguments.front();
  const Arguments rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (verb == "create") return create(rest, "bucket create");
  if (verb == "show") return show(rest);
  if (verb == "ls") return list(rest);
  if (verb == "rm") return remove(rest, "bucket rm");
  if (verb == "--help" || verb == "-h") {
    std::cout << "Usage: tarn bucket create|show|ls|rm [OPTION...] [tarn://BUCKET/]\n\nEach has a --help of its own.\n";
    return 0;
  }
  return fail(ErrorCode::invalid,
              (verb.empty() ? "say what to do" : "'" + verb + "' is not known") + ": create, show, ls or rm (see `tarn bucket --help`)");
}

Result<int> run_mb(const Arguments& arguments) {
  return create(arguments, "mb");
}

Result<int> run_rb(const Arguments& arguments) {
  return remove(arguments, "rb");
}

}  // namespace tarn::tools
