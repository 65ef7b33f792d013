#!/bin/bash
# Runs clang-tidy (configuration: .clang-tidy at the root) over the sources of a build tree.
#   tests/tidy/clang_tidy.sh BUILD_DIR [PATTERN]
# PATTERN is a regular expression for the paths of sources; without it all of ours are read, which
# takes minutes. Exit code 1 when there is a finding. Needs clang-tidy-14 (install-deps.sh lint).
set -euo pipefail

build_dir=${1:?usage: clang_tidy.sh BUILD_DIR [PATTERN]}
pattern=${2:-.}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [[ ! -f $build_dir/compile_commands.json ]]; then
  echo "clang_tidy.sh: no compile_commands.json in $build_dir; configure it with cmake first" >&2
  exit 66
fi
mapfile -t sources < <(python3 - "$build_dir" "$root" "$pattern" <<'PYTHON'
import json, os, re, sys
build_dir, root, pattern = sys.argv[1:]
names = {os.path.realpath(entry["file"]) for entry in json.load(open(build_dir + "/compile_commands.json"))}
print("\n".join(sorted(n for n in names if n.startswith(os.path.realpath(root) + "/") and re.search(pattern, n))))
PYTHON
)
echo "clang-tidy: ${#sources[@]} sources"
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 --quiet --warnings-as-errors='*' -p "$build_dir" \
  --extra-arg=-Wno-unknown-warning-option
echo "clang-tidy: no finding"
