#!/bin/bash
# Runs a command line on a node, from the head node, as ssh would: words are joined and read by a shell. mpirun's launch agent.
#   on_node.sh NODE WORD...
set -euo pipefail
node=$1
shift
read -r pid <"/run/tarn/nodes/$node/pid"
exec nsenter --target "$pid" --mount --uts --ipc --net --pid --wd="$PWD" /bin/bash -c "$*"
