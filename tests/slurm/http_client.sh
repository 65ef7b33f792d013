#!/bin/bash
# What an application of the side service does, as small as it can be: each of its tasks puts an object by curl, waits for
# those of the others, and compares their bytes; then the same by the command `tarn`.
#   http_client.sh TARN NODES TASKS           ($TARN_ENDPOINT_FILE says where the store is)
set -euo pipefail
tarn=$1 nodes=$2 tasks=$3
# Under mpirun the variables of Slurm are those of mpirun's daemon.
task=${OMPI_COMM_WORLD_RANK:-$SLURM_PROCID}
mine=$(mktemp -d)
trap 'rm -rf "$mine"' EXIT

token=$(jq -r .token "$TARN_ENDPOINT_FILE")
url() { jq -r ".endpoints[$1 % (.endpoints | length)]" "$TARN_ENDPOINT_FILE"; }
request() { curl -sS -f -L --max-time 60 -H "Authorization: Bearer $token" "$@"; }
bytes_of() { head -c $((2000000 + 10007 * $1)) < <(yes "object of task $1" 2>/dev/null); }

# The store is one rank on each node, and can be reached from every one.
[[ $(jq -r '.endpoints[]' "$TARN_ENDPOINT_FILE" | sed -E 's|^http://(10\.231\.0\.[0-9]+):[0-9]+$|\1|' | sort -u | grep -c '^10\.') -eq $nodes ]]
[[ $("$tarn" status --json | jq .nodes) -eq $nodes ]]

request -o /dev/null -X PUT "$(url "$task")/side" 2>/dev/null || request -o /dev/null -I "$(url 0)/side"  # another task was faster
bytes_of "$task" >"$mine/object"
request -o /dev/null -T "$mine/object" "$(url "$task")/side/object-$task"
deadline=$((SECONDS + 60))
for ((other = 0; other < tasks; ++other)); do
  until request -o "$mine/read" "$(url $((task + other)))/side/object-$other" 2>/dev/null; do
    ((SECONDS < deadline)) || { echo "task $task: no object of task $other" >&2; exit 1; }
    sleep 0.1
  done
  bytes_of "$other" | cmp - "$mine/read"
done
"$tarn" put "$mine/object" "tarn://side/copies/$task"
"$tarn" cat "tarn://side/copies/$task" | cmp - "$mine/object"
echo "task $task on $(hostname): $tasks objects compared"
