#!/bin/bash
# A dsort of 4 GiB on 4 ranks with a budget of 64 MiB each: no rank's memory grows with the data.
#   dsort_memory.sh BUILD_DIR      (of the preset release; needs 13 GB in ${TMPDIR:-/tmp})
set -euo pipefail
build_dir=${1:?usage: dsort_memory.sh BUILD_DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/environment.sh
. "$here/../support/environment.sh"

# The budget; records of 90,000 samples, twice while they are sorted; MPI, the index's pages and the program itself.
limit_mib=160
work=$(mktemp -d "${TMPDIR:-/tmp}/tarn-dsort-memory-XXXXXX")
trap 'rm -rf "$work"' EXIT
"$build_dir/tests/bench/dsort_data" "$work/data" 256
mkdir "$work/store"
timeout --kill-after=10 1800 mpirun --oversubscribe -n 4 "$build_dir/tests/bench/dsort_bench" "$work/data" "$work/store" \
  --rounds 1 --memory-mib 64 --own-nodes | tee "$work/line"
grep -q 'samples 358400 ' "$work/line"
rss=$(sed -n 's/.*rss \([0-9]*\) MiB.*/\1/p' "$work/line")
echo "largest resident memory of a rank: $rss MiB (limit $limit_mib)"
[[ $rss -le $limit_mib ]]
