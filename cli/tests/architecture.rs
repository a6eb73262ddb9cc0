//! The house rules that no compiler and no lint checks: which crate may know which, where `unsafe` may live, how long a file may be.
//! Which rooms have no IO and no clock stands in their `clippy.toml`.
//!
//! Nothing is compiled or fetched: the manifests and the sources are read as they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const CRATES: [&str; 18] = [
    "crypto",
    "crypto/derive",
    "crypto/kzg",
    "proto",
    "stake",
    "restaking",
    "net",
    "service",
    "fetch",
    "node",
    "disperser",
    "retriever",
    "client",
    "proxy",
    "ledger",
    "cli",
    "bench",
    "testing",
    "fuzz",
];

/// What each crate may import of the others: only what lies below it.
fn allowed(name: &str) -> &'static [&'static str] {
    match name {
        "crypto/derive" => &[],
        "crypto/kzg" => &["derive"],
        "crypto" => &["kzg"],
        "proto" => &["crypto"],
        "testing" => &["crypto", "proto", "stake"],
        // Nothing but tests stands on it: `crates_import_only_what_lies_below_them` looks at those, too.
        "stake" => &["crypto", "proto", "testing"],
        "restaking" => &["crypto", "proto", "stake", "testing"],
        "net" => &["crypto", "proto", "testing"],
        "service" => &["crypto", "proto", "stake", "net"],
        // Whom to ask for what, and whether it is right: for whoever reads or repairs.
        "fetch" => &["crypto", "proto", "stake", "net", "service"],
        // Over HTTP, like everything that is not a node: it needs no QUIC.
        "ledger" => &[
            "crypto",
            "proto",
            "stake",
            "restaking",
            "service",
            "testing",
        ],
        // The three services stand side by side and never import each other.
        "node" => &[
            "crypto",
            "proto",
            "stake",
            "restaking",
            "net",
            "service",
            "fetch",
            "testing",
        ],
        "disperser" => &["crypto", "proto", "stake", "net", "service", "testing"],
        "retriever" => &[
            "crypto", "proto", "stake", "net", "service", "fetch", "testing",
        ],
        "client" => &[
            "crypto",
            "proto",
            "stake",
            "net",
            "service",
            "retriever",
            "testing",
        ],
        // Over the SDK: no database, and no disperser unless whoever starts it hands one over.
        "proxy" => &[
            "crypto",
            "proto",
            "stake",
            "service",
            "retriever",
            "client",
            "testing",
        ],
        "bench" => &["crypto", "proto"],
        // Targets for what all of them read.
        "fuzz" => &[
            "crypto",
            "proto",
            "stake",
            "restaking",
            "net",
            "node",
            "disperser",
            "ledger",
            "testing",
        ],
        "cli" => &[
            "crypto",
            "proto",
            "stake",
            "restaking",
            "net",
            "service",
            "fetch",
            "node",
            "disperser",
            "retriever",
            "client",
            "proxy",
            "ledger",
            "bench",
            "testing",
        ],
        other => panic!("a new crate {other}: say here what it may import"),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn manifest(name: &str) -> toml::Table {
    let path = root().join(name).join("Cargo.toml");
    std::fs::read_to_string(&path)
        .unwrap()
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every dependency table of a manifest: normal, dev, build, and those of a `[target.…]`.
fn dependencies(manifest: &toml::Table, dev: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut tables: Vec<&toml::Table> = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    for table in tables {
        for key in ["dependencies", "build-dependencies", "dev-dependencies"] {
            if key == "dev-dependencies" && !dev {
                continue;
            }
            if let Some(section) = table.get(key).and_then(toml::Value::as_table) {
                for (name, value) in section {
                    let package = value
                        .get("package")
                        .and_then(toml::Value::as_str)
                        .unwrap_or(name);
                    found.insert(package.to_owned());
                }
            }
        }
    }
    found
}

fn own(dependencies: &BTreeSet<String>) -> BTreeSet<String> {
    dependencies
        .iter()
        .filter_map(|name| name.strip_prefix("ashlar-"))
        .map(str::to_owned)
        .collect()
}

/// All `.rs` files of a crate's `src`.
fn sources(name: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(name).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "{name} has no sources");
    files.sort();
    files
}

/// A test module in a file of its own: `tests.rs`, `foo_tests.rs`, anything under `tests/`.
fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name == "tests.rs"
        || name.ends_with("_tests.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn crates_import_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for name in CRATES {
        let may: BTreeSet<String> = allowed(name).iter().map(|&name| name.to_owned()).collect();
        for import in own(&dependencies(&manifest(name), true)).difference(&may) {
            wrong.push(format!("{name} imports {import}"));
        }
    }
    assert!(wrong.is_empty(), "arrows run downwards only: {wrong:?}");
}

#[test]
fn every_crate_of_the_workspace_is_judged() {
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let members: BTreeSet<&str> = workspace["workspace"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member.as_str().unwrap())
        .collect();
    assert_eq!(members, CRATES.into_iter().collect::<BTreeSet<_>>());
    for name in CRATES {
        assert_eq!(
            manifest(name)["package"]["name"].as_str().unwrap(),
            format!("ashlar-{}", name.rsplit('/').next().unwrap())
        );
    }
}

#[test]
fn versions_are_named_in_one_place() {
    for name in CRATES {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let manifest = manifest(name);
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (dependency, value) in table {
                assert_eq!(
                    value.get("workspace").and_then(toml::Value::as_bool),
                    Some(true),
                    "{name} names a version of {dependency}; that belongs into the workspace's Cargo.toml"
                );
            }
        }
    }
}

/// Names of all packages that are compiled for this one, with its default features.
fn needed_by(package: &str) -> BTreeSet<String> {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package", package])
        .args(["--edges", "normal,build", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    let lines = String::from_utf8(tree.stdout).unwrap();
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

/// A rollup that links the SDK, or tests over its twin in memory, compiles no database, and no disperser unless it embeds one.
#[test]
fn the_sdk_needs_no_database() {
    let packages = needed_by("ashlar-client");
    assert!(packages.contains("ashlar-retriever"), "{packages:?}");
    for daemon in ["rocksdb", "ashlar-disperser", "ashlar-node"] {
        assert!(!packages.contains(daemon), "{daemon} in {packages:?}");
    }
}

/// Whoever wants KZG alone compiles no thread pool, no formats and nothing that keystores and accounts are made of.
#[test]
fn kzg_alone_needs_little() {
    let packages = needed_by("ashlar-kzg");
    assert!(packages.contains("blst"), "{packages:?}");
    for other in [
        "rayon",
        "serde",
        "serde_json",
        "utoipa",
        "scrypt",
        "pbkdf2",
        "aes",
        "ring",
        "k256",
        "tokio",
    ] {
        assert!(!packages.contains(other), "{other} in {packages:?}");
    }
}

/// `unsafe` lives in one room, the kernels of crypto/kzg; a file there that opens the door says so with an `allow`.
#[test]
fn unsafe_stays_in_its_room() {
    for name in CRATES {
        for path in sources(name) {
            let room = root().join("crypto/kzg/src/kernel");
            // The lint denies it; only a file that says so may have it.
            if std::fs::read_to_string(&path)
                .unwrap()
                .contains("allow(unsafe_code)")
            {
                assert!(
                    path.starts_with(&room),
                    "{} has unsafe code",
                    path.display()
                );
            }
        }
    }
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(),
        Some("deny")
    );
    for name in CRATES {
        assert_eq!(
            manifest(name)["lints"]["workspace"].as_bool(),
            Some(true),
            "{name} opts out of the lints"
        );
    }
}

#[test]
fn files_stay_readable_in_one_sitting() {
    const LIMIT: usize = 800;
    for name in CRATES {
        for path in sources(name).iter().filter(|path| !is_test(path)) {
            let lines = std::fs::read_to_string(path).unwrap().lines().count();
            assert!(
                lines <= LIMIT,
                "{} has {lines} lines; split it before {LIMIT}",
                path.display()
            );
        }
    }
}
