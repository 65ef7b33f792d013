#!/bin/bash
# job_kill.sh PROGRAM [ROUNDS [SEED]] - kills one rank of a running job with SIGKILL, again and again on the same disks;
# each next job must find everything that an earlier one was told is there.
set -euo pipefail
program=$1
rounds=${2:-20}
seed=${3:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((seed % 32768))
ranks=3
mpirun=$(dirname "$0")/../mpi/mpirun.sh
echo "job_kill: seed $seed, $rounds rounds, $ranks ranks"
directory=$(mktemp -d "${TARN_TEST_TMPDIR:-/tmp}/tarn-job-kill-XXXXXX")
job=
cleanup() {
  if [[ -n $job ]]; then kill "$job" 2>/dev/null || true; wait "$job" 2>/dev/null || true; fi
  rm -rf "$directory"
}
trap cleanup EXIT
export TARN_LOG=error TARN_TEST_TIMEOUT_S=60

running_ranks() { find "$directory" -name 'pid-*' | wc -l; }
acknowledged() { { cat "$directory"/log-* 2>/dev/null || true; } | wc -l; }
# The ranks that mpirun ends after the killed one may outlive mpirun by a moment; their disks are locked as long.
wait_for_free_disks() {
  local lock deadline=$((SECONDS + 20))
  for lock in "$directory"/disk-*/lock; do
    until [[ ! -e $lock ]] || flock --nonblock "$lock" true || ((SECONDS > deadline)); do sleep 0.01; done
  done
}

for ((round = 1; round <= rounds; round++)); do
  rm -f "$directory"/pid-*
  before=$(acknowledged)
  wanted=$((before + 1 + RANDOM % 400))
  wait_for_free_disks
  "$mpirun" $ranks "$program" "$directory" >"$directory/out" 2>&1 &
  job=$!
  deadline=$((SECONDS + 50))
  while [[ $(running_ranks) -lt $ranks || $(acknowledged) -lt $wanted ]]; do
    if ! kill -0 "$job" 2>/dev/null || ((SECONDS > deadline)); then
      echo "round $round: the job ended by itself or does not come on:"; cat "$directory/out"; exit 1
    fi
    sleep 0.01 # the condition is polled, with a deadline
  done
  victim=$((RANDOM % ranks))
  kill -KILL "$(cat "$directory/pid-$victim")"
  wait "$job" 2>/dev/null && { echo "round $round: the job ended with 0"; exit 1; }
  job=
  if grep -q LOST "$directory/out"; then cat "$directory/out"; exit 1; fi
done
wait_for_free_disks
"$mpirun" $ranks "$program" "$directory" --check >"$directory/out" 2>&1 || { cat "$directory/out"; exit 1; }
echo "job_kill: $(acknowledged) acknowledgements, none lost"
