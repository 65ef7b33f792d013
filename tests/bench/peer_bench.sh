#!/bin/bash
# Ranks that read each other's objects, against bare MPI, local reads and `cat`: interleaved, one table.
#   peer_bench.sh [--tcp] BUILD_DIR [ROUNDS=9]
# Four ranks on this machine; needs 800 MB in ${TARN_BENCH_DIR:-/tmp} and as much page cache. Takes about a minute.
# --tcp: each rank in network namespaces of its own, MPI goes over TCP; data on a tmpfs. Needs root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tcp=no
if [[ ${1:-} == --tcp ]]; then
  tcp=yes
  shift
fi
build_dir=${1:?usage: peer_bench.sh [--tcp] BUILD_DIR [ROUNDS]}
rounds=${2:-9}
if [[ -z ${TARN_WORLD:-} ]]; then  # a world has an environment of its own
  # shellcheck source=tests/support/environment.sh
  . "$here/../support/environment.sh"
fi
if [[ $tcp == yes && -z ${TARN_WORLD:-} ]]; then
  exec "$here/../slurm/world.sh" -n 4 "${BASH_SOURCE[0]}" --tcp "$(realpath "$build_dir")" "$rounds"
fi

launcher=(mpirun --oversubscribe -n 4)
directory=${TARN_BENCH_DIR:-/tmp}
if [[ $tcp == yes ]]; then
  launcher=(mpirun --mca plm rsh --mca plm_rsh_agent "$here/../slurm/on_node.sh" --mca plm_rsh_no_tree_spawn 1 --mca btl 'self,tcp'
    --oversubscribe --host "${TARN_NODES// /,}" --map-by node -n 4)
  directory=$TARN_WORLD/home
fi
work=$(mktemp -d "$directory/tarn-peer-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
timeout --kill-after=10 900 "${launcher[@]}" "$build_dir/tests/bench/peer_bench" "$work" --rounds "$rounds"
