// ls.cpp - `tarn ls`: buckets, or keys with a prefix.
// Level 7 (tools).
#include <cstdio>
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "mpi/tools/bucket_text.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/remote.hpp"
#include "mpi/tools/standard_output.hpp"

namespace tarn::tools {

namespace {

enum class Form : std::uint8_t { names, table, json };

/// Prints entries as they come: a listing of millions of keys needs no memory.
class Printer {
 public:
  explicit Printer(Form form) : form_(form) {
    if (form_ == Form::json) std::cout << "[";
  }
  void object(const ObjectInfo& info) {
    if (form_ == Form::json)
      item({{"key", info.key},
            {"size", info.size_bytes},
            {"modified", base::format_iso_time(info.modified_ns)},
            {"checksum", base::to_hex(info.checksum)}});
    else
      row(std::to_string(info.size_bytes), info.modified_ns, info.key);
  }
  void prefix(const std::string& prefix) {
    if (form_ == Form::json)
      item({{"prefix", prefix}});
    else
      row("-", 0, prefix);
  }
  void bucket(const BucketInfo& info) {
    if (form_ == Form::json)
      item(bucket_to_json(info));
    else
      row("-", info.created_ns, "tarn://" + info.name + "/");
  }
  void end() {
    if (form_ == Form::json) std::cout << (first_ ? "]\n" : "\n]\n");
  }

 private:
  void item(const base::JsonObject& fields) {
    std::cout << (first_ ? "\n  " : ",\n  ") << boost::json::serialize(fields);
    first_ = false;
  }
  void row(const std::string& size, std::int64_t time_ns, const std::string& name) {
    if (form_ == Form::table) {
      char columns[64];
      std::snprintf(columns, sizeof columns, "%14s  %-24s  ", size.c_str(), time_ns == 0 ? "-" : base::format_iso_time(time_ns).c_str());
      std::cout << columns;
    }
    std::cout << name << "\n";
  }
  const Form form_;
  bool first_ = true;
};

Result<void> list_buckets(http::Client& client, Form form) {
  TARN_TRY(const auto buckets, client.buckets());
  Printer printer(form);
  for (const BucketInfo& bucket : buckets) printer.bucket(bucket);
  printer.end();
  return {};
}

Result<void> list_keys(http::Client& client, const ObjectName& where, bool roll_up, Form form) {
  std::optional<Printer> printer;
  ListOptions options{.prefix = where.key, .delimiter = roll_up ? "/" : ""};
  TARN_CHECK(for_each_key(client, where.bucket, options, [&](const ListPage& page) -> Result<void> {
    if (!printer) printer.emplace(form);
    for (const std::string& prefix : page.common_prefixes) printer->prefix(prefix);
    for (const ObjectInfo& object : page.objects) printer->object(object);
    return flush_stdout();
  }));
  printer->end();
  return {};
}

}  // namespace

Result<int> run_ls(const Arguments& arguments) {
  bool details = false;
  bool json = false;
  bool roll_up = false;
  std::string endpoint_file;
  CommandLine line("ls [-l] [--json] [tarn://BUCKET/[PREFIX]]",
                   "Lists the buckets, or the keys of a bucket that begin with PREFIX, one a line in the order of their bytes.",
                   "tarn ls\n"
                   "tarn ls -l tarn://train/train-\n"
                   "tarn ls -d tarn://raw/ (one level, as directories)\n"
                   "tarn ls --json tarn://raw/ | jq '.[].size'");
  line.options().add_options()("long,l", po::bool_switch(&details), "size in bytes, time and key")(
      "json", po::bool_switch(&json),
      "one JSON array of {key, size, modified, checksum (XXH3-128)}, or of {bucket, created, durability, mirror, placement, checksum}")(
      "directories,d", po::bool_switch(&roll_up), "roll keys up at the next '/' after PREFIX");
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 0, 1));
  if (!go_on) return 0;
  const Form form = json ? Form::json : details ? Form::table : Form::names;
  if (line.operands().empty()) {
    TARN_TRY(const auto client, connect(endpoint_file));
    TARN_CHECK(list_buckets(*client, form));
    return 0;
  }
  TARN_TRY(const ObjectName where, parse_tarn_url(line.operands()[0]));
  TARN_TRY(const auto client, connect(endpoint_file));
  TARN_CHECK(list_keys(*client, where, roll_up, form));
  return 0;
}

}  // namespace tarn::tools
