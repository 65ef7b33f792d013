#!/bin/bash
# A world ends as its command does, and with the script that started it, whatever ends that; nothing is left of it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
world=
trap '[[ -z $world ]] || kill -KILL "$world" 2>/dev/null || true; rm -rf "$work"' EXIT
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# Who may not make namespaces is told so, and is not told that all is well.
outcome=0
setpriv --reuid 65534 --regid 65534 --clear-groups "$here/world.sh" true >"$work/out" || outcome=$?
[[ $outcome -eq 77 && $(cat "$work/out") == "SKIPPED: "*" need root" ]] || fail "not root: $outcome, $(cat "$work/out")"

outcome=0
"$here/world.sh" -n 3 bash -c "[[ \$TARN_NODES == 'n1 n2 n3' && \$(\"$here/on_node.sh\" n2 hostname) == n2 ]] && exit 7" || outcome=$?
[[ $outcome -ne 77 ]] || exit 77
[[ $outcome -eq 7 ]] || fail "the exit code is $outcome instead of 7"

# A process on the head node and one on each other, with an argument that no other process has.
mark=300.$$$RANDOM
marked() { pgrep -cf "^[a-z/]*sleep $mark\$" || true; }
links() { ip -o link | wc -l; }
before=$(links)
for signal in KILL TERM; do
  "$here/world.sh" -n 2 "$here/cluster.sh" bash -c "srun -N 2 sleep $mark & exec sleep $mark" >"$work/out" 2>&1 &
  world=$!
  deadline=$((SECONDS + 60))
  until [[ $(marked) -eq 3 ]]; do
    [[ $SECONDS -lt $deadline && -d /proc/$world ]] || fail "the world did not come up: $(cat "$work/out")"
    sleep 0.1
  done
  kill -"$signal" "$world"
  wait "$world" 2>/dev/null || true
  world=
  deadline=$((SECONDS + 20))
  until [[ $(marked) -eq 0 ]]; do
    ((SECONDS < deadline)) || fail "processes survived SIG$signal: $(marked)"
    sleep 0.05
  done
  [[ ! -e /run/tarn && $(links) -eq $before ]] || fail "after SIG$signal there is /run/tarn, or a network device that was not there before"
  echo "SIG$signal: nothing is left"
done
