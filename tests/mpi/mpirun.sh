#!/bin/sh
# mpirun.sh RANKS PROGRAM [ARGUMENT...] - mpirun on a machine with fewer cores than ranks, maybe as root, in a container.
set -eu
ranks=$1
shift
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
# Open MPI's session directory has a path of limited length, and one per job avoids surprises between tests.
exec timeout -k 10 "${TARN_TEST_TIMEOUT_S:-380}" mpirun --oversubscribe -n "$ranks" "$@"
