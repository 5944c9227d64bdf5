#!/bin/sh
# openai_client.sh PROGRAM PACKAGES - the official OpenAI client for JavaScript before a server of its own (`make check-openai`).
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v node >/dev/null; then
    echo "SKIPPED: there is no node: install nodejs (20 or later)"
    exit 0
fi
if [ ! -d "$2/node_modules/openai" ]; then
    echo "SKIPPED: $2 has no package openai: npm install --prefix $2 openai"
    exit 0
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
"$1" serve --port 0 --max-samples 100000 >"$dir/address" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$dir"' EXIT
while [ ! -s "$dir/address" ] && kill -0 $server 2>/dev/null; do sleep 0.1; done
echo "openai $(sed -n 's/^ *"version": "\(.*\)".*/\1/p' "$2/node_modules/openai/package.json"), node $(node --version)"
timeout 300 node "$here/openai_client.cjs" "$(cat "$dir/address")" "$2"
