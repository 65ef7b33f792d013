#!/bin/bash
# Ranks on nodes of their own, without Slurm: MPI between them goes over TCP, as mpirun with ssh would have it.
#   nodes_test.sh NODES RANKS MPI_TESTS [FILTER]        (ranks are given to the nodes in turn)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ -z ${TARN_WORLD:-} ]]; then  # outside: the same again in a world
  # shellcheck source=tests/support/environment.sh
  . "$here/../support/environment.sh"
  exec "$here/world.sh" -n "${1:?usage: nodes_test.sh NODES RANKS MPI_TESTS [FILTER...]}" "${BASH_SOURCE[0]}" "$@"
fi

nodes=$1 ranks=$2 program=$3
shift 3
hosts=${TARN_NODES// /:$ranks,}:$ranks
export TARN_TEST_NODES=real TARN_TEST_NODE_COUNT=$((nodes < ranks ? nodes : ranks)) TARN_TEST_TMPDIR=$TARN_WORLD/home

# on_node.sh in place of ssh. Daemons start each other where there are many; only the head node can enter the others.
on_nodes() {
  timeout -k 10 "${TARN_TEST_TIMEOUT_S:-200}" mpirun --mca plm rsh --mca plm_rsh_agent "$here/on_node.sh" --mca plm_rsh_no_tree_spawn 1 \
    --mca btl self,tcp --oversubscribe --host "$hosts" --map-by node -n "$ranks" "$program" --warn NoTests "$@"
}
on_nodes "[.namespaces]"  # first: are these nodes what they should be?
[[ $# -eq 0 ]] || on_nodes "$@"
