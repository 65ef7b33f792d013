// dsort_ranks.cpp - dsort in a real MPI job; prints one line that must not depend on the number of ranks.
//   mpirun -n N dsort_ranks DIR [--own-nodes] [--loose] [--out DIR2]
// Each rank has a disk below DIR and puts its share of a fixed data set. --own-nodes: every rank counts as a
// node, so that all bytes of others travel in messages. --out: rank 0 writes the output shards there, as
// files, and the input's members, so that other tools can compare them.
#include <mpi.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <tarn/open.hpp>

#include "base/hash.hpp"
#include "shard/tar_format.hpp"

namespace {

using namespace tarn;

struct Options {
  std::string directory, out;
  bool own_nodes = false, loose = false;
};

std::string noise(std::size_t size, std::uint64_t seed) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(base::xxh3_64(std::string_view("noise"), seed << 20 | i / 8) >> 8 * (i % 8));
  return text;
}

void append_member(std::string& archive, const std::string& name, std::string_view data) {
  const auto headers = shard::make_tar_headers(name, data.size());
  archive.append(reinterpret_cast<const char*>(headers.data()), headers.size());
  archive.append(data);
  archive.resize(shard::padded(archive.size()));
}

/// name -> bytes of the members of one input shard
std::vector<std::pair<std::string, std::string>> make_members(std::uint64_t shard) {
  std::vector<std::pair<std::string, std::string>> members;
  for (std::uint64_t i = 0; i < 50; ++i) {
    const std::uint64_t id = base::xxh3_64(std::string_view("id"), shard << 32 | i);
    const std::string key = "class" + std::to_string(id % 7) + "/" + std::to_string(id);
    members.emplace_back(key + ".jpg", noise(id % 9000, id));
    members.emplace_back(key + ".cls", std::to_string(id % 7));
  }
  members.emplace_back("big/" + std::to_string(shard) + ".bin", noise(1'500'000, shard));
  return members;
}

void write_file(const std::string& path, std::string_view bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

Result<void> put(Store& store, const std::string& key, std::string_view bytes) {
  auto done = store.put({"input", key}, std::as_bytes(std::span(bytes.data(), bytes.size())));
  if (!done) return fail(done.error());
  return {};
}

Result<void> put_share(Store& store, const Options& options) {
  for (std::uint64_t shard = 0; shard < 16; ++shard) {
    if (shard % static_cast<std::uint64_t>(store.size()) != static_cast<std::uint64_t>(store.rank())) continue;
    std::string archive;
    for (const auto& [name, bytes] : make_members(shard)) {
      append_member(archive, name, bytes);
      if (options.loose)
        if (auto done = put(store, name, bytes); !done) return done;
      if (!options.out.empty()) write_file(options.out + "/members/" + name, bytes);
    }
    if (!options.loose)
      if (auto done = put(store, "in-" + std::to_string(shard) + ".tar", archive); !done) return done;
  }
  return {};
}

/// A hash over names and bytes of all output shards, read by this rank from whichever rank holds them.
Result<std::uint64_t> digest(Store& store, const Options& options) {
  auto page = store.list("output", {});
  if (!page) return fail(page.error());
  std::uint64_t hash = page->objects.size();
  for (const auto& object : page->objects) {
    const auto bytes = store.get({"output", object.key});
    if (!bytes) return fail(bytes.error());
    hash = base::xxh3_64(std::span(*bytes), base::xxh3_64(object.key, hash));
    if (!options.out.empty() && store.rank() == 0)
      write_file(options.out + "/shards/" + object.key, {reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  }
  return hash;
}

Result<void> run(Store& store, const Options& options) {
  if (store.rank() == 0)
    if (auto made = store.create_bucket("input"); !made) return made;
  MPI_Barrier(MPI_COMM_WORLD);
  auto put_done = put_share(store, options);
  MPI_Barrier(MPI_COMM_WORLD);
  if (!put_done) return put_done;
  DsortSpec spec;
  spec.input.bucket = "input";
  spec.output_bucket = "output";
  spec.output_template = "train-%04d.tar";
  spec.shard_size_bytes = 2'000'000;
  spec.order = DsortOrder::shuffle;
  spec.seed = 5;
  spec.memory_budget_bytes = 8 << 20;
  const auto report = store.dsort(spec);
  if (!report) return fail(report.error());
  const auto hash = digest(store, options);
  if (!hash) return fail(hash.error());
  if (store.rank() == 0)
    std::printf("dsort samples=%llu members=%llu shards=%llu bytes=%llu digest=%016llx\n", static_cast<unsigned long long>(report->samples),
                static_cast<unsigned long long>(report->members), static_cast<unsigned long long>(report->shards),
                static_cast<unsigned long long>(report->output_bytes), static_cast<unsigned long long>(*hash));
  const auto again = store.dsort(spec);  // the names are taken now: the same error on every rank
  if (again || again.error().code != ErrorCode::exists) return fail(ErrorCode::internal, "a second dsort onto the same names was not refused");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  Options options;
  options.directory = argc > 1 ? argv[1] : ".";
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], "--own-nodes") == 0) options.own_nodes = true;
    if (std::strcmp(argv[i], "--loose") == 0) options.loose = true;
    if (std::strcmp(argv[i], "--out") == 0 && i + 1 < argc) options.out = argv[++i];
  }
  StoreOptions store_options;
  store_options.directories = {options.directory + "/disk-{rank}"};
  store_options.node_id_from_rank = options.own_nodes;
  int exit_code = 0;
  auto store = open(MPI_COMM_WORLD, store_options);
  if (!store) {
    std::fprintf(stderr, "open: %s\n", store.error().message.c_str());
    exit_code = 1;
  } else {
    if (auto outcome = run(*store, options); !outcome) {
      std::fprintf(stderr, "rank %d: %s\n", store->rank(), outcome.error().message.c_str());
      MPI_Abort(MPI_COMM_WORLD, 1);  // a test's right, not the library's: the others may wait for ever
    }
    if (auto closed = store->close(); !closed) exit_code = 1;
  }
  MPI_Finalize();
  return exit_code;
}
