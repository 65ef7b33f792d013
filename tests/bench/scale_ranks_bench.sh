#!/bin/bash
# What open() and close() take at 1, 2, 4, ... ranks on this machine, and what placement takes at 10,000 disks (docs/SCALING.md).
#   scale_ranks_bench.sh BUILD_DIR [RANKS...]     default: 1 2 4 8 16 32 64
# Times of more ranks than cores are those of the scheduler: they say that nothing grows faster than the ranks, not how long it takes on a cluster.
# Messages do not depend on that: Open MPI counts those it really sends, also inside of collectives (its component pml/monitoring); a
# run that opens no store is taken off. "peers": the most ranks that one rank sends to, which is how many connections it needs.
set -euo pipefail

build=${1:?usage: scale_ranks_bench.sh BUILD_DIR [RANKS...]}
shift
[[ $# -gt 0 ]] || set -- 1 2 4 8 16 32 64
# shellcheck source=tests/support/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/environment.sh"
work=$(mktemp -d "${TARN_TEST_TMPDIR:-/dev/shm}/tarn-scale-XXXXXX")
trap 'rm -rf "$work"' EXIT

# run RANKS ROUNDS: prints what scale_ranks says; leaves what each rank has sent in $work/sent.RANK.prof.
run() {
  rm -rf "$work"/sent.* "$work"/rank-*
  timeout -k 10 300 mpirun --oversubscribe -n "$1" --mca pml_monitoring_enable 1 --mca pml_monitoring_enable_output 3 \
    --mca pml_monitoring_filename "$work/sent" "$build/tests/bench/scale_ranks" "$work" "$2"
}

# sent: bytes and messages of the rank that sends most, and of all; the most peers of one. Of lines "E FROM TO N bytes N msgs sent ...".
sent() {
  cat "$work"/sent.*.prof 2>/dev/null | awk -F'\t' '
    $1 == "E" { split($4, b, " "); split($5, m, " "); bytes[$2] += b[1]; msgs[$2] += m[1]; if (m[1] > 0 && $2 != $3) ++peers[$2] }
    END { for (r in msgs) { if (msgs[r] > most) most = msgs[r]; if (bytes[r] > largest) largest = bytes[r]; if (peers[r] > p) p = peers[r]; all += msgs[r] }
          print most + 0, largest + 0, p + 0, all + 0 }'
}

echo "| ranks | first open | open again | close | MB of rank 0 | messages of a rank | KB of a rank | peers | messages of all |"
for ranks in "$@"; do
  run "$ranks" 0
  read -r base_messages base_bytes _ base_all < <(sent)
  # Opens and closes three times for the times, once for the counts.
  read -r _ first later closed memory < <(run "$ranks" 3)
  run "$ranks" 1 >/dev/null
  read -r messages bytes peers all < <(sent)
  awk -v r="$ranks" -v f="$first" -v l="$later" -v c="$closed" -v mb="$memory" -v m=$((messages - base_messages)) -v b=$((bytes - base_bytes)) -v p="$peers" \
    -v a=$((all - base_all)) 'BEGIN { printf "| %5d | %8.3f s | %8.3f s | %5.3f s | %6.1f | %6d | %8.1f | %5d | %7d |\n", r, f, l, c, mb, m, b / 1000, p, a }'
done
[[ ${TARN_SCALE_PLACEMENT:-yes} == no ]] || "$build/tests/bench/placement_scale"
