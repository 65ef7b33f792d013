#!/bin/bash
# Ranks that read each other's objects, against bare MPI, local reads and `cat`: interleaved, one table.
#   peer_bench.sh BUILD_DIR [ROUNDS=9]
# Four ranks on this machine; needs 800 MB in ${TARN_BENCH_DIR:-/tmp} and as much page cache. Takes about a minute.
set -euo pipefail

build_dir=${1:?usage: peer_bench.sh BUILD_DIR [ROUNDS]}
rounds=${2:-9}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/environment.sh
. "$here/../support/environment.sh"

work=$(mktemp -d "${TARN_BENCH_DIR:-/tmp}/tarn-peer-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
timeout --kill-after=10 900 mpirun --oversubscribe -n 4 "$build_dir/tests/bench/peer_bench" "$work" --rounds "$rounds"
