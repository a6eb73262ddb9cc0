//! The command-line reference, `docs/cli.md`, written from what clap knows, so that it cannot drift from the code.

use std::fmt::Write;

/// The width of the help texts in the reference.
const WIDTH: usize = 100;

/// The reference as Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Command-line reference\n\n\
         Written by `make docs-cli` from the commands' own help; a test fails when it is stale.\n",
    );
    let mut root = crate::command();
    root.build();
    section(&mut out, &root, "ashlar");
    out
}

fn section(out: &mut String, command: &clap::Command, path: &str) {
    let help = command
        .clone()
        .bin_name(path)
        .term_width(WIDTH)
        .max_term_width(WIDTH)
        .render_long_help()
        .to_string();
    let body: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "\n## `{path}`\n\n```text\n{}\n```\n",
        body.join("\n").trim_end()
    );
    for child in command
        .get_subcommands()
        .filter(|child| child.get_name() != "help")
    {
        section(out, child, &format!("{path} {}", child.get_name()));
    }
}
