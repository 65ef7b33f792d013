#!/bin/bash
# slurm/mpmd.sbatch on a real cluster, with srun and with mpirun, at odd numbers of ranks: storage and compute ranks in one job.
#   mpmd_test.sh BUILD_DIR
set -euo pipefail
# shellcheck source=tests/slurm/jobs.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs.sh"
script=$root/slurm/mpmd.sbatch
simulation=$build/examples/mpmd_simulation

# The simulation compares each checkpoint that it reads with what it must be. Two storage ranks, then one for each node.
LAUNCH=srun STORAGE=2 submit 0 "step 30: total" -N 3 -n 7 "$script" "$simulation"
LAUNCH=mpirun STORAGE=2 submit 0 "step 30: total" -N 3 -n 7 "$script" "$simulation"
settle
LAUNCH=srun submit 0 "step 30: total" -N 1 -n 2 "$script" "$simulation"
LAUNCH=srun STORAGE=3 submit 64 "3 tasks cannot be 3 storage ranks" -N 1 -n 3 "$script" "$simulation"
settle
expect_nothing_left

# Scripts in a directory that another user has made would be run: refused, for both directories.
be_faster n1 "mkdir {dir} && chown nobody {dir}"
submit 77 "on n1 cannot be a directory of this user alone" -w n1 -N 1 -n 2 "$script" "$simulation"
settle
expect_untouched n1 nobody:755
taken=tarn-$(next_job)
mkdir "$taken" && chown nobody "$taken"
submit 77 "/$taken on n1 cannot be a directory of this user alone" -w n1 -N 1 -n 2 "$script" "$simulation"
settle
rmdir "$taken"  # and so it is still there, and empty
expect_nothing_left

# Storage ranks are on different nodes: what is kept is on three.
KEEP=yes LAUNCH=srun submit 0 "checkpoints of 2 ranks" -N 3 -n 5 "$script" "$simulation"
KEEP=yes LAUNCH=mpirun submit 0 "checkpoints of 2 ranks" -N 3 -n 5 "$script" "$simulation"
settle
disks=()
for node in $TARN_NODES; do
  mapfile -t -O ${#disks[@]} disks < <("$here/on_node.sh" "$node" "find /run/scratch -name 'rank-*' -printf '$node\n'; rm -rf /run/scratch/*-tarn-*")
done
[[ ${#disks[@]} -eq 6 && $(printf '%s\n' "${disks[@]}" | sort | uniq -c | grep -c ' 2 ') -eq 3 ]] || fail "not two disks on each of three nodes: ${disks[*]}"
expect_nothing_left
