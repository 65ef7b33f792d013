#!/bin/bash
# A store beside everything else: `tarn serve` in a job step of its own, clients in any language by HTTP.
#   examples/side_service.sh [DIRECTORY [RANKS]]      (DIRECTORY/rank-N becomes the disk of rank N; default: a new one, removed at the end)
# Environment: TARN, the program (default: tarn); LAUNCH, what starts ranks (default: mpirun). Needs curl and python3.
# Exit code 0 when every byte came back as it went in. The store ends with the script.
set -euo pipefail

tarn=${TARN:-tarn}
read -ra launch <<<"${LAUNCH:-mpirun}"
ranks=${2:-2}
work=$(mktemp -d "${TMPDIR:-/tmp}/tarn-side-XXXXXX")
disks=${1:-$work}
store_pid=

# USR1 is the signal that Open MPI's mpirun hands to its ranks and then waits for them. A store that hangs in its start does not
# listen to it; then TERM, by which mpirun kills its ranks, and at last KILL.
stop_store() {
  [[ -n $store_pid ]] || return 0
  local signal i
  for signal in USR1 TERM KILL; do
    kill -s "$signal" "$store_pid" 2>/dev/null || break
    for ((i = 0; i < 300; ++i)); do
      kill -0 "$store_pid" 2>/dev/null || break 2
      sleep 0.1
    done
  done
  wait "$store_pid" || true
  store_pid=
}
trap 'stop_store; rm -rf "$work"' EXIT

# 1. Start, and wait for the ready file: it appears when every rank serves.
"${launch[@]}" -n "$ranks" "$tarn" serve --dir "$disks/rank-{rank}" --endpoint-file "$work/endpoint.json" --ready-file "$work/ready" >"$work/log" 2>&1 &
store_pid=$!
for ((i = 0; i < 600; ++i)); do
  [[ ! -e $work/ready ]] || break
  kill -0 "$store_pid" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done
[[ -e $work/ready ]] || { echo "the store was not ready in time" >&2; exit 1; }

# 2. A client in Python, with nothing but its standard library: any rank takes any request, and sends it where the object is.
python3 - "$work/endpoint.json" "$work/url" "$work/curl.conf" <<'PYTHON'
import json, sys, urllib.request

endpoint = json.load(open(sys.argv[1]))
url, token = endpoint["endpoints"][0], endpoint["token"]

def request(method, path, body=None):
    headers = {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(url + path, body, headers, method=method)) as answer:
        return answer.read()

request("PUT", "/results")
for i in range(10):
    request("PUT", f"/results/run-{i}.json", json.dumps({"run": i, "loss": 1 / (i + 1)}).encode())
best = min((json.loads(request("GET", f"/results/run-{i}.json")) for i in range(10)), key=lambda run: run["loss"])
print(f"python: 10 results put and read, the best is run {best['run']}")
assert best["run"] == 9
open(sys.argv[2], "w").write(url)
# For curl, in a file of our own: a token on a command line can be seen by everybody on the machine.
open(sys.argv[3], "w").write(f'header = "Authorization: Bearer {token}"\n')
PYTHON

# 3. A client in shell: curl follows to the rank that has the object (-L).
head -c 3000000 /dev/urandom >"$work/data"
curl -fsSL -K "$work/curl.conf" -T "$work/data" "$(cat "$work/url")/results/data.bin"
curl -fsSL -K "$work/curl.conf" "$(cat "$work/url")/results/data.bin" | cmp - "$work/data"
echo "curl: 3 MB put and read back"

stop_store
echo "done"
