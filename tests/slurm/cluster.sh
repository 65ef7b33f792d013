#!/bin/bash
# Runs a command on a real Slurm cluster: munged and slurmctld on the head node of a world, a slurmd on each node.
#   world.sh [-n NODES] cluster.sh COMMAND [ARGUMENT...]
# Nodes have CPUS CPUs (default 4) and two GPUs that exist on paper, partition "main" holds all of them. SLURM_CONF and
# MUNGE's socket are set for the command. Exit code: the command's. The world's end ends the daemons and all jobs; when
# the command failed, the ends of their logs are shown.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
: "${TARN_WORLD:?cluster.sh runs in a world: world.sh cluster.sh COMMAND...}"
for tool in munged slurmctld slurmd sinfo; do
  command -v $tool >/dev/null || { echo "cluster.sh: $tool is missing: tests/install-deps.sh test" >&2; exit 69; }
done
read -ra nodes <<<"$TARN_NODES"
dir=$TARN_WORLD/slurm
mkdir -p "$dir"/{munge,state,log,run,dev,spool}
export SLURM_CONF=$dir/slurm.conf

# The node's local disk is $TMPDIR of each task and batch script, as sites do it; "nothing there" is what GPUs are made of.
printf '#!/bin/sh\necho "export TMPDIR=/run/scratch"\n' >"$dir/task_prolog"
chmod +x "$dir/task_prolog"
ln -s /dev/null "$dir/dev/nvidia0"
ln -s /dev/null "$dir/dev/nvidia1"
echo "Name=gpu File=$dir/dev/nvidia[0-1]" >"$dir/gres.conf"

# Without systemd, cgroups and a database; everything as root; quick to notice, to schedule and to requeue.
{
  cat <<CONF
ClusterName=tarn
SlurmctldHost=head(10.231.0.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=10
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$dir/task_prolog
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
TmpFS=/run/scratch
GresTypes=gpu
KillWait=3
MessageTimeout=10
TCPTimeout=2
ReturnToService=2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
  for node in "${nodes[@]}"; do echo "NodeName=$node NodeAddr=$node CPUs=${CPUS:-4} Gres=gpu:2 State=UNKNOWN"; done
} >"$SLURM_CONF"

( umask 077 && head -c 128 /dev/urandom >"$dir/munge/key" )
munged --socket="$dir/munge/socket" --key-file="$dir/munge/key" --seed-file="$dir/munge/seed" --pid-file="$dir/run/munged.pid" \
  --log-file="$dir/log/munged.log" --num-threads=2 </dev/null >>"$dir/log/munged.log" 2>&1 ||
  { cat "$dir/log/munged.log" >&2; echo "cluster.sh: munged did not start" >&2; exit 70; }
# Without the descriptors of the test that waits for us: a daemon that held its output open would keep the test waiting.
slurmctld </dev/null >>"$dir/log/slurmctld.log" 2>&1
for node in "${nodes[@]}"; do
  "$here/on_node.sh" "$node" slurmd -N "$node" </dev/null >>"$dir/log/slurmd.$node.log" 2>&1 &
done

show_logs() { tail -n "$1" "$dir"/log/*.log >&2; }
deadline=$((SECONDS + 30))
until [[ $(timeout 5 sinfo -h -N -r -t idle -o %t 2>/dev/null | grep -cx idle) -eq ${#nodes[@]} ]]; do
  if [[ $SECONDS -ge $deadline ]]; then
    timeout 5 sinfo -N -l >&2 || true
    show_logs 20
    echo "cluster.sh: not all of ${#nodes[@]} nodes were idle within 30 s" >&2
    exit 70
  fi
  sleep 0.05
done

outcome=0
"$@" || outcome=$?
[[ $outcome -eq 0 || $outcome -eq 77 ]] || show_logs 8
exit $outcome
