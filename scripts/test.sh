#!/usr/bin/env bash
# Everything that must hold before a change lands, cheapest first. One profile, so that nothing is compiled twice.
#   scripts/test.sh          what CI runs
#   scripts/test.sh lint     formatting, clippy, documentation, licences; runs no test
#   scripts/test.sh long     also the long tests
#   scripts/test.sh net      only the tests on hosts of their own: network namespaces, links that lose packets, partitions
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

if [ "$mode" = net ]; then
  # One after another: each has ten processes, and times are measured.
  stage network "${cargo[@]}" test "${common[@]}" --test e2e -- hosts:: --include-ignored --nocapture --test-threads 1
  exit 0
fi

stage format "${cargo[@]}" fmt --all --check
stage clippy "${cargo[@]}" clippy "${common[@]}" --all-targets --quiet -- -D warnings
stage docs env RUSTDOCFLAGS="-D warnings" "${cargo[@]}" doc "${common[@]}" --no-deps --quiet
stage licences licences
[ "$mode" = lint ] && exit 0

# Compiled first, so that a test's time is the test's.
stage build "${cargo[@]}" test "${common[@]}" --no-run --quiet
# The OP Stack's own client is downloaded and compiled before, too. Where that cannot be done, its test says so.
conformance() {
  local go
  go=$(command -v go || echo /usr/local/go/bin/go)
  (cd proxy/conformance && "$go" build -o /dev/null .) || printf '== conformance: the client cannot be built here\n'
}
stage conformance conformance
stage tests "${cargo[@]}" test "${common[@]}"

# The tests that are marked as long, and one that fills a disk: a small one of its own, which only root can mount.
long() {
  local skip=() disk
  if [ "$(id -u)" -eq 0 ]; then
    disk=$(mktemp -d)
    mount -t tmpfs -o size=128m ashlar-test "$disk"
    trap "umount '$disk' && rmdir '$disk'" EXIT
    export ASHLAR_TEST_SMALL_DISK=$disk
  else
    skip=(--skip a_real_disk_fills_up)
    printf '== a_real_disk_fills_up: SKIPPED, only root can mount a small disk\n'
  fi
  ASHLAR_LONG=1 "${cargo[@]}" test "${common[@]}" -- --ignored --nocapture "${skip[@]}"
}

if [ "$mode" = long ]; then
  stage "long tests" long
  stage openapi scripts/openapi.sh
fi
