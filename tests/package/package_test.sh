#!/bin/bash
# Installs a build of Tarn below a temporary prefix and builds the example program against it, as a
# user would: once by find_package, once by pkg-config and the MPI wrapper; runs it at 1, 3 and 4 ranks.
#   package_test.sh BUILD_DIR
set -euo pipefail

build_dir=${1:?usage: package_test.sh BUILD_DIR}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d "${TARN_TEST_TMPDIR:-/tmp}/tarn-package-XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "== install"
cmake --install "$build_dir" --prefix "$work/prefix" >"$work/install.log" || { cat "$work/install.log"; exit 1; }
# Moved after the installation: nothing in it may know where it was put.
mv "$work/prefix" "$work/moved"
prefix=$work/moved
if grep -rIl -e "$root" -e "$build_dir" "$prefix"; then
  echo "package_test.sh: the files above name the source or the build tree"
  exit 1
fi
"$prefix/bin/tarn" --version

# The examples alone, so that no header of the source tree is found by accident.
cp -r "$root/examples" "$work/examples"

echo "== find_package"
cmake -G Ninja -S "$work/examples" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" >"$work/cmake.log" 2>&1 ||
  { cat "$work/cmake.log"; exit 1; }
cmake --build "$work/build" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }

echo "== pkg-config"
pkg_config_dir=$(dirname "$(find "$prefix" -name tarn.pc)")
read -ra flags < <(PKG_CONFIG_PATH=$pkg_config_dir pkg-config --cflags --libs tarn)
mpicxx -std=c++20 -O1 "$work/examples/simulation.cpp" "${flags[@]}" -o "$work/simulation"

for ranks in 1 3 4; do
  echo "== $ranks ranks"
  "$root/tests/support/mpi_run.sh" "$ranks" "$work/build/simulation" '{dir}' | tail -n 1
done
"$root/tests/support/mpi_run.sh" 2 "$work/simulation" '{dir}' | tail -n 1
echo "package: installed, found and run"
