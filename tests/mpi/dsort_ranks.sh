#!/bin/bash
# dsort at 1, 2, 3, 4, 5 and 8 ranks, through files and through messages: one result, which other tools can read.
#   dsort_ranks.sh DSORT_RANKS_PROGRAM
set -euo pipefail

program=${1:?usage: dsort_ranks.sh PROGRAM}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "${TARN_TEST_TMPDIR:-/tmp}/tarn-dsort-XXXXXX")
trap 'rm -rf "$work"' EXIT

run() { # RANKS [OPTION...]: prints the program's line
  local ranks=$1
  shift
  "$here/../support/mpi_run.sh" "$ranks" "$program" '{dir}' "$@" | grep '^dsort '
}
expect() { # WHAT GOT WANTED
  if [[ $2 != "$3" ]]; then
    echo "dsort_ranks: $1: got '$2', expected '$3'" >&2
    exit 1
  fi
}

first=$(run 1 --out "$work/shard")
echo "$first"
expect "samples and members" "$(cut -d' ' -f2,3 <<<"$first")" "samples=816 members=1616"
for ranks in 2 3 4 5 8; do expect "$ranks ranks" "$(run "$ranks")" "$first"; done
for ranks in 2 3 4; do expect "$ranks ranks, each a node" "$(run "$ranks" --own-nodes)" "$first"; done
loose=$(run 1 --loose --out "$work/loose")
for ranks in 3 4; do expect "loose objects at $ranks ranks" "$(run "$ranks" --loose)" "$loose"; done
expect "loose objects, each rank a node" "$(run 4 --loose --own-nodes)" "$loose"

for kind in shard loose; do
  mkdir "$work/$kind/gnu"
  for shard in "$work/$kind/shards"/*.tar; do tar -C "$work/$kind/gnu" -xf "$shard"; done
  diff -r "$work/$kind/members" "$work/$kind/gnu" >"$work/diff" || { head "$work/diff" >&2; echo "dsort_ranks: $kind: GNU tar reads other members" >&2; exit 1; }
  # Python's tarfile, as WebDataset reads: the samples of a key are neighbours, every member is there once.
  python3 - "$work/$kind" <<'PYTHON'
import pathlib, sys, tarfile
root = pathlib.Path(sys.argv[1])
seen = {}
for shard in sorted((root / "shards").iterdir()):
    closed, last = set(), None
    with tarfile.open(shard, "r|") as archive:
        for member in archive:
            key = member.name.rsplit(".", 1)[0]
            if key != last:
                assert key not in closed, f"{shard}: {key} is torn apart"
                closed.add(last)
                last = key
            assert member.name not in seen, f"{member.name} is there twice"
            seen[member.name] = archive.extractfile(member).read()
wanted = {str(path.relative_to(root / "members")): path.read_bytes() for path in (root / "members").rglob("*") if path.is_file()}
assert seen == wanted, f"{len(seen)} members read, {len(wanted)} written"
PYTHON
done
echo "dsort: the same bytes at 1, 2, 3, 4, 5 and 8 ranks"
