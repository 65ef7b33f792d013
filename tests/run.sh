#!/bin/bash
# Installs what is missing, builds, and runs all tests: first an optimised build with assertions, then what speaks MPI
# once more with MPICH, then the same tests under AddressSanitizer and UndefinedBehaviorSanitizer.
#   tests/run.sh [options] [-- options of ctest]
#     --no-install       install no Debian package
#     --quick            the optimised build only, without MPICH and the sanitizers
#     --sanitize-only    the sanitizers only
#     --mpich-only       what speaks MPI, built with MPICH
#     --build-dir DIR    where to build (default: build, below the source)
#     --jobs N           compilers at a time (default: the number of cores)
# Exit code 0: every test passed. The last line says so and counts them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/support/environment.sh
. "$root/tests/support/environment.sh"

usage() { sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
fail_usage() {
  echo "run.sh: $1" >&2
  usage >&2
  exit 64
}

install=yes
presets=()
build_dir=$root/build
jobs=$(nproc)
ctest_options=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --no-install) install=no ;;
    --quick) presets=(dev) ;;
    --sanitize-only) presets=(asan-ubsan) ;;
    --mpich-only) presets=(mpich) ;;
    --build-dir) build_dir=${2:?--build-dir needs a directory}; shift ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift ;;
    -h | --help) usage; exit 0 ;;
    --) shift; ctest_options=("$@"); break ;;
    *) fail_usage "unknown option '$1'" ;;
  esac
  shift
done
if [[ ${#presets[@]} -eq 0 ]]; then
  presets=(dev mpich asan-ubsan)
  [[ ${#ctest_options[@]} -eq 0 ]] || presets=(dev asan-ubsan)  # MPICH's selection of tests is its own
fi
mkdir -p "$build_dir"
build_dir=$(cd "$build_dir" && pwd)

started=$SECONDS
groups=(build test)
[[ " ${presets[*]} " != *" mpich "* ]] || groups+=(mpich)
[[ $install == no ]] || "$root/tests/install-deps.sh" "${groups[@]}"
# Objects of one build directory serve the other: what does not include mpi.h is compiled once for both MPIs.
export CCACHE_NOHASHDIR=1

# Under sanitizers everything runs but what measures an idle rank, and fewer numbers of ranks.
not_sanitized='^(mpi_idle_.*|mpi_(node|remote|funneled|serialized)_[12458]|mpi_serialized_3|cli_(objects|dsort|dsort_archives|dsort_by_products|dsort_resume|serve|restart)_[14]|cli_scratch_3|slurm_.*|example_.*|quickstart)$'

# What MPICH may do otherwise than Open MPI: messages between ranks, collective calls, the launcher.
with_mpich='^(mpi_(remote_[13]|funneled_3)|cli_mpmd|example_side_service)$'
mpich_targets=(mpi_tests hold_disk tarn_tool mpmd_application mpmd_simulation)

# Runs the tests of one preset; its counts go to $summary, its outcome to $failed.
failed=0
summary=()
run_preset() {
  local preset=$1 directory=$build_dir/$1 log preset_started=$SECONDS targets=(all)
  log=$directory/run.log
  mkdir -p "$directory"
  echo "== $preset: configure and build in $directory"
  (cd "$root" && cmake --preset "$preset" -B "$directory" >"$log" 2>&1) || { tail -n 40 "$log" >&2; return 1; }
  [[ $preset != mpich ]] || targets=("${mpich_targets[@]}")
  cmake --build "$directory" --parallel "$jobs" --target "${targets[@]}" >"$log" 2>&1 || { tail -n 80 "$log" >&2; return 1; }
  echo "== $preset: tests"
  # Two at a time; those of many ranks say that they take both cores (PROCESSORS), those that measure run alone.
  local outcome=0 selection=() mpiexec='' tests_started=$SECONDS
  case $preset in
    asan-ubsan) selection=(-E "$not_sanitized") ;;
    mpich) selection=(-R "$with_mpich") mpiexec=mpiexec.mpich ;;
  esac
  TARN_MPIEXEC=$mpiexec ctest --test-dir "$directory" --parallel 2 --output-on-failure --no-tests=error --timeout 900 "${selection[@]}" "${ctest_options[@]}" | tee "$directory/tests.log" || outcome=1
  summary+=("$preset: $(sed -n 's/^\([0-9]*% tests passed.*\)$/\1/p' "$directory/tests.log" | tail -n 1); built in $((tests_started - preset_started)) s, tested in $((SECONDS - tests_started)) s")
  return $outcome
}

for preset in "${presets[@]}"; do
  run_preset "$preset" || failed=1
done

for line in "${summary[@]}"; do echo "$line"; done
if [[ $failed -ne 0 ]]; then
  echo "FAILED after $((SECONDS - started)) s: see above; logs are in $build_dir"
  exit 1
fi
echo "PASSED: all tests in $((SECONDS - started)) s"
