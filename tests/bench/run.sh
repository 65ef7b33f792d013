#!/bin/bash
# Builds the release preset with its benchmarks and runs all of them; prints what docs/PERFORMANCE.md holds.
#   tests/bench/run.sh [--no-install] [--build-dir DIR]
# Each benchmark compares with something in the same run and gives a ratio: absolute figures of a busy
# machine mean little. Takes minutes; nothing else should run meanwhile.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/support/environment.sh
. "$root/tests/support/environment.sh"

install=yes
build_dir=$root/build/release
while [[ $# -gt 0 ]]; do
  case $1 in
    --no-install) install=no ;;
    --build-dir) build_dir=${2:?--build-dir needs a directory}; shift ;;
    -h | --help) sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "run.sh: unknown option '$1' (--help lists them)" >&2; exit 64 ;;
  esac
  shift
done

[[ $install == no ]] || "$root/tests/install-deps.sh" build test bench
mkdir -p "$build_dir"
cmake -S "$root" --preset release -B "$build_dir" >"$build_dir/run.log" 2>&1 || { tail -n 30 "$build_dir/run.log" >&2; exit 1; }
cmake --build "$build_dir" --parallel "$(nproc)" >"$build_dir/run.log" 2>&1 || { tail -n 60 "$build_dir/run.log" >&2; exit 1; }

echo "machine: $(nproc) cores, $(uname -r), load before: $(cut -d' ' -f1-3 /proc/loadavg)"
failed=0
for bench in object_bench scrub_bench write_bench scale_bench; do
  echo "== $bench"
  "$build_dir/tests/bench/$bench" || failed=1
done
for bench in "$root"/tests/bench/*_bench.sh; do
  [[ -e $bench ]] || continue
  echo "== $(basename "$bench")"
  "$bench" "$build_dir" || failed=1
done
exit $failed
