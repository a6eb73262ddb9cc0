//! The code in docs/rollup-guide.md is that of the examples, which run. `ASHLAR_BLESS=1` writes it there.

use std::path::Path;

/// What stands between the markers of this name, without their indentation.
fn part(file: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .skip_while(|line| line.trim() != format!("// ANCHOR: {name}"))
        .skip(1)
        .take_while(|line| line.trim() != format!("// ANCHOR_END: {name}"))
        .collect();
    assert!(!lines.is_empty(), "{file} has no part {name}");
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = filled.map(indent).min().unwrap();
    lines
        .iter()
        .map(|line| format!("{}\n", line.get(indent..).unwrap_or_default()))
        .collect()
}

#[test]
fn the_guide_shows_the_code_that_runs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rollup-guide.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let mut made = String::new();
    let mut rest = guide.as_str();
    let mut parts = 0;
    while let Some((before, after)) = rest.split_once(" -->\n```rust\n") {
        let (_, name) = before.rsplit_once("<!-- ").unwrap();
        let (file, part_name) = name.split_once(": ").unwrap();
        let (_, after) = after.split_once("```\n").unwrap();
        let code = part(file, part_name);
        made += &format!("{before} -->\n```rust\n{code}```\n");
        rest = after;
        parts += 1;
    }
    made += rest;
    assert_eq!(parts, 5);
    if std::env::var_os("ASHLAR_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    } else {
        assert!(
            made == guide,
            "the guide shows other code: ASHLAR_BLESS=1 cargo test --release --workspace --test client guide"
        );
    }
}
