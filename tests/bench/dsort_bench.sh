#!/bin/bash
# dsort against `cp -r` of the same 1.03 GiB (64 shards of 1,400 samples), interleaved: least, median and largest ratio.
#   dsort_bench.sh BUILD_DIR [ROUNDS=5 [RANKS=4]]
# Needs 5 GB in ${TARN_BENCH_DIR:-/tmp}, on the file system that is to be measured.
set -euo pipefail

build_dir=${1:?usage: dsort_bench.sh BUILD_DIR [ROUNDS [RANKS]]}
rounds=${2:-5}
ranks=${3:-4}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/environment.sh
. "$here/../support/environment.sh"

work=$(mktemp -d "${TARN_BENCH_DIR:-/tmp}/tarn-dsort-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
"$build_dir/tests/bench/dsort_data" "$work/data"
cat "$work/data"/*.tar >/dev/null

spread() { # NAME: of the figures behind this word: least / median / largest
  grep -o "$1 [0-9.]*" "$work/lines" | cut -d' ' -f2 | sort -n | awk '{ v[NR] = $1 } END { print v[1] " / " v[int((NR + 1) / 2)] " / " v[NR] }'
}

measure() { # TITLE [OPTION...]
  local title=$1 data=$2
  shift 2
  mkdir "$work/store"
  timeout --kill-after=10 600 mpirun --oversubscribe -n "$ranks" "$build_dir/tests/bench/dsort_bench" "$work/$data" "$work/store" --rounds "$rounds" "$@" \
    >"$work/lines"
  rm -rf "$work/store"
  sed "s/^/    /" "$work/lines"
  printf '%s | dsort %s s | cpu %s s | ratio %s\n' "$title" "$(spread dsort)" "$(spread cpu)" "$(spread ratio)"
}

measure "shuffle, $ranks ranks on one node" data
measure "shuffle, each rank a node (messages)" data --own-nodes
measure "sort by key, $ranks ranks on one node" data --order key
measure "loose objects to shards, $ranks ranks on one node" data --loose

# Noise does not compress: the same members with 16 letters to a byte of it.
"$build_dir/tests/bench/dsort_data" "$work/packed" 64 1400 letters
gzip -6 "$work/packed"/*.tar
measure "tar.gz shuffled into tar, against zcat, $ranks ranks on one node" packed --zcat
