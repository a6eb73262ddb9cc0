//! `docs/cli.md` is what the commands say about themselves. `make docs-cli` (ASHLAR_BLESS=1) writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ops;

use std::collections::BTreeMap;
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

/// clap hands a global option down unless the command below has an argument of the same id, and says nothing of it.
#[test]
fn no_command_shadows_a_global_option() {
    fn look(command: &clap::Command, globals: &BTreeMap<String, Option<String>>, path: &str) {
        let mut below = globals.clone();
        for argument in command.get_arguments() {
            let (id, long) = (argument.get_id().to_string(), argument.get_long());
            if let Some(global) = globals.get(&id) {
                assert_eq!(global.as_deref(), long, "{path}: {id} is another option");
            }
            if argument.is_global_set() {
                below.insert(id, long.map(str::to_owned));
            }
        }
        for child in command.get_subcommands() {
            look(child, &below, &format!("{path} {}", child.get_name()));
        }
    }
    look(&ashlar_cli::command(), &BTreeMap::new(), "ashlar");
}
