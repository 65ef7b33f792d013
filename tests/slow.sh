#!/bin/bash
# What takes too long for every change: the suite again and again, a rank that computes for long, a large object, millions of objects, four file systems,
# ThreadSanitizer, clang 14, MPICH, clang-tidy on all sources.
#   tests/slow.sh [--no-install] [--repeat N] [--soak-mib N] [--build-dir DIR]
# --repeat: how often the suite must pass (default 5). --soak-mib: size of the large object (default 20480; it needs as much room
# below TMPDIR). Takes an hour or more.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/support/environment.sh
. "$root/tests/support/environment.sh"

install=yes
repeat=5
soak_mib=20480
build_dir=$root/build
while [[ $# -gt 0 ]]; do
  case $1 in
    --no-install) install=no ;;
    --repeat) repeat=${2:?--repeat needs a number}; shift ;;
    --soak-mib) soak_mib=${2:?--soak-mib needs a number}; shift ;;
    --build-dir) build_dir=${2:?--build-dir needs a directory}; shift ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "slow.sh: unknown option '$1' (--help lists them)" >&2; exit 64 ;;
  esac
  shift
done
mkdir -p "$build_dir"
build_dir=$(cd "$build_dir" && pwd)
[[ $install == no ]] || "$root/tests/install-deps.sh" build test lint compat filesystems
cd "$root"

echo "== the suite, $repeat times"
tests/run.sh --no-install --quick --build-dir "$build_dir" -- --repeat "until-fail:$repeat"

echo "== a rank that computes for ten seconds"
for nodes in real ranks; do
  TARN_TEST_NODES=$nodes TARN_TEST_COMPUTE_SECONDS=10 tests/mpi/mpirun.sh 3 "$build_dir/dev/tests/mpi/mpi_tests" 'Service: a rank that computes*'
done

echo "== an object of $soak_mib MiB"
"$build_dir/dev/tests/soak/soak_object" --mib "$soak_mib" --dir "${TMPDIR:-/tmp}" || [[ $? -eq 77 ]]

echo "== two million objects, with their limits"
cmake --preset release -B "$build_dir/release" >"$build_dir/release.log" 2>&1 || { tail -n 30 "$build_dir/release.log" >&2; exit 1; }
cmake --build "$build_dir/release" --parallel "$(nproc)" --target scale_bench >"$build_dir/release.log" 2>&1 || { tail -n 60 "$build_dir/release.log" >&2; exit 1; }
"$build_dir/release/tests/bench/scale_bench" --dir "${TMPDIR:-/tmp}" --check

echo "== a dsort of 4 GiB in 64 MiB of memory"
cmake --build "$build_dir/release" --parallel "$(nproc)" --target dsort_data dsort_bench >"$build_dir/release.log" 2>&1 || { tail -n 60 "$build_dir/release.log" >&2; exit 1; }
tests/soak/dsort_memory.sh "$build_dir/release"

echo "== a volume, each byte of it damaged in turn"
TARN_FUZZ_FULL=1 TARN_LOG=off "$build_dir/dev/tests/fuzz/fuzz_volume"

echo "== file systems"
tests/filesystems.sh --no-install --no-build --build-dir "$build_dir" || [[ $? -eq 77 ]]

echo "== ThreadSanitizer: everything that needs no MPI"
cmake --preset tsan -B "$build_dir/tsan" >"$build_dir/tsan.log" 2>&1 || { tail -n 30 "$build_dir/tsan.log" >&2; exit 1; }
cmake --build "$build_dir/tsan" --parallel "$(nproc)" >"$build_dir/tsan.log" 2>&1 || { tail -n 60 "$build_dir/tsan.log" >&2; exit 1; }
ctest --test-dir "$build_dir/tsan" --output-on-failure --no-tests=error --label-regex 'unit|http' --timeout 1800

build_preset_with() { # DIRECTORY [OPTION of cmake...]
  local directory=$build_dir/$1
  shift
  cmake --preset dev -B "$directory" "$@" >"$directory.log" 2>&1 || { tail -n 30 "$directory.log" >&2; exit 1; }
  cmake --build "$directory" --parallel "$(nproc)" >"$directory.log" 2>&1 || { tail -n 60 "$directory.log" >&2; exit 1; }
}
echo "== clang 14"
build_preset_with clang -DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14
ctest --test-dir "$build_dir/clang" --output-on-failure --no-tests=error --label-regex 'unit|http'

echo "== MPICH"
tests/run.sh --no-install --mpich-only --build-dir "$build_dir"
TARN_MPIEXEC=mpiexec.mpich ctest --test-dir "$build_dir/mpich" --output-on-failure --no-tests=error --tests-regex '^mpi_(node_[134]|remote_4|funneled_4|serialized_3)$'

echo "== clang-tidy"
tests/tidy/clang_tidy.sh "$build_dir/dev"
echo "PASSED: the slow tests"
