#!/bin/bash
# Installs the Debian packages that Tarn needs: the one place where they are named.
#   tests/install-deps.sh [build] [test] [mpich] [demo] [bench] [lint] [compat] [filesystems]     (no group: build and test)
#   tests/install-deps.sh --update                                 (fetches the lists of packages, installs nothing)
# As root or with sudo; does nothing, quickly, when all is there. Debian 12 only: the package
# names and versions (Boost 1.81, Open MPI 4.1) are those of bookworm.
set -euo pipefail

declare -A packages=(
  [build]="g++ cmake ninja-build pkg-config ccache
    libopenmpi-dev openmpi-bin
    libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libboost-system1.81-dev libboost-program-options1.81-dev
    liblmdb-dev libxxhash-dev libarchive-dev zlib1g-dev libpugixml-dev libssl-dev libexpected-dev
    libspdlog-dev prometheus-cpp-dev"
  [test]="catch2 git curl python3 python3-pip python3-numpy python3-yaml tar attr jq xz-utils zstd lz4 xxhash libarchive-tools hdf5-tools clang-format-14 shellcheck
    slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libpmix-dev iproute2 procps"
  [demo]="curl jq"
  [bench]="libbenchmark-dev wrk nginx-light"
  [lint]="clang-14 clang-tidy-14"
  [mpich]="libmpich-dev mpich"
  [compat]="clang-14 libmpich-dev mpich"
  [filesystems]="e2fsprogs xfsprogs"
  [update]=""
)

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }

groups=()
for argument in "$@"; do
  case $argument in
    -h | --help) usage; exit 0 ;;
    --update) groups+=(update) ;;
    *)
      if [[ -z ${packages[$argument]:-} ]]; then
        echo "install-deps.sh: no group '$argument'; the groups are: build test mpich demo bench lint compat filesystems" >&2
        exit 64
      fi
      groups+=("$argument")
      ;;
  esac
done
[[ ${#groups[@]} -gt 0 ]] || groups=(build test)

missing=()
for group in "${groups[@]}"; do
  for package in ${packages[$group]}; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
  done
done
if [[ ${#missing[@]} -eq 0 && ${groups[*]} != *update* ]]; then
  echo "packages (${groups[*]}): all there"
  exit 0
fi

# Only now does the system matter: where everything is installed, by whatever means, nothing is asked.
# shellcheck source=/dev/null
release=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-}" || echo unknown)
if [[ $release != "debian 12" ]]; then
  echo "install-deps.sh: this is '$release', and packages are installed on Debian 12 only. Missing: ${missing[*]}." \
    "Install what corresponds to them by hand, then run with --no-install." >&2
  exit 69
fi
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps.sh: missing packages: ${missing[*]}. Run this as root (there is no sudo here)." >&2
    exit 77
  fi
  as_root=(sudo)
fi

apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [[ ${groups[*]} == update ]]; then
  apt update >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 69; }
  exit 0
fi
echo "packages (${groups[*]}): installing ${missing[*]}"
# The lists may be fresh enough; fetching them again is the answer only to a failure.
if ! apt install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
  if ! { apt update && apt install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "install-deps.sh: apt-get could not install the packages; the reason is above. Are the package registries reachable?" >&2
    exit 69
  fi
fi
echo "packages (${groups[*]}): installed"
