#!/bin/bash
# slurm/embedded.sbatch on a real cluster, with srun and with mpirun, at odd numbers of ranks: the store in the application's ranks.
#   embedded_test.sh BUILD_DIR
set -euo pipefail
# shellcheck source=tests/slurm/jobs.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs.sh"
script=$root/slurm/embedded.sbatch
simulation=$build/examples/simulation

# The simulation compares each checkpoint that it reads with what it must be.
LAUNCH=srun submit 0 "dsort: 250 samples" -N 3 -n 5 "$script" "$simulation" "{dir}"
LAUNCH=mpirun submit 0 "dsort: 250 samples" -N 3 -n 5 "$script" "$simulation" "{dir}"
settle
LAUNCH=srun submit 0 "dsort: 50 samples" -N 1 -n 1 "$script" "$simulation" "{dir}"
# An application that fails, arguments with spaces, a launcher that does not exist.
LAUNCH=srun submit 7 "<a b><c>" -N 1 -n 1 "$script" bash -c 'printf "<%s>" "$@"; exit 7' bash "a b" c
LAUNCH=mpirun submit 7 "<a b><c>" -N 2 -n 3 "$script" bash -c 'printf "<%s>" "$@"; exit 7' bash "a b" c
# One rank that fails ends the others; Slurm counts the signal that they get, so one rank alone shows the code above.
# shellcheck disable=SC2016  # the ranks' variables
one_fails='[[ ${OMPI_COMM_WORLD_RANK:-$SLURM_PROCID} -ne 1 ]] || exit 7; sleep 1000'
LAUNCH=srun submit "143|137" "task 1: Exited with exit code 7" -N 2 -n 3 "$script" bash -c "$one_fails"
LAUNCH=mpirun submit 7 "" -N 2 -n 3 "$script" bash -c "$one_fails"
LAUNCH=mpiexec submit 64 "LAUNCH is srun or mpirun" -N 1 -n 1 "$script" "$simulation"
settle
expect_nothing_left

# What is kept is where the ranks ran: the disks of three nodes, one of each rank.
KEEP=yes submit 0 "dsort: 250 samples" -N 3 -n 5 "$script" "$simulation" "{dir}"
settle
disks=()
for node in $TARN_NODES; do
  mapfile -t -O ${#disks[@]} disks < <("$here/on_node.sh" "$node" "find /run/scratch -name 'rank-*' -printf '$node/%f\n'; rm -rf /run/scratch/*-tarn-*")
done
[[ ${#disks[@]} -eq 5 && $(printf '%s\n' "${disks[@]%/*}" | sort -u | wc -l) -eq 3 ]] || fail "not five disks on three nodes: ${disks[*]}"
expect_nothing_left

# A directory of another user, a link: refused; nothing is written there, and the other node has nothing left.
be_faster n2 'mkdir -m 777 {dir} && chown nobody {dir}'
submit 77 "on n2 cannot be a directory of this user alone (File exists)" -w n1,n2 -N 2 -n 2 "$script" "$simulation" "{dir}"
settle
expect_untouched n2 nobody:777
be_faster n2 'mkdir /run/scratch/elsewhere && ln -s /run/scratch/elsewhere {dir}'
submit 77 "on n2 cannot be a directory of this user alone (File exists)" -w n1,n2 -N 2 -n 2 "$script" "$simulation" "{dir}"
settle
expect_untouched n2 root:777
# One's own, of a job that was requeued, is taken; nobody else sees into it.
be_faster n2 'mkdir -m 755 {dir}'
# shellcheck disable=SC2016  # the ranks' variables
submit 0 "mode 700 on n2" -w n1,n2 -N 2 -n 2 "$script" bash -c 'echo "mode $(stat -c %a "$TARN_DIR") on $(hostname)"'
settle
expect_nothing_left
