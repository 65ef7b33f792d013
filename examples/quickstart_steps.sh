# quickstart_steps.sh - the steps of quickstart.sh, which sources this file and sets what they use:
# root, build_dir, work, ranks, install, tarn, store_pid, started.
# shellcheck shell=bash disable=SC2154

if [[ -t 1 ]]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi

die() {
  local code=$1
  shift
  echo "quickstart.sh: $*" >&2
  exit "$code"
}
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
now_ms() { date +%s%3N; }

# measure NAME COMMAND...: runs the command; its milliseconds go to took[NAME].
declare -A took
measure() {
  local name=$1 begin
  shift
  begin=$(now_ms)
  "$@"
  took[$name]=$(($(now_ms) - begin))
}
# rate BYTES MILLISECONDS: "123.4 MB/s"
rate() { awk -v b="$1" -v ms="$2" 'BEGIN { printf "%.1f MB/s", b / 1000 / (ms > 0 ? ms : 1) }'; }
seconds() { awk -v ms="$1" 'BEGIN { printf "%.2f s", ms / 1000 }'; }

clean_up() {
  local code=$?
  trap - EXIT
  if [[ -n $store_pid ]] && kill -TERM "$store_pid" 2>/dev/null; then
    wait "$store_pid" 2>/dev/null || true
  fi
  if [[ $code -ne 0 && -s $work/serve.log ]]; then
    echo "-- what the store said:" >&2
    tail -n 20 "$work/serve.log" >&2
  fi
  rm -rf "$work"
  exit "$code"
}

build_tarn() {
  if [[ -n $tarn ]]; then
    [[ -x $tarn ]] || die 66 "--tarn $tarn: no such program"
    echo "using $tarn"
    return
  fi
  local log=$build_dir/build.log
  cmake -S "$root" -B "$build_dir/tree" -G Ninja -DCMAKE_BUILD_TYPE=Release -DTARN_BUILD_TESTS=OFF -DTARN_BUILD_EXAMPLES=OFF >"$log" 2>&1 ||
    { tail -n 30 "$log" >&2; die 70 "cmake failed; all of its output is in $log"; }
  if [[ -t 1 ]]; then
    NINJA_STATUS='[%f of %t, %e s] ' ninja -C "$build_dir/tree" tarn_tool
  else
    ninja -C "$build_dir/tree" tarn_tool >"$log" 2>&1 || { tail -n 30 "$log" >&2; die 70 "the build failed; all of its output is in $log"; }
  fi
  tarn=$(find "$build_dir/tree" -type f -name tarn -perm -u+x | head -n 1)
  [[ -n $tarn ]] || die 70 "the build made no program 'tarn'"
  "$tarn" --version
}

download_package() { (cd "$build_dir/download" && apt-get -q -o APT::Sandbox::User=root download "$1" >apt.log 2>&1); }

# The icon theme of GNOME: about 5,500 images of 16 to 512 pixels. Its package is unpacked, not
# installed, and kept for the next run.
fetch_images() {
  local package=adwaita-icon-theme kept=$build_dir/icons theme
  if [[ ! -d $kept/usr/share/icons/Adwaita ]]; then
    if [[ $install == no && -f /usr/share/icons/Adwaita/index.theme ]]; then
      kept=
    else
      echo "downloading $package"
      rm -rf "$build_dir/download" "$kept.new"
      mkdir -p "$build_dir/download" "$kept.new"
      download_package "$package" || { [[ $install == yes ]] && "$root/tests/install-deps.sh" --update && download_package "$package"; } ||
        { tail -n 5 "$build_dir/download/apt.log" >&2; die 69 "the images (Debian package $package) could not be downloaded"; }
      dpkg-deb -x "$build_dir"/download/"$package"_*.deb "$kept.new"
      rm -rf "$kept" "$build_dir/download"
      mv "$kept.new" "$kept"
    fi
  fi
  theme=$kept/usr/share/icons/Adwaita
  mkdir "$work/images"
  # Regular image files with their folders; links and the theme's own index stay behind.
  (cd "$theme" && find . -type f \( -name '*.png' -o -name '*.svg' \) -print0 | tar --null -T - -cf -) | tar -xf - -C "$work/images"
  images=$(find "$work/images" -type f | wc -l)
  image_bytes=$(find "$work/images" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
  [[ $images -gt 1000 ]] || die 70 "only $images images in $theme"
  echo "$images files, $image_bytes bytes, from the Debian package $package"
}

start_store() {
  # --node-id-from-rank: on one machine every rank could read its neighbours' files; here each plays
  # a node of its own, as on a cluster.
  mpirun --oversubscribe -n "$ranks" "$tarn" serve --dir "$work/disk-{rank}" --endpoint-file "$TARN_ENDPOINT_FILE" \
    --ready-file "$work/ready" --node-id-from-rank >"$work/serve.log" 2>&1 &
  store_pid=$!
  local deadline=$((SECONDS + 60))
  until [[ -e $work/ready ]]; do
    kill -0 "$store_pid" 2>/dev/null || { store_pid=; die 70 "the store ended before it was ready"; }
    [[ $SECONDS -lt $deadline ]] || die 75 "the store was not ready after 60 s"
    sleep 0.05
  done
  cat "$work/serve.log"
  token=$(jq -r .token "$TARN_ENDPOINT_FILE")
  mapfile -t endpoints < <(jq -r '.endpoints[]' "$TARN_ENDPOINT_FILE")
  # The token in a file of its own, so that no process list shows it.
  (umask 077 && printf 'header = "Authorization: Bearer %s"\n' "$token" >"$work/curlrc")
}

stop_store() {
  kill -USR1 "$store_pid"  # mpirun hands it on to the ranks; at TERM it would end with an error of its own
  local code=0
  wait "$store_pid" || code=$?
  store_pid=
  [[ $code -eq 0 ]] || die 70 "the store ended with exit code $code"
  [[ ! -e $TARN_ENDPOINT_FILE ]] || die 70 "the endpoint file is still there"
  echo "all ranks closed their disks and ended with 0"
}

list_shards() {
  local url="${endpoints[0]}/shards?list-type=2&prefix=train-"
  echo "curl $url"
  curl -sSf -K "$work/curlrc" "$url" >"$work/list.xml"
  grep -o '<Key>[^<]*</Key>' "$work/list.xml" | sed 's/<[^>]*>//g' >"$work/shards.txt"
  shards=$(wc -l <"$work/shards.txt")
  [[ $shards -gt 1 ]] || die 70 "the listing names $shards shards"
  echo "$shards shards, from $(head -n 1 "$work/shards.txt") to $(tail -n 1 "$work/shards.txt")"
}

# Asks every rank for the first shard until one of them points elsewhere: all but the owner do.
show_redirect() {
  local shard url
  shard=$(head -n 1 "$work/shards.txt")
  for url in "${endpoints[@]}"; do
    curl -sS -v -K "$work/curlrc" -o "$work/one.tar" "$url/shards/$shard" 2>"$work/verbose.txt"
    grep -q '^< HTTP/1.1 307' "$work/verbose.txt" || continue
    echo "curl -v $url/shards/$shard"
    grep -E '^(> GET|< HTTP/1.1|< Location)' "$work/verbose.txt" | tr -d '\r' | sed -E 's/(signature=.{8})[0-9a-f]+/\1.../I'
    curl -sSf -L -K "$work/curlrc" -o "$work/one.tar" -w 'curl -L: %{http_code} after %{num_redirects} redirect, %{size_download} bytes from %{remote_ip}:%{remote_port}\n' \
      "$url/shards/$shard"
    return
  done
  die 70 "no rank answered 307 for $shard, although $ranks of them serve"
}

read_shards() {
  mkdir "$work/read"
  sed "s|.*|url = \"${endpoints[0]}/shards/&\"\noutput = \"$work/read/&\"|" "$work/shards.txt" >"$work/urls.txt"
  curl --fail -L --no-progress-meter --parallel --parallel-max 8 -K "$work/curlrc" -K "$work/urls.txt"
  shard_bytes=$(find "$work/read" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
  echo "curl -L --parallel: $shards shards, $shard_bytes bytes"
}

check_images() {
  local shard
  mkdir "$work/unpacked"
  : >"$work/members.txt"
  while read -r shard; do
    tar -tf "$work/read/$shard" >>"$work/members.txt" || die 70 "GNU tar does not like $shard"
    tar -xf "$work/read/$shard" -C "$work/unpacked" || die 70 "GNU tar does not like $shard"
  done <"$work/shards.txt"
  [[ $(wc -l <"$work/members.txt") -eq $images ]] || die 70 "$(wc -l <"$work/members.txt") members in all shards, not $images"
  diff -r "$work/images" "$work/unpacked" || die 70 "the images above are not what they were"
  echo "$shards shards are good tar files; all $images images are there once, byte for byte"
  echo "the first of them now: $(head -n 3 "$work/members.txt" | tr '\n' ' ')"
}

show_balance() {
  "$tarn" status
  "$tarn" status --json >"$work/status.json"
  balance=$(jq -r '[.per_rank[].objects] | "\(min) to \(max), where \(add / length | round) would be even"' "$work/status.json")
}

summary() {
  step "Summary"
  cat <<EOF
objects            $images images and $shards shards
bytes              $image_bytes and $shard_bytes
ranks              $ranks
objects on a rank  $balance
put                $(seconds "${took[put]}")   $(rate "$image_bytes" "${took[put]}")
dsort              $(seconds "${took[dsort]}")   $(rate "$shard_bytes" "${took[dsort]}")
read all shards    $(seconds "${took[get]}")   $(rate "$shard_bytes" "${took[get]}")
in all             $(seconds $(($(now_ms) - started)))
EOF
}
