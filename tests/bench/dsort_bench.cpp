// dsort_bench.cpp - wall and CPU time of a shuffle by all ranks, beside `cp -r` of the same data in between.
//   mpirun -n N dsort_bench DATA_DIR STORE_DIR [--rounds R] [--own-nodes] [--loose] [--order shuffle|key] [--zcat] [--memory-mib M]
// --zcat: the data is .tar.gz, and what it is held against is `zcat` of it, as many at a time as there are ranks. Rank 0 prints a line for each
// round: dsort seconds, its CPU seconds (all ranks), cp seconds, ratio, largest RSS.
#include <mpi.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <tarn/open.hpp>

#include "shard/shard_index.hpp"
#include "shard/tar_format.hpp"

namespace {

using namespace tarn;

struct Options {
  std::string data, directory, order = "shuffle";
  int rounds = 5;
  bool own_nodes = false, loose = false, zcat = false;
  std::uint64_t memory_mib = 256;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

[[noreturn]] void give_up(const Error& error) {
  std::fprintf(stderr, "dsort_bench: %s\n", error.message.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

std::vector<std::filesystem::path> input_files(const std::string& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

/// Puts the members of an archive as objects of their own.
void put_members(Store& store, std::span<const std::byte> archive) {
  shard::TarEntry entry;
  std::uint64_t at = 0;
  while (at < archive.size() && shard::parse_tar_entry(archive.subspan(at), at, entry).value() == shard::TarParse::entry) {
    const auto data = archive.subspan(at + entry.header_bytes, entry.data_bytes);
    if (auto done = store.put({"input", entry.name}, data); !done) give_up(done.error());
    at += entry.entry_bytes();
  }
}

/// A barrier that leaves the cores alone: ranks that wait for `cp` must not slow it down.
void quiet_barrier() {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void put_share(Store& store, const Options& options) {
  if (store.rank() == 0)
    if (auto made = store.create_bucket("input"); !made) give_up(made.error());
  quiet_barrier();
  const auto files = input_files(options.data);
  for (std::size_t i = static_cast<std::size_t>(store.rank()); i < files.size(); i += static_cast<std::size_t>(store.size())) {
    const auto bytes = read_file(files[i]);
    if (options.loose) {
      put_members(store, bytes);
    } else if (auto done = store.put({"input", files[i].filename().string()}, bytes); !done) {
      give_up(done.error());
    }
  }
  quiet_barrier();
}

/// Removes what a round has made, so that every round finds the same store.
void remove_output(Store& store) {
  quiet_barrier();
  if (store.rank() == 0) {
    for (ListPage page; !(page = store.list("output", {}).value()).objects.empty();)
      for (const auto& object : page.objects)
        if (auto done = store.remove({"output", object.key}); !done) give_up(done.error());
    if (auto done = store.remove_bucket("output"); !done) give_up(done.error());
  }
  quiet_barrier();
}

double copy_seconds(const Options& options, int ranks) {
  const std::string target = options.directory + "/copy";
  const std::string command = options.zcat ? "ls '" + options.data + "'/* | xargs -P " + std::to_string(ranks) + " -n 1 zcat >/dev/null"
                                           : "cp -r '" + options.data + "' '" + target + "'";
  const auto start = std::chrono::steady_clock::now();
  if (std::system(command.c_str()) != 0) give_up(Error(ErrorCode::io, "what it is held against failed"));
  const double seconds = seconds_since(start);
  std::filesystem::remove_all(target);
  return seconds;
}

void run(Store& store, const Options& options) {
  DsortSpec spec;
  spec.input.bucket = "input";
  spec.output_bucket = "output";
  spec.output_template = "train-%06d.tar";
  spec.shard_size_bytes = 16'000'000;
  spec.order = options.order == "key" ? DsortOrder::key : DsortOrder::shuffle;
  spec.seed = 1;
  spec.memory_budget_bytes = options.memory_mib << 20;
  for (int round = 0; round < options.rounds; ++round) {
    double copy = store.rank() == 0 ? copy_seconds(options, store.size()) : 0;
    quiet_barrier();
    const double cpu_before = cpu_seconds();
    const auto report = store.dsort(spec);
    if (!report) give_up(report.error());
    double cpu = cpu_seconds() - cpu_before;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    double rss_mib = static_cast<double>(usage.ru_maxrss) / 1024;
    double cpu_sum = 0, rss_max = 0;
    MPI_Reduce(&cpu, &cpu_sum, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Reduce(&rss_mib, &rss_max, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    if (store.rank() == 0)
      std::printf("dsort %.3f s  cpu %.2f s  other %.3f s  ratio %.2f  rss %.0f MiB  samples %llu  shards %llu\n", report->seconds, cpu_sum, copy,
                  report->seconds / copy, rss_max, static_cast<unsigned long long>(report->samples), static_cast<unsigned long long>(report->shards));
    std::fflush(stdout);
    remove_output(store);
  }
}

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  Options options;
  if (argc < 3) {
    std::fprintf(stderr,
                 "usage: dsort_bench DATA_DIR STORE_DIR [--rounds R] [--own-nodes] [--loose] [--order shuffle|key] [--zcat] [--memory-mib M]\n");
    MPI_Finalize();
    return 64;
  }
  options.data = argv[1];
  options.directory = argv[2];
  for (int i = 3; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) options.rounds = std::atoi(argv[++i]);
    if (std::strcmp(argv[i], "--order") == 0 && i + 1 < argc) options.order = argv[++i];
    if (std::strcmp(argv[i], "--memory-mib") == 0 && i + 1 < argc) options.memory_mib = std::strtoull(argv[++i], nullptr, 10);
    if (std::strcmp(argv[i], "--zcat") == 0) options.zcat = true;
    if (std::strcmp(argv[i], "--own-nodes") == 0) options.own_nodes = true;
    if (std::strcmp(argv[i], "--loose") == 0) options.loose = true;
  }
  StoreOptions store_options;
  store_options.directories = {options.directory + "/disk-{rank}"};
  store_options.node_id_from_rank = options.own_nodes;
  auto store = open(MPI_COMM_WORLD, store_options);
  if (!store) give_up(store.error());
  put_share(*store, options);
  run(*store, options);
  if (auto closed = store->close(); !closed) give_up(closed.error());
  MPI_Finalize();
  return 0;
}
