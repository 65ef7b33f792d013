// main.cpp - the command `tarn`: finds the command, runs it, turns its outcome into an exit code.
// Level 7 (tools).
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/version.hpp"
#include "mpi/tools/command_line.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/standard_output.hpp"

namespace tarn::tools {

namespace {

constexpr Command kCommands[] = {
    {"serve", "make the ranks of this MPI job a store that others reach by HTTP", run_serve},
    {"put", "store files", run_put},
    {"get", "fetch objects into files", run_get},
    {"cat", "write objects to standard output", run_cat},
    {"ls", "list buckets or keys", run_ls},
    {"rm", "remove objects", run_rm},
    {"bucket", "make, show, list and remove buckets", run_bucket},
    {"mb", "make a bucket", run_mb},
    {"rb", "remove a bucket", run_rb},
    {"dsort", "sort or shuffle samples into new shards, by all ranks together", run_dsort},
    {"rebalance", "put every object in its place after disks have come or gone", run_rebalance},
    {"repair", "give mirrored objects back the copies that were lost", run_repair},
    {"status", "ranks, disks, fill and health of a running store", run_status},
    {"check", "verify a disk's directory, rebuild its index", run_check},
    {"shards", "look shards in files through before training", run_shards},
    {"index", "write indices for NVIDIA DALI beside shards in files", run_index},
    {"doctor", "can this machine run Tarn, and what to do if not", run_doctor},
};

void print_usage(std::ostream& out) {
  out << "Usage: tarn COMMAND [OPTION...] [OPERAND...]\n\nTarn " << base::version()
      << ": the disks of an MPI job as one object store.\n\nCommands (`tarn COMMAND --help` shows options and examples):\n";
  for (const Command& command : kCommands) out << "  " << command.name << std::string(10 - command.name.size(), ' ') << command.summary << "\n";
  out << "\nClients find a store by --endpoint-file, $TARN_ENDPOINT_FILE or ./endpoint.json.\n"
         "\nExamples:\n"
         "  mpirun -n 4 tarn serve --dir /scratch/tarn-{rank} --endpoint-file endpoint.json &\n"
         "  tarn put -r ./images tarn://raw/\n"
         "  tarn dsort --input 'tarn://raw/' --output 'tarn://train/train-%06d.tar' --shard-size 64MiB --order shuffle --seed 1\n"
         "  tarn ls -l tarn://train/\n";
}

/// In one write: what several ranks say is not mixed up within a line.
void say(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int fail_with(const std::string& name, const Error& error) {
  if (!error.message.empty()) say("tarn " + name + ": " + error.message + "\n");
  return base::error_row(error.code).exit_code;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    print_usage(std::cerr);
    return base::error_row(ErrorCode::invalid).exit_code;
  }
  const std::string& name = arguments.front();
  const bool help = name == "--help" || name == "-h" || name == "help";
  if (help) print_usage(std::cout);
  if (name == "--version") std::cout << "tarn " << base::version() << "\n";
  if (help || name == "--version") {
    const auto flushed = flush_stdout();
    return flushed ? 0 : fail_with(name, flushed.error());
  }
  for (const Command& command : kCommands) {
    if (command.name != name) continue;
    auto outcome = command.run({arguments.begin() + 1, arguments.end()});
    if (const auto flushed = flush_stdout(); outcome && !flushed) outcome = fail(flushed.error());
    return outcome ? *outcome : fail_with(name, outcome.error());
  }
  say("tarn: there is no command '" + name + "' (see `tarn --help`)\n");
  return base::error_row(ErrorCode::invalid).exit_code;
}

}  // namespace

}  // namespace tarn::tools

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe or socket is an error of the write
  try {
    return tarn::tools::run({argv + 1, argv + argc});
  } catch (const std::exception& exception) {
    std::cerr << "tarn: " << exception.what() << "\n";
    return tarn::base::error_row(tarn::ErrorCode::internal).exit_code;
  }
}
