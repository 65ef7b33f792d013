#!/bin/bash
# The storage engine on the file systems that it is for: ext4, xfs, tmpfs and an overlay directory. On each of them the unit tests of volume
# and object, the test that kills with -9, and one that fills it to the last byte.
#   tests/filesystems.sh [--no-install] [--no-build] [--build-dir DIR] [--rounds N] [NAME...]     (no NAME: all four)
# --rounds: of the kills (default 200). As root: it mounts images of its own (sparse, below TMPDIR, removed at the end). What this machine
# cannot mount is skipped with a line that says so; exit code 77 when that is all of them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
install=yes
build=yes
rounds=200
build_dir=$root/build
names=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --no-install) install=no ;;
    --no-build) build=no ;;
    --build-dir) build_dir=${2:?--build-dir needs a directory}; shift ;;
    --rounds) rounds=${2:?--rounds needs a number}; shift ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    ext4 | xfs | tmpfs | overlay) names+=("$1") ;;
    *) echo "filesystems.sh: unknown option '$1' (--help lists them)" >&2; exit 64 ;;
  esac
  shift
done
[[ ${#names[@]} -gt 0 ]] || names=(ext4 xfs tmpfs overlay)
if [[ $(id -u) -ne 0 ]]; then
  echo "filesystems.sh: skipped: to mount takes root"
  exit 77
fi
[[ $install == no ]] || "$root/tests/install-deps.sh" build test filesystems
mkdir -p "$build_dir/dev"
build_dir=$(cd "$build_dir" && pwd)/dev
if [[ $build == yes ]]; then
  log=$build_dir/filesystems.log
  (cd "$root" && cmake --preset dev -B "$build_dir" && cmake --build "$build_dir" --parallel "$(nproc)" --target \
    unit_volume unit_object crash_local_store faults_full_disk) >"$log" 2>&1 || { tail -n 40 "$log" >&2; exit 1; }
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/tarn-filesystems-XXXXXX")
chmod 755 "$work" # tests run a part of themselves as another user
mounts=()
loop='' # attached and not yet mounted
unmount_all() {
  local i
  for ((i = ${#mounts[@]} - 1; i >= 0; --i)); do umount "${mounts[i]}" 2>/dev/null || umount --lazy "${mounts[i]}" || true; done
  mounts=()
  [[ -z $loop ]] || losetup -d "$loop" || true
  loop=''
}
clean_up() {
  unmount_all
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# mount_image TYPE SIZE_MIB DIRECTORY: a new file system of that type. The loop device goes with the mount.
mount_image() {
  local type=$1 image=$3.img
  command -v "mkfs.$type" >/dev/null || { echo "there is no mkfs.$type here (tests/install-deps.sh filesystems)"; return 1; }
  mkdir -p "$3"
  truncate -s "$2M" "$image"
  case $type in
    ext4) mkfs.ext4 -q -m 0 "$image" ;;
    xfs) mkfs.xfs -q "$image" ;;
  esac
  loop=$(losetup --find --show "$image" 2>/dev/null) || { loop=''; echo "no loop device can be had here"; return 1; }
  mount -t "$type" "$loop" "$3" 2>/dev/null || { echo "this kernel mounts no $type here"; return 1; }
  mounts+=("$3")
  losetup -d "$loop"
  loop=''
  rm "$image"
}

# mount_one NAME SIZE_MIB DIRECTORY
mount_one() {
  case $1 in
    ext4 | xfs) mount_image "$@" || return 1 ;;
    tmpfs)
      mkdir -p "$3"
      mount -t tmpfs -o "size=$2m" tarn-test "$3" 2>/dev/null || { echo "no tmpfs can be mounted here"; return 1; }
      mounts+=("$3")
      ;;
    overlay)
      mount_image ext4 "$2" "$3-below" || return 1
      mkdir -p "$3" "$3-below/lower" "$3-below/upper" "$3-below/work"
      mount -t overlay -o "lowerdir=$3-below/lower,upperdir=$3-below/upper,workdir=$3-below/work" tarn-test "$3" 2>/dev/null || {
        echo "no overlay can be mounted here"
        return 1
      }
      mounts+=("$3")
      ;;
  esac
  chmod 755 "$3"
}

failed=()
ran=()
skipped=()
# run NAME WHAT COMMAND...
run() {
  local name=$1 what=$2 begin=$SECONDS
  shift 2
  if TARN_LOG=off TARN_TEST_TMPDIR=$work/$name timeout 1200 "$@" >"$work/log" 2>&1; then
    echo "$name: $what: passed in $((SECONDS - begin)) s ($(tail -n 3 "$work/log" | grep -v '^$' | tail -n 1))"
  else
    echo "$name: $what: FAILED (exit code $?)"
    tail -n 60 "$work/log"
    failed+=("$name: $what")
  fi
}

for name in "${names[@]}"; do
  # The second one is to be filled: as small as it can be. mkfs.xfs makes none below 300 MiB.
  small=64
  [[ $name != xfs ]] || small=320
  if ! { mount_one "$name" 4096 "$work/$name" && mount_one "$name" "$small" "$work/$name-small"; } >"$work/why" 2>&1; then
    echo "$name: skipped: $(tail -n 1 "$work/why")"
    skipped+=("$name")
    unmount_all
    continue
  fi
  ran+=("$name")
  run "$name" "unit tests of volume" "$build_dir/tests/unit_volume"
  run "$name" "unit tests of object" "$build_dir/tests/unit_object"
  run "$name" "kill -9" "$build_dir/tests/crash/crash_local_store" --rounds "$rounds"
  run "$name" "full" "$build_dir/tests/faults/faults_full_disk" "$work/$name-small"
  unmount_all
done

if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
if [[ ${#ran[@]} -eq 0 ]]; then
  echo "filesystems.sh: skipped: none can be mounted here"
  exit 77
fi
echo "PASSED: ${ran[*]}${skipped[*]:+ (skipped: ${skipped[*]})}"
