#!/usr/bin/env bash
# Plants each fault of fuzz/mutants in a copy of the tree and shows that the differential rounds find it.
#   scripts/fuzz-mutants.sh                all of them
#   scripts/fuzz-mutants.sh NAME...        these
# A mutant that survives, or whose patch does not apply, is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
limit=${LIMIT:-60}
root=$PWD
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
copy=$CARGO_TARGET_DIR/mutants
# Half as optimised, which halves the time: a fault is a fault.
run=(cargo build --release --locked --quiet -p ashlar-kzg --features differential,rayon --example fuzz_kernels
  --config profile.release.package.ashlar-kzg.opt-level=1)

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for patch in fuzz/mutants/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi

# What git would commit; the copy keeps its place, so that nothing but the changed crate is compiled again.
fresh() {
  rm -rf "$copy"
  mkdir -p "$copy"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
}

failures=0
printf '%-28s %-10s %s\n' mutant result 'found after'
try() {
  local name=$1 expected=$2 log
  log=$(mktemp)
  if ! (cd "$copy" && "${run[@]}") >"$log" 2>&1; then
    printf '%-28s %s\n' "$name" 'DOES NOT COMPILE'
    tail -20 "$log"
    failures=$((failures + 1))
  else
    local start=$EPOCHREALTIME rc=0
    timeout "$((limit + 30))" "$CARGO_TARGET_DIR/release/examples/fuzz_kernels" --seconds "${3:-$limit}" >"$log" 2>&1 || rc=$?
    local elapsed
    elapsed=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
    if [ "$expected" = found ] && [ $rc -ne 0 ] && awk -v t="$elapsed" -v l="$limit" 'BEGIN { exit t > l }'; then
      printf '%-28s %-10s %s s: %s\n' "$name" found "$elapsed" "$(grep -m1 -E 'DISAGREEMENT|panicked' "$log" | cut -c1-110)"
    elif [ "$expected" = none ] && [ $rc -eq 0 ]; then
      printf '%-28s %-10s\n' "$name" 'no fault'
    else
      printf '%-28s %-10s %s s\n' "$name" "$([ "$expected" = none ] && echo 'FAULTY' || echo 'SURVIVES')" "$elapsed"
      tail -20 "$log"
      failures=$((failures + 1))
    fi
  fi
  rm -f "$log"
}

# Without a fault nothing may be found.
fresh
try unchanged none 10
for name in "${names[@]}"; do
  fresh
  if (cd "$copy" && patch --quiet --strip 1 --fuzz 0 --forward) <"fuzz/mutants/$name.patch"; then
    try "$name" found
  else
    printf '%-28s %s\n' "$name" 'DOES NOT APPLY: make the patch again, see fuzz/README.md'
    failures=$((failures + 1))
  fi
done
printf '%d mutants, %d failures\n' "${#names[@]}" "$failures"
[ "$failures" -eq 0 ]
