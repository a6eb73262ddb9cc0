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

# Compiles cargo-deny once, into the target folder. Advisories are not checked: CI reaches no database of them.
licences() {
  local version=0.20.2 tools=${CARGO_TARGET_DIR:-target}/tools
  if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
    "${cargo[@]}" install --locked --root "$tools" "cargo-deny@$version"
  fi
  "$tools/bin/cargo-deny" --log-level error check bans licenses sources
}

stage format "${cargo[@]}" fmt --all --check
stage clippy "${cargo[@]}" clippy "${common[@]}" --all-targets --quiet -- -D warnings
stage docs env RUSTDOCFLAGS="-D warnings" "${cargo[@]}" doc "${common[@]}" --no-deps --quiet
stage licences licences
[ "$mode" = lint ] && exit 0

# Compiled first, so that a test's time is the test's.
stage build "${cargo[@]}" test "${common[@]}" --no-run --quiet
stage tests "${cargo[@]}" test "${common[@]}"
if [ "$mode" = long ]; then
  stage "long tests" env ASHLAR_LONG=1 "${cargo[@]}" test "${common[@]}" -- --ignored --nocapture
  stage openapi scripts/openapi.sh
fi
