# jobs.sh - for tests of batch scripts on a real cluster; to be sourced, by bash, first thing in a test SCRIPT_test.sh BUILD_DIR.
# Outside of a cluster it makes one and runs the test in it. Jobs must end with the right code, say what they should, and
# leave nothing: no job, no process, no file.
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$(cd "${1:?the build directory is the first argument}" && pwd)
if [[ -z ${TARN_WORLD:-} ]]; then
  # shellcheck source=tests/support/environment.sh
  . "$root/tests/support/environment.sh"
  exec "$here/world.sh" -n 4 "$here/cluster.sh" "$here/$(basename "$0")" "$build"
fi

export TARN=$build/bin/tarn
cd "$HOME" || exit 1

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# submit CODE TEXT OPTION... : a job that is to end with that code (a regular expression) and to say that text. The last words are
# sbatch's.
jobs=()
separator=$'\x1f'
submit() {
  local code=$1 text=$2 id
  shift 2
  id=$(sbatch --parsable --output=%j.out "$@") || fail "sbatch $*"
  jobs+=("$id$separator$code$separator$text$separator$*")
}

# The number that the next job gets; nobody else uses this cluster.
next_job() { scontrol show config | sed -n 's/^NEXT_JOB_ID *= *//p'; }

# As if another user had been faster: a command line on a node, "{dir}" being the directory that the next job wants to make there.
be_faster() {
  "$here/on_node.sh" "$1" "dir=/run/scratch/root-tarn-$(next_job); ${2//\{dir\}/\$dir}"
}
# What another user owns is as it was, and goes away now.
expect_untouched() {
  "$here/on_node.sh" "$1" "cd /run/scratch && [[ \$(stat -c %U:%a root-tarn-*) == $2 && -z \$(ls -A root-tarn-*/) ]] && rm -rf root-tarn-*" || fail "$1: not $2 any more"
}

job_field() { scontrol show job "$1" | sed -n "s/.* $2=\([^ ]*\).*/\1/p" | head -n 1; }

# All jobs that were submitted have ended as they should.
settle() {
  local job id code text what deadline=$((SECONDS + 120)) bad=0
  for job in "${jobs[@]}"; do
    IFS=$separator read -r id code text what <<<"$job"
    until [[ -z $(squeue -h -j "$id" -o %i) ]]; do
      if ((SECONDS >= deadline)); then
        cat "$id.out"
        squeue
        fail "job $id has not ended within 120 s: $what"
      fi
      sleep 0.1
    done
    if [[ ! $(job_field "$id" ExitCode) =~ ^($code):0$ ]] || ! grep -qF -- "$text" "$id.out"; then
      echo "--- job $id: exit code $(job_field "$id" ExitCode) instead of $code, or did not say '$text': $what"
      cat "$id.out"
      bad=1
    else
      echo "job $id: exit code $(job_field "$id" ExitCode), $(job_field "$id" RunTime), $SECONDS s: ${what/$root\//}"
    fi
  done
  jobs=()
  [[ $bad -eq 0 ]] || fail "see above"
}

# Nothing is left of the jobs on the head node or on any other.
expect_nothing_left() {
  local node left deadline
  left=$(squeue -h)
  [[ -z $left ]] || fail "jobs in the queue: $left"
  left=$(find "$HOME" -mindepth 1 -maxdepth 1 ! -name '*.out')
  [[ -z $left ]] || fail "left in the directory of the jobs: $left"
  for node in $TARN_NODES; do  # slurmd ends its helpers soon after the job
    deadline=$((SECONDS + 10))
    while :; do
      left=$("$here/on_node.sh" "$node" "find /run/scratch -mindepth 1 -name '*-tarn-*'; ps -eo comm= | grep -xE 'tarn|simulation|mpmd.*|orted|mpirun|slurmstepd' || true")
      [[ -n $left ]] || break
      ((SECONDS < deadline)) || fail "left on $node: $left"
      sleep 0.1
    done
  done
}
