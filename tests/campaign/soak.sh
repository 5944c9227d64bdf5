#!/bin/sh
# soak.sh PROGRAM CLIENTS_PROGRAM - many clients before one server for a while: no error, flat memory, fair latencies.
#   SECONDS (default 60), CLIENTS (default 200), SOAK_OPTIONS: more options of brood serve.
# The server's connections need file descriptors: three each.
# A sanitizer keeps what was freed for a while: little enough not to look like growth.
export ASAN_OPTIONS="${ASAN_OPTIONS:-quarantine_size_mb=8:thread_local_quarantine_size_kb=16}"
ulimit -n "$(ulimit -Hn)" 2>/dev/null
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# shellcheck disable=SC2086 # options are words
"$1" serve --port 0 $SOAK_OPTIONS >"$dir/address" 2>"$dir/err" &
server=$!
while [ ! -s "$dir/address" ] && kill -0 $server 2>/dev/null; do sleep 0.1; done
if [ ! -s "$dir/address" ]; then
    cat "$dir/err" >&2
    exit 1
fi
status=0
"$2" "$(cat "$dir/address")" "${SECONDS_:-60}" "${CLIENTS:-200}" || status=1
kill -INT $server
if ! wait $server; then
    echo "ERROR the server did not end well"
    status=1
fi
if [ -s "$dir/err" ]; then
    head -c 4000 "$dir/err"
    status=1
fi
exit $status
