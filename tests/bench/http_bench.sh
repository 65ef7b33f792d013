#!/usr/bin/env bash
# http_bench.sh - the sidecar against nginx on the same bytes: GET of 10 KiB and 1 MiB, and the redirect.
#
#   tests/bench/http_bench.sh BUILD_DIRECTORY [ROUNDS] [SECONDS_PER_RUN]
#
# Interleaved: each round measures both servers one right after the other, and the ratio is taken within the round.
# nginx: sendfile, open_file_cache, no access log, 2 workers; the sidecar: 2 threads; wrk -t1 -c16; all on loopback.
set -euo pipefail
build=${1:?usage: http_bench.sh BUILD_DIRECTORY [ROUNDS] [SECONDS]}
rounds=${2:-5}
seconds=${3:-3}
server=$build/tests/http/sidecar_server
for tool in nginx wrk curl python3; do
  command -v "$tool" >/dev/null || { echo "http_bench.sh: $tool is missing (tests/install-deps.sh installs it)" >&2; exit 1; }
done

work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

mkdir -p "$work/www/bench" "$work/tmp"
head -c 10240 /dev/urandom >"$work/www/bench/small"
head -c 1048576 /dev/urandom >"$work/www/bench/large"

"$server" --dir "$work/rank0" --dir "$work/rank1" --threads 2 >"$work/urls" &
pids+=($!)
tarn_pid=$!
for _ in $(seq 100); do [ -s "$work/urls" ] && break; sleep 0.1; done
tarn=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["urls"][0])' "$work/urls")
curl -fsS -X PUT "$tarn/bench"
for name in small large; do
  curl -fsS -L -T "$work/www/bench/$name" "$tarn/bench/r0/$name"
  curl -fsS "$tarn/bench/r0/$name" | cmp - "$work/www/bench/$name"
done

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/nginx.conf" <<CONF
daemon off; pid $work/nginx.pid; error_log $work/nginx.log; worker_processes 2; worker_rlimit_nofile 4096;
$([ "$(id -u)" = 0 ] && echo "user root;")
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type application/octet-stream;
  open_file_cache max=1000; open_file_cache_valid 60s;
  client_body_temp_path $work/tmp; proxy_temp_path $work/tmp; fastcgi_temp_path $work/tmp; uwsgi_temp_path $work/tmp; scgi_temp_path $work/tmp;
  server { listen 127.0.0.1:$port; root $work/www; location /moved { return 307 http://127.0.0.1:$port/bench/small; } }
}
CONF
nginx -p "$work" -c "$work/nginx.conf" 2>/dev/null &
pids+=($!)
nginx_pid=$!
nginx_url=http://127.0.0.1:$port
for _ in $(seq 100); do curl -fsS -o /dev/null "$nginx_url/bench/small" 2>/dev/null && break; sleep 0.1; done
curl -fsS "$nginx_url/bench/small" | cmp - "$work/www/bench/small"

# CPU time of a process and its children so far, in clock ticks.
ticks() {
  local pid total=0
  for pid in "$1" $(cat "/proc/$1/task/$1/children"); do total=$((total + $(sed 's/.*) //' "/proc/$pid/stat" | awk '{print $12 + $13}'))); done
  echo "$total"
}
# Requests per second, and the server's CPU time for each in microseconds.
run() {  # URL, process
  local before
  before=$(ticks "$2")
  wrk -t1 -c16 -d"${seconds}s" -H 'User-Agent: curl/8' "$1" >"$work/wrk"
  awk -v ticks=$(($(ticks "$2") - before)) -v hz="$(getconf CLK_TCK)" \
    '/requests in/ {n = $1} /Requests\/sec/ {printf "%s %.2f ", $2, ticks / hz * 1e6 / n}' "$work/wrk"
}
measure() {  # name, sidecar's URL, nginx's URL
  for _ in $(seq "$rounds"); do echo "$1 $(run "$2" "$tarn_pid") $(run "$3" "$nginx_pid")"; done
}
{
  measure "GET_10_KiB" "$tarn/bench/r0/small" "$nginx_url/bench/small"
  measure "GET_1_MiB" "$tarn/bench/r0/large" "$nginx_url/bench/large"
  measure "redirect_307" "$tarn/bench/r1/small" "$nginx_url/moved"
} | python3 -c '
import statistics, sys
rows = {}
for line in sys.stdin:
    name, *values = line.split()
    rows.setdefault(name, []).append([float(value) for value in values])
print("%-14s %10s %10s   ratio min / median / max   %12s %12s" % ("", "tarn/s", "nginx/s", "tarn CPU us", "nginx CPU us"))
for name, rounds in rows.items():
    ratios = sorted(row[0] / row[2] for row in rounds)
    ours, our_cpu, theirs, their_cpu = (statistics.median(column) for column in zip(*rounds))
    print("%-14s %10.0f %10.0f   %.2f / %.2f / %.2f         %12.1f %12.1f" % (name, ours, theirs, ratios[0], statistics.median(ratios), ratios[-1], our_cpu, their_cpu))
'
