#!/usr/bin/env bash
# Holds disperser, ledger and node against their OpenAPI documents: schemathesis makes requests of them, right and wrong ones, to a devnet of the
# built binary, and looks whether every answer is one that the document has. What is checked stands in schemathesis.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=4.32.5
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
venv=$target/schemathesis-$version

if [ ! -x "$venv/bin/schemathesis" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet "schemathesis==$version"
fi

dir=$(mktemp -d)
"$target/release/ashlar" devnet --operators 4 --dir "$dir/net" --ready-file "$dir/ready" --json >"$dir/out" 2>"$dir/err" &
devnet=$!
trap 'kill -TERM "$devnet" 2>/dev/null || true; wait "$devnet" || true; rm -rf "$dir"' EXIT
for _ in $(seq 300); do
  [ -e "$dir/ready" ] && break
  kill -0 "$devnet" 2>/dev/null || { cat "$dir/err"; exit 1; }
  sleep 1
done
# Half of the names that a request needs are of things that there are: so answers are looked at, not only refusals.
read -r disperser ledger node < <(python3 - "$dir/out" "$dir/samples" <<'PY'
import json, re, sys, urllib.request
out, samples = sys.argv[1:]
net = next(line["devnet"] for line in map(json.loads, open(out)) if line.get("event") == "ready")
disperser, ledger, node = net["disperser_url"], net["ledger"]["url"], net["nodes"][0]["http"]
ask = lambda *request: urllib.request.urlopen(urllib.request.Request(*request), timeout=120).read().decode()
state = [ask(f"{ledger}/v1/state/{path}") for path in ("operators", "strategies", "rewards/shares?service=1&quorum=0&amount=1000")]
known = {
    "blobs": [json.loads(ask(f"{disperser}/v1/blobs?wait=certified", b"a sample"))["id"]],
    "operators": [item["id"] for item in json.loads(state[0])["items"]],
    "accounts": sorted(set(re.findall(r'"(0x[0-9a-f]{40})"', "".join(state)))),
    "services": [1],
    "blocks": [json.loads(ask(f"{ledger}/v1/head"))["table_block"]],
    "numbers": [0, 1, 2, 3],
}
with open(samples, "w") as file:
    file.writelines(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}\n" for name, values in known.items())
print(disperser, ledger, node)
PY
)
cat scripts/schemathesis.toml "$dir/samples" >"$dir/schemathesis.toml"

# It leaves files where it runs.
cd "$dir"
failed=
for url in "$disperser" "$ledger" "$node"; do
  "$venv/bin/schemathesis" run --no-color "$url/v1/openapi.json" || failed=1
done
[ -z "$failed" ]
