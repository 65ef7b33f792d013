#!/bin/bash
# Runs a command on a small cluster that exists for it alone: a head node and some compute nodes, all on this machine.
#   world.sh [-n NODES] COMMAND [ARGUMENT...]            (4 nodes: n1 ... n4; the command runs on the head node, "head")
# Each node has a network, host name, process ids, /dev/shm and local disk (/run/scratch) of its own; /run/tarn is common
# to all. on_node.sh runs something on a node. Exit code: the command's; 77: this machine does not allow it.
#
#   unshare ----- world_init.sh (process 1, "head")      /run: a tmpfs of the world's
#                   |-- COMMAND                          bridge 10.231.0.254
#                   |-- unshare -- node_init.sh (n1)     eth0 10.231.0.1
#                   `-- unshare -- node_init.sh (n2)     eth0 10.231.0.2 ...
#
# However it ends, kill -9 of this script included, process 1 of the world dies with it, hence every process, mount and
# network in it: nothing is left on the machine, and nothing of it was ever reachable from outside.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin

nodes=4
if [[ ${1:-} == -n ]]; then
  nodes=${2:?world.sh: -n needs a number}
  shift 2
fi
if [[ $# -eq 0 || ! $nodes =~ ^[1-9][0-9]?$ ]]; then
  sed -n '2,3s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 64
fi

skip() {
  echo "SKIPPED: nodes of their own on one machine need $1"
  exit 77
}
[[ $(id -u) -eq 0 ]] || skip "root"
for tool in unshare nsenter setpriv ip; do
  command -v $tool >/dev/null || { echo "world.sh: $tool is missing: tests/install-deps.sh test" >&2; exit 69; }
done
spaces=(--mount --uts --ipc --pid --fork --mount-proc --kill-child)
refusal=$(unshare "${spaces[@]}" --net sh -c 'mount -t tmpfs probe /run && mkdir /run/netns && hostname probe &&
  ip link add probe type bridge && ip netns add probe && ip link add v type veth peer name w netns probe' 2>&1) ||
  skip "namespaces, a bridge and tmpfs, and this machine refuses: ${refusal:-unshare failed without a word}"

# setpriv: the world ends with this script, whatever ends it. (A signal to `unshare --fork` itself would do nothing.)
# env: what a script puts into the background ignores ^C, and what it starts would as well.
setpriv --pdeathsig KILL env --default-signal=INT,QUIT unshare "${spaces[@]}" --net "$here/world_init.sh" "$nodes" "$@" <&0 &
world=$!
# shellcheck disable=SC2317  # called by the traps
stop() {
  kill -KILL "$world" 2>/dev/null || true
  exit "$1"
}
trap 'stop 143' TERM
trap 'stop 130' INT
trap 'stop 129' HUP
outcome=0
wait "$world" || outcome=$?
exit "$outcome"
