#!/bin/bash
# Process 1 of a world (world.sh starts it, in namespaces of its own): makes the nodes, runs the command, ends.
#   world_init.sh NODES COMMAND [ARGUMENT...]
# Gives the command: TARN_WORLD (/run/tarn), TARN_NODES (their names), TMPDIR, HOME, and Open MPI's choice of network.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
count=$1
shift
network=10.231.0

mount -t tmpfs -o mode=755 world /run
mount -t tmpfs -o mode=1777 shm /dev/shm
mkdir -p /run/tarn/{home,etc} /run/netns
mkdir -m 1777 /run/scratch
hostname head

names=()
for ((i = 1; i <= count; ++i)); do names+=("n$i"); done
{
  echo "127.0.0.1 localhost"
  echo "$network.254 head"
  for ((i = 1; i <= count; ++i)); do echo "$network.$i n$i"; done
} >/run/tarn/etc/hosts
mount --bind /run/tarn/etc/hosts /etc/hosts

ip link set lo up
ip link add nodes type bridge
ip addr add "$network.254/24" dev nodes
ip link set nodes up

# Each node says its name into the pipe when it is there.
mkfifo /run/tarn/up
exec {up}<>/run/tarn/up
for ((i = 1; i <= count; ++i)); do
  node=n$i
  mkdir -p "/run/tarn/nodes/$node"
  ip netns add "$node"
  ip link add "$node" type veth peer name eth0 netns "$node"
  ip link set "$node" master nodes up
  ip -n "$node" link set lo up
  ip -n "$node" addr add "$network.$i/24" dev eth0
  ip -n "$node" link set eth0 up
  nsenter --net="/run/netns/$node" unshare --mount --uts --ipc --pid --fork --mount-proc --kill-child \
    "$here/node_init.sh" "$node" </dev/null &
  echo $! >"/run/tarn/nodes/$node/unshare.pid"
done
for ((i = 1; i <= count; ++i)); do
  read -r -t 20 -u "$up" node || { echo "world_init.sh: only $((i - 1)) of $count nodes came up" >&2; exit 70; }
  read -r parent <"/run/tarn/nodes/$node/unshare.pid"
  read -r -d " " child <"/proc/$parent/task/$parent/children"
  echo "$child" >"/run/tarn/nodes/$node/pid"
done
exec {up}>&-

unset "${!SLURM_@}" "${!SBATCH_@}" "${!PMI_@}" "${!PMIX_@}"  # of a job that all this may run in
export TARN_WORLD=/run/tarn TARN_NODES="${names[*]}" TMPDIR=/run/scratch HOME=/run/tarn/home
# The nodes' network is the only one; orted's and the ranks' messages both go over it.
export OMPI_MCA_oob_tcp_if_include=$network.0/24 OMPI_MCA_btl_tcp_if_include=$network.0/24
"$@"
