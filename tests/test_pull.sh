#!/bin/sh
# test_pull.sh - brood pull as a user types it, from a server with the hub's layout: the bundled small model, and what it is then.
. "$(dirname "$0")/shell.inc"
if ! command -v python3 >/dev/null; then
    echo "no python3: there is no hub to pull from"
    finish
    exit
fi
cat >hub.py <<'PY'
import hashlib, http.server, json, os, sys
small = sys.argv[1]
class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") != "Bearer hf_one-token":
            return self.reply(401, b"no")
        if self.path == "/api/models/lab/small/revision/main?blobs=true":
            files = []
            for name in sorted(os.listdir(small)):
                data = open(os.path.join(small, name), "rb").read()
                f = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
                if name.endswith(".safetensors"):
                    f["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
                files.append(f)
            return self.reply(200, json.dumps({"sha": "c" * 40, "siblings": files}).encode())
        start = "/lab/small/resolve/" + "c" * 40 + "/"
        if self.path.startswith(start):
            return self.reply(200, open(os.path.join(small, os.path.basename(self.path)), "rb").read())
        self.reply(404, b"nothing")
    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
with open("port.new", "w") as f: f.write(str(server.server_address[1]))
os.rename("port.new", "port")
server.serve_forever()
PY
python3 hub.py "$root/lab/models/small" &
hub=$!
trap 'kill $hub 2>/dev/null; rm -rf "$dir"' EXIT
while [ ! -s port ] && kill -0 $hub 2>/dev/null; do sleep 0.1; done
export XDG_CACHE_HOME="$dir/cache" HF_HOME="$dir" HF_ENDPOINT="http://127.0.0.1:$(cat port)/" HF_TOKEN=
unset HF_TOKEN_PATH

refuses 2 "hf:lab/small is not on this machine" solve --policy hf:lab/small --reward none x
refuses 2 "brood pull 'hf:lab/small' brings it" model hf:lab/small
refuses 2 "names no model on a hub" pull lab/small
refuses 2 "or a private one (401" pull hf:lab/small
export HF_TOKEN=hf_wrong-token
refuses 2 "does not accept the token" pull hf:lab/small
grep -q hf_wrong err && bad "the token is in the message" "$(cat err)" || good
export HF_TOKEN=hf_one-token
refuses 2 "not found (404" pull hf:lab/none
says "hf:lab/small is here: commit cccccccccccc" "$BROOD" pull hf:lab/small
says "hf:lab/small was here already" "$BROOD" pull hf:lab/small
says '"was_here":true' "$BROOD" pull --json hf:lab/small
says "family " "$BROOD" model hf:lab/small
for policy in "$root/lab/models/small" hf:lab/small; do
    "$BROOD" solve --json --policy $policy --reward none -n 4 "Ida has 25 nuts. Ida finds 3 more. How many nuts does Ida have now?" 2>err |
        sed 's/"seconds":[0-9.e+-]*//' >"solved.$(basename $policy).$(expr $policy : hf)"
done
grep -q '"answer"' solved.small.2 && good || bad "nothing was solved" "$(cat err)"
same solved.small.0 solved.small.2 "the folder and what was pulled of it"
"$BROOD" pull hf:lab/small >/dev/full 2>err
[ $? -eq 3 ] && good || bad "a full standard output is told"
# As a reward model by the same name: this one does not score.
refuses 2 "scores steps" solve --policy hf:lab/small --reward hf:lab/small x
finish
