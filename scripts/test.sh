#!/usr/bin/env bash
# Everything that must hold before a change lands, cheapest first. One profile, so that nothing is compiled twice.
#   scripts/test.sh          what CI runs
#   scripts/test.sh lint     formatting, clippy, documentation, licences; runs no test
#   scripts/test.sh long     also the long tests
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mode=${1:-all}
cargo=(cargo)
common=(--release --locked --workspace)
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

stage() {
  local name=$1 start=$SECONDS
  shift
  printf '== %s\n' "$name"
  "$@"
  printf '== %s: ok, %d s\n' "$name" "$((SECONDS - start))"
}

stage format "${cargo[@]}" fmt --all --check
stage clippy "${cargo[@]}" clippy "${common[@]}" --all-targets --quiet -- -D warnings
stage docs env RUSTDOCFLAGS="-D warnings" "${cargo[@]}" doc "${common[@]}" --no-deps --quiet
if command -v cargo-deny >/dev/null 2>&1; then
  stage licences "${cargo[@]}" deny --log-level error check
else
  printf '== licences: SKIPPED, cargo-deny is not installed (cargo install --locked cargo-deny)\n'
fi
[ "$mode" = lint ] && exit 0

# Compiled first, so that a test's time is the test's.
stage build "${cargo[@]}" test "${common[@]}" --no-run --quiet
stage tests "${cargo[@]}" test "${common[@]}"
if [ "$mode" = long ]; then
  stage "long tests" env ASHLAR_LONG=1 "${cargo[@]}" test "${common[@]}" -- --ignored --nocapture
  stage openapi scripts/openapi.sh
fi
