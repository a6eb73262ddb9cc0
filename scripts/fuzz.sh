#!/usr/bin/env bash
# Runs fuzz targets under libFuzzer, one after another, from the corpus in git. Ends at the first failure.
#   scripts/fuzz.sh                all of them, FOR=30 seconds each
#   scripts/fuzz.sh TARGET...      these
#   scripts/fuzz.sh repeat FILE    one input once more, in the target that its folder names
#   scripts/fuzz.sh keep           puts into the corpus what was found: as few inputs as reach all that was reached
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${FOR:-30}
built=${CARGO_TARGET_DIR:-$PWD/target}
# A folder of its own: everything in it is compiled with other flags.
fuzz=${CARGO_TARGET_DIR:+$CARGO_TARGET_DIR/fuzz}
fuzz=${fuzz:-$PWD/fuzz/libfuzzer/target}
host=x86_64-unknown-linux-gnu
found=$fuzz/found

if ! rustup run nightly rustc --version >/dev/null 2>&1; then
  echo 'make fuzz needs a nightly toolchain, which has the sanitizers: rustup toolchain install nightly --profile minimal' >&2
  exit 2
fi

# What every compiled function needs: counters, comparisons, and checks of memory.
flags=(-Cpasses=sancov-module -Zsanitizer=address)
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=("-Cllvm-args=-sanitizer-coverage-$flag")
done
# Nobody looks for faults in RocksDB here: if the workspace was built, its library is linked.
rocksdb=$(find "$built"/release/build -path '*/librocksdb-sys-*/out/librocksdb.a' -print -quit 2>/dev/null || true)
if [ -n "$rocksdb" ]; then
  export ROCKSDB_LIB_DIR=${rocksdb%/*} ROCKSDB_STATIC=1
fi
# Not --locked: when a crate of the workspace gets another dependency, the lock file of the fuzzer follows.
RUSTFLAGS="${flags[*]}" cargo +nightly build --quiet --release --target "$host" \
  --manifest-path fuzz/libfuzzer/Cargo.toml --target-dir "$fuzz"

# fuzzer TARGET ARGUMENTS...
fuzzer() {
  ASHLAR_FUZZ_TARGET=$1 "$fuzz/$host/release/ashlar-libfuzzer" -artifact_prefix="fuzz/artifacts/$1/" -detect_leaks=0 \
    -rss_limit_mb=4096 -timeout=20 "${@:2}"
}

case ${1:-} in
repeat)
  name=$(basename "$(dirname "$2")")
  fuzzer "$name" "$2"
  exit
  ;;
keep)
  for folder in "$found"/*; do
    fuzzer "$(basename "$folder")" -merge=1 "fuzz/corpus/$(basename "$folder")" "$folder" 2>&1 | grep 'MERGE-OUTER.*new' || true
  done
  exit
  ;;
esac

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(ASHLAR_FUZZ_TARGET=list "$fuzz/$host/release/ashlar-libfuzzer")
fi
for target in "${targets[@]}"; do
  mkdir -p "$found/$target" "fuzz/artifacts/$target"
  log=$fuzz/$target.log
  if ! fuzzer "$target" -max_total_time="$seconds" "$found/$target" "fuzz/corpus/$target" >"$log" 2>&1; then
    grep -v '^#' "$log" | tail -40
    artifact=$(grep -o 'fuzz/artifacts/[^ ]*' "$log" | tail -1)
    printf 'target %s fails. Once more: scripts/fuzz.sh repeat %s\n' "$target" "$artifact"
    exit 1
  fi
  printf '%-20s %s\n' "$target" "$(tail -1 "$log")"
done
