// dsort.hpp - the collective dsort: samples of shards and small objects into new shards.
// Level 6 (mpi). Written against Collectives and Fetcher, so it runs on MPI and on a transport in memory.
//
//   list     each rank: its own inputs; all: names of all shards, which numbers them
//   index    each rank reads its shards once: samples, where they lie, what they hash to
//   sort     sample sort of the records; duplicates; prefix sums cut shards; records go to the shards' homes
//   assemble each home fetches its shards' bytes in windows, checks, writes, reads back and checks again
//   publish  when every rank has agreed, all shards get their names
//
// Nothing before the last step changes the store, and no rank ever holds the records of all.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include <tarn/dsort.hpp>
#include <tarn/result.hpp>

#include "mpi/collectives.hpp"
#include "mpi/fetcher.hpp"
#include "object/local_store.hpp"
#include "placement/store_map.hpp"

namespace tarn::mpi {

struct DsortContext {
  Collectives& collectives;             ///< for this dsort alone while it runs
  Fetcher& fetcher;                     ///< called by several threads
  object::LocalStore* store = nullptr;  ///< null: this rank has no disks
  std::shared_ptr<const placement::StoreMap> map;
  /// Make and remove the output bucket on all ranks; called on rank 0, while the others wait in a collective.
  std::function<Result<void>(const std::string&bucket)> create_bucket, remove_bucket;
  unsigned threads = 0;  ///< that read and write; 0: this node's cores shared out among its ranks, at most 4
  /// Collective. Gives the output the copies that its bucket keeps; empty: it keeps one.
  std::function<Result<void>(Collectives& collectives, const std::string& bucket)> make_copies = {};
  /// Whether objects of a bucket may lie elsewhere than at their homes; empty: they do not.
  std::function<bool(const std::string& bucket)> placed = {};
  /// Whether every object is where it belongs; empty: it is.
  std::function<bool()> settled = {};
};

/// Collective. Runs a dsort to its end; every rank returns the same outcome, also when one of them throws on the way.
/// @param progress  called on the calling thread about ten times a second; may be empty, also on some ranks only.
/// @param abort     set it (on any rank, from any thread) to stop the job with `aborted`.
/// @errors invalid (spec, damaged shard, duplicates, template too small), bucket_not_found, not_found (no
///         input), exists (an output name), corrupt (bytes that changed), aborted, no_space, io, rank_lost.
///         After an error the store is as it was.
/// @cost   reads the input twice, writes the output once and reads it once; memory: the budget for data
///         in flight, and about 100 bytes and two keys per sample and rank share.
[[nodiscard]] Result<DsortReport> run_dsort(DsortContext& context, const DsortSpec& spec, const DsortProgressFn& progress,
                                            const std::atomic<bool>& abort);

}  // namespace tarn::mpi
