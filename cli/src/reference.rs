//! The command-line reference, `docs/cli.md`, written from what clap knows, so that it cannot drift from the code.

use std::fmt::Write;

/// The width of the help texts in the reference.
const WIDTH: usize = 100;

/// The reference as Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Command-line reference\n\n\
         Written by `make docs-cli` from the commands' own help; a test fails when it is stale. Options that all commands below one \
         have are listed there only.\n",
    );
    let mut root = crate::command();
    root.build();
    section(&mut out, &root, None, "ashlar");
    out
}

fn section(out: &mut String, command: &clap::Command, above: Option<&clap::Command>, path: &str) {
    let told = |argument: &clap::Arg| {
        let same = |other: &&clap::Arg| other.get_id() == argument.get_id();
        let inherited = |above: &clap::Command| above.get_arguments().any(|other| same(&other));
        (argument.is_global_set() || argument.get_id() == "help") && above.is_some_and(inherited)
    };
    let help = command
        .clone()
        .mut_args(|argument| {
            let hidden = told(&argument);
            if hidden {
                argument.hide(true)
            } else {
                argument
            }
        })
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
        let path = format!("{path} {}", child.get_name());
        section(out, child, Some(command), &path);
    }
}
