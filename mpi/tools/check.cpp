// check.cpp - `tarn check`: reads a whole disk and names what is damaged; rebuilds an index from the volumes.
// Level 7 (tools). Needs no running store; the disk must not be in use.
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "mpi/tools/command_line.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/progress.hpp"
#include "object/check.hpp"

namespace tarn::tools {

namespace {

base::JsonObject to_json(const object::CheckReport& report) {
  base::JsonArray damaged;
  for (const auto& object : report.damaged)
    damaged.push_back(base::JsonObject{
        {"bucket", object.bucket}, {"key", object.key}, {"reason", object.reason}, {"readable", object.readable}, {"outcome", object.outcome}});
  base::JsonArray troubles;
  for (const std::string& trouble : report.troubles) troubles.emplace_back(trouble);
  return {{"directory", report.directory},       {"healthy", report.healthy()},       {"volumes", report.volumes},
          {"volume_bytes", report.volume_bytes}, {"members", report.members},         {"objects", report.objects},
          {"object_bytes", report.object_bytes}, {"stale_bytes", report.stale_bytes}, {"rebuilt", report.rebuilt},
          {"damaged", std::move(damaged)},       {"troubles", std::move(troubles)}};
}

void print_report(const object::CheckReport& report) {
  for (const auto& object : report.damaged)
    std::cout << (object.readable ? "at risk: " : "damaged: ") << format_tarn_url({object.bucket, object.key}) << ": " << object.reason
              << (object.outcome.empty() ? "" : "; ") << object.outcome << "\n";
  for (const std::string& trouble : report.troubles) std::cout << "trouble: " << trouble << "\n";
  std::cout << report.directory << ": " << report.objects << " objects, " << base::format_size(report.object_bytes) << " in " << report.volumes
            << " volumes";
  if (report.stale_bytes > 0) std::cout << " (" << base::format_size(report.stale_bytes) << " of old versions)";
  if (report.rebuilt) std::cout << ", index rebuilt";
  std::cout << (report.healthy() ? ": healthy\n" : "\n");
}

/// What stands in the place of a report: of a directory that could not be checked.
base::JsonObject to_json(const std::string& directory, const Error& error) {
  return {{"directory", directory}, {"healthy", false}, {"error", error.message}};
}

Result<object::CheckReport> check_directory(const std::string& directory, const object::CheckOptions& options) {
  Progress progress("check " + directory, 0, Progress::Unit::bytes);
  return object::check_disk(directory, options,
                            [&](const object::CheckProgress& now) { progress.set("check " + directory, now.bytes_done, now.bytes_total); });
}

}  // namespace

Result<int> run_check(const Arguments& arguments) {
  object::CheckOptions options;
  bool json = false;
  std::string rate;
  CommandLine line(
      "check DIR... [--rebuild] [--quarantine] [--rate SIZE] [--json]",
      "Verifies everything on a disk (a directory given to `tarn serve --dir`) while no store uses it: every header, every byte against\n"
      "its checksum, the hashes of blocks, the index against the volumes. Exit code 65 when something is damaged; another one when\n"
      "a disk could not be checked: the others are all the same.",
      "tarn check /scratch/tarn-0\n"
      "tarn check --rebuild /scratch/tarn-0 (make the index anew from the volumes)\n"
      "tarn check --rate 200MiB /scratch/tarn-0 (beside other work)\n"
      "tarn check --json /scratch/tarn-* | jq '.[].damaged' (a directory that could not be checked has an `error` instead)");
  line.options().add_options()("rebuild", po::bool_switch(&options.rebuild), "make the index anew from the volumes first")(
      "quarantine", po::bool_switch(&options.quarantine),
      "copy what is left of damaged objects to DIR/quarantine/ and remove them; write those anew that only lack a good header")(
      "rate", po::value(&rate)->value_name("SIZE"),
      "read and write at most so much a second, a rebuild and copies included; LMDB's own file is not counted")(
      "json", po::bool_switch(&json), "one JSON array with a report for each directory");
  TARN_TRY(const bool go_on, line.parse(arguments, 1, kAnyNumber));
  if (!go_on) return 0;
  if (!rate.empty()) {
    TARN_TRY(options.bytes_per_s, base::parse_size(rate));
    if (options.bytes_per_s == 0) return fail(ErrorCode::invalid, "--rate 0: nothing would ever be read; leave it out for no limit");
  }
  base::JsonArray reports;
  std::size_t unhealthy = 0, failed = 0;
  std::optional<Error> first;
  for (const std::string& directory : line.operands()) {
    const auto report = check_directory(directory, options);
    if (!report) {
      ++failed;
      if (!first) first = report.error();
    } else if (!report->healthy()) {
      ++unhealthy;
    }
    if (json)
      reports.push_back(report ? to_json(*report) : to_json(directory, report.error()));
    else if (report)
      print_report(*report);
    else
      std::cout << directory << ": not checked: " << report.error().message << "\n";
  }
  if (json) std::cout << base::pretty_json(reports);
  const auto of_all = [&](std::size_t count) {
    return std::to_string(count) + " of " + std::to_string(line.operands().size()) + (line.operands().size() == 1 ? " disk" : " disks");
  };
  if (first && line.operands().size() == 1) return fail(*first);
  if (first) return fail(first->code, of_all(failed) + " not checked: " + first->message);
  if (unhealthy > 0) return fail(ErrorCode::corrupt, of_all(unhealthy) + " not healthy");
  return 0;
}

}  // namespace tarn::tools
