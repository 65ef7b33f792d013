#!/bin/bash
# Process 1 of a node: gives it a host name, a /dev/shm and a local disk, and stays, since the node lives as long as it does.
#   node_init.sh NAME            (world_init.sh starts it, in the node's namespaces)
set -euo pipefail
hostname "$1"
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 scratch /run/scratch
echo "$1" >/run/tarn/up
# Orphans of this node come to process 1; bash collects those that have ended.
sleep infinity &
while :; do wait || true; done
