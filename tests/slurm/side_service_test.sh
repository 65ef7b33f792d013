#!/bin/bash
# slurm/side_service.sbatch on a real cluster, with srun and with mpirun, at odd numbers of ranks: the store beside the application.
#   side_service_test.sh BUILD_DIR
set -euo pipefail
# shellcheck source=tests/slurm/jobs.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs.sh"
script=$root/slurm/side_service.sbatch
client=$here/http_client.sh

LAUNCH=srun submit 0 "5 objects compared" -N 3 -n 5 "$script" "$client" "$TARN" 3 5
LAUNCH=mpirun submit 0 "5 objects compared" -N 3 -n 5 "$script" "$client" "$TARN" 3 5
settle
# The code is the application's, and the store ends all the same.
LAUNCH=srun submit 9 "" -N 1 -n 1 "$script" bash -c 'exit 9'
LAUNCH=mpirun submit 9 "" -N 1 -n 2 "$script" bash -c 'exit 9'
# A store that cannot start ends the job at once, with its own code; nobody waits for the ready file.
LAUNCH=srun BIND=nowhere0 submit 2 "the store ended before it was ready" -N 2 -n 2 "$script" "$client" "$TARN" 2 2
LAUNCH=mpirun BIND=nowhere0 submit 2 "the store ended before it was ready" -N 2 -n 2 "$script" "$client" "$TARN" 2 2
settle
expect_nothing_left
