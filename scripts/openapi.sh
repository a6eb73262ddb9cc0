#!/usr/bin/env bash
# Holds disperser, ledger and node against their OpenAPI documents: schemathesis makes requests of them, right and wrong ones, to a devnet of the
# built binary, and looks whether every answer is one that the document has. What is checked stands in schemathesis.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=4.32.5
target=${CARGO_TARGET_DIR:-target}
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
read -r disperser ledger node < <(python3 - "$dir/out" <<'PY'
import json, sys
net = next(line["devnet"] for line in map(json.loads, open(sys.argv[1])) if line.get("event") == "ready")
print(net["disperser_url"], net["ledger"]["url"], net["nodes"][0]["http"])
PY
)

failed=
for url in "$disperser" "$ledger" "$node"; do
  "$venv/bin/schemathesis" --config-file scripts/schemathesis.toml run --no-color "$url/v1/openapi.json" || failed=1
done
[ -z "$failed" ]
