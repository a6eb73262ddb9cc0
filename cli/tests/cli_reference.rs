//! `docs/cli.md` is what the commands say about themselves. `make docs-cli` (ASHLAR_BLESS=1) writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

#[test]
fn the_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let now = ashlar_cli::reference::markdown();
    if std::env::var_os("ASHLAR_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == now, "docs/cli.md is stale; run: make docs-cli");
}

#[test]
fn the_command_tree_is_consistent() {
    ashlar_cli::command().debug_assert();
}
