#!/bin/bash
# Runs an MPI program as tests do: as root too, with more ranks than cores, within a time limit.
#   mpi_run.sh RANKS PROGRAM [ARGUMENT...]
# "{dir}" in an argument becomes a directory of this run, which is removed at its end.
# Environment: TARN_TEST_TIMEOUT seconds (default 300), TARN_TEST_TMPDIR (default /tmp).
set -euo pipefail

ranks=${1:?usage: mpi_run.sh RANKS PROGRAM [ARGUMENT...]}
shift
support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
directory=$(mktemp -d "${TARN_TEST_TMPDIR:-/tmp}/tarn-mpi-XXXXXX")
trap 'rm -rf "$directory"' EXIT
timeout --kill-after=10 "${TARN_TEST_TIMEOUT:-300}" "$support/mpiexec.sh" -n "$ranks" "${@//\{dir\}/$directory}"
