#!/usr/bin/env bash
# Checks that this machine can build Ashlar; on Debian and Ubuntu installs what is missing, when it may.
# RocksDB is C++ and its bindings are made with libclang; blst, ring and the EVM's reference library are C.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { printf 'ashlar: %s\n' "$*" >&2; exit 1; }

missing=()
command -v cc >/dev/null 2>&1 || missing+=(build-essential)
command -v c++ >/dev/null 2>&1 || missing+=(build-essential)
libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true; } | grep -q 'libclang[-.0-9]*\.so' && return 0
  compgen -G '/usr/lib/llvm*/lib/libclang*.so*' >/dev/null || compgen -G '/usr/lib*/libclang*.so*' >/dev/null
}
# Bindgen needs the library and, for the compiler's own headers, clang beside it.
libclang || missing+=(libclang-dev)
# clang++ compiles RocksDB (.cargo/config.toml).
for compiler in clang clang++; do command -v "$compiler" >/dev/null 2>&1 || missing+=(clang); done

# The tests put a wrong wall clock before the real binary.
if [ "${1:-}" = lint ]; then
  compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(faketime)
  # For schemathesis, in the long tests.
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
fi

if [ ${#missing[@]} -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      die "missing on this machine: ${missing[*]}. Install them, for instance: sudo apt-get install -y ${missing[*]}"
    fi
  fi
  command -v apt-get >/dev/null 2>&1 || die "missing on this machine, and there is no apt-get: ${missing[*]}"
  printf 'ashlar: installing %s\n' "${missing[*]}" >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null \
    || die "apt-get could not install: ${missing[*]}"
fi

command -v cargo >/dev/null 2>&1 || die "there is no Rust toolchain; get one from https://rustup.rs"
need=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
have=$(rustc --version | awk '{print $2}' | cut -d- -f1)
[ "$(printf '%s\n%s\n' "$need" "$have" | sort -V | head -n1)" = "$need" ] \
  || die "Rust $have is too old, $need is needed: rustup update stable"
if [ "${1:-}" = lint ]; then
  cargo fmt --version >/dev/null 2>&1 || die "rustfmt is missing: rustup component add rustfmt"
  cargo clippy --version >/dev/null 2>&1 || die "clippy is missing: rustup component add clippy"
fi

# A build takes about 4 GiB; refuse before RocksDB has compiled for ten minutes and not after.
target=${CARGO_TARGET_DIR:-target}
if [ ! -e "$target/release/ashlar" ]; then
  free=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
  [ "$free" -ge 8 ] || die "only $free GiB of disk are free here, 8 are needed to build and to run the tests"
fi
