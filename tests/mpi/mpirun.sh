#!/bin/sh
# mpirun.sh RANKS PROGRAM [ARGUMENT...] - a job on a machine with fewer cores than ranks, maybe as root, in a container, within a time limit.
set -eu
ranks=$1
shift
# Open MPI's session directory has a path of limited length, and one per job avoids surprises between tests.
exec timeout -k 10 "${TARN_TEST_TIMEOUT_S:-380}" "$(dirname "$0")/../support/mpiexec.sh" -n "$ranks" "$@"
