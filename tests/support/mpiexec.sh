#!/bin/bash
# mpiexec.sh [ARGUMENT of mpiexec...] - the launcher that tests use, in their environment; it takes this process's place.
# Environment: TARN_MPIEXEC, "mpiexec.mpich" where Tarn is built with MPICH (default: Open MPI's mpirun).
set -euo pipefail
# shellcheck source=tests/support/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
read -ra mpiexec <<<"${TARN_MPIEXEC:-mpirun --oversubscribe}"
exec "${mpiexec[@]}" "$@"
