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

# A store that hangs in its start ends by force, and the job with it, soon.
stuck=$(mktemp -d "$TARN_WORLD/stuck-XXXXXX")
printf '#!/bin/bash\ntrap "" USR1 TERM\nsleep 1000 & wait\n' >"$stuck/tarn"
chmod +x "$stuck/tarn"
for launch in srun mpirun; do
  LAUNCH=$launch TARN=$stuck/tarn READY_TIMEOUT=3 STOP_TIMEOUT=2 submit 75 "the store was not ready within 3 s" -N 2 -n 2 "$script" true
done
be_faster n4 "mkdir {dir} && chown nobody {dir}"
submit 77 "on n4 cannot be a directory of this user alone" -w n4 -N 1 -n 1 "$script" "$client" "$TARN" 1 1
settle
expect_untouched n4 nobody:755
rm -rf "$stuck"
expect_nothing_left
