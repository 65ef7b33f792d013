// rebalance.cpp - `tarn rebalance` and `tarn repair`: asks a running store, or (inside mpirun, with --dir) opens one and does it.
// Level 7 (tools).
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "mpi/settle.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/job.hpp"
#include "mpi/tools/progress.hpp"
#include "mpi/tools/remote.hpp"
#include "mpi/tools/remote_job.hpp"

namespace tarn::tools {

namespace {

void print_report(const std::string& command, const base::Json& report, bool json) {
  if (json) {
    std::cout << base::pretty_json(report);
    return;
  }
  const auto number = [&](const char* name) { return base::json_u64(report, name).value_or(0); };
  std::cout << command << ": " << number("objects") << " copies looked at, " << number("copied_objects") << " copied ("
            << base::format_size(number("copied_bytes")) << "), " << number("removed_copies") << " removed where they did not belong; "
            << number("under_replicated") << " objects had too few copies\n";
}

Result<int> run(const std::string& command, const Arguments& arguments) {
  std::string endpoint_file, rate;
  std::vector<std::string> directories;
  bool json = false;
  CommandLine line(
      command + " [--rate SIZE] [--dir DIR...]",
      "After disks have come or gone: brings every object to the disks where it belongs now, with as many copies as its bucket keeps. The store "
      "can be used meanwhile. If it is interrupted, the next one goes on. `rebalance` and `repair` do the same.",
      "tarn " + command + "\nmpirun -n 4 tarn " + command + " --dir /scratch/tarn-{rank}");
  line.options().add_options()("rate", po::value(&rate), "that each rank copies at most in a second, as 100MiB")(
      "dir", po::value(&directories)->composing(), "inside mpirun: opens the store of these directories, for this alone")(
      "json", po::bool_switch(&json), "the report as JSON");
  add_endpoint_option(line, endpoint_file);
  auto parsed = line.parse(arguments, 0, 0);
  if (!parsed) return directories.empty() ? fail(std::move(parsed).error()) : refuse_in_job(std::move(parsed).error());
  if (!*parsed) return 0;
  RebalanceOptions options;
  if (!rate.empty()) {
    auto bytes = size_option("rate", rate);
    if (!bytes) return directories.empty() ? fail(std::move(bytes).error()) : refuse_in_job(std::move(bytes).error());
    options.bytes_per_second = *bytes;
  }
  if (directories.empty()) {
    TARN_TRY(const auto client, connect(endpoint_file));
    TARN_TRY(const std::string id, client->start_rebalance(options));
    TARN_TRY(const base::Json report, wait_for_job(*client, command, id));
    print_report(command, report, json);
    return 0;
  }
  StoreOptions store_options;
  store_options.directories = directories;
  return run_in_job(command, store_options, [&](Store& store, const Crew& crew) -> Result<int> {
    std::optional<Progress> progress;
    if (crew.first) progress.emplace(command, 0, Progress::Unit::steps);
    auto report = store.rebalance(options, [&](const RebalanceReport& now) {
      if (progress) progress->set(command, now.objects, 0);
    });
    progress.reset();
    if (!report) return fail(std::move(report).error());
    if (crew.first) print_report(command, mpi::rebalance_report_to_json(*report), json);
    return 0;
  });
}

}  // namespace

Result<int> run_rebalance(const Arguments& arguments) {
  return run("rebalance", arguments);
}

Result<int> run_repair(const Arguments& arguments) {
  return run("repair", arguments);
}

}  // namespace tarn::tools
