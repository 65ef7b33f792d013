#!/bin/bash
# The main job of Tarn, from nothing, on real data: thousands of small images go into a store of four
# ranks, are shuffled into WebDataset shards, are read from outside by curl, and compared byte by byte.
#   examples/quickstart.sh [options]
#     --no-install       install no Debian package
#     --tarn PROGRAM     use this `tarn` instead of building one
#     --build-dir DIR    where to build and to keep the images (default: build/quickstart below the source)
#     --ranks N          storage ranks (default 4, at least 2)
# Needs Debian 12, root or sudo, and the package registries; the second run needs seconds.
# Exit code 0 when every byte came back as it went in. Nothing is left running.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/support/environment.sh
. "$root/tests/support/environment.sh"
# shellcheck source=examples/quickstart_steps.sh
. "$root/examples/quickstart_steps.sh"

install=yes
tarn=
build_dir=$root/build/quickstart
ranks=4
while [[ $# -gt 0 ]]; do
  case $1 in
    --no-install) install=no ;;
    --tarn) tarn=${2:?--tarn needs a program}; shift ;;
    --build-dir) build_dir=${2:?--build-dir needs a directory}; shift ;;
    --ranks) ranks=${2:?--ranks needs a number}; shift ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die 64 "unknown option '$1' (--help lists them)" ;;
  esac
  shift
done
[[ $ranks =~ ^[0-9]+$ && $ranks -ge 2 ]] || die 64 "--ranks $ranks: a redirect needs at least 2 ranks"
mkdir -p "$build_dir"
build_dir=$(cd "$build_dir" && pwd)

# Everything of this run: disks of the ranks, endpoint file, what is read back. Removed at the end.
work=$(mktemp -d "${TMPDIR:-/tmp}/tarn-quickstart-XXXXXX")
store_pid=
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export TARN_ENDPOINT_FILE=$work/endpoint.json
started=$(now_ms)

if [[ $install == yes ]]; then
  step "Packages"
  "$root/tests/install-deps.sh" build demo
fi
step "Build"
build_tarn
step "Images"
fetch_images

step "A store of $ranks ranks, each with a disk of its own"
start_store
step "Put: every image is an object; its key is its path, its first folder a class"
measure put "$tarn" put -r "$work/images" tarn://icons/
step "dsort: all ranks together shuffle the images into tar shards of 1 MB (WebDataset)"
measure dsort "$tarn" dsort --input 'tarn://icons/' --output 'tarn://shards/train-%04d.tar' --shard-size 1MB --order shuffle --seed 1
step "From outside: curl lists the shards, and asks a rank for one that it does not own"
list_shards
show_redirect
step "Read all shards through rank 0, wherever they are"
measure get read_shards
step "Check: GNU tar unpacks each shard, every image is compared with its original"
check_images
step "Where the objects are"
show_balance
step "Shut down"
stop_store
summary
