//! What a command says and where: data on standard output, everything else on standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::{CliError, CliResult};

/// How the person wants to be spoken to: the global options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ui {
    /// Data as JSON, errors as one JSON object.
    pub json: bool,
    /// Only data and errors.
    pub quiet: bool,
}

impl Ui {
    /// A line for the person, on standard error; silent with `--quiet` or `--json`.
    pub fn note(&self, line: impl AsRef<str>) {
        if !self.quiet && !self.json {
            eprintln!("{}", line.as_ref());
        }
    }

    /// A line that matters even with `--quiet`. With `--json` it becomes an object with the key `warning`.
    pub fn warn(&self, line: impl AsRef<str>) {
        if self.json {
            eprintln!("{}", serde_json::json!({ "warning": line.as_ref() }));
        } else {
            eprintln!("warning: {}", line.as_ref());
        }
    }

    /// The result of a command: `text` for people, `value` for scripts, on standard output.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn data<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> CliResult {
        let mut line = if self.json {
            serde_json::to_string(value).map_err(|error| {
                CliError::new(
                    crate::error::Exit::Failure,
                    "output.json",
                    "could not print the result",
                )
                .because(error.to_string())
            })?
        } else {
            text()
        };
        if !line.ends_with('\n') {
            line.push('\n');
        }
        write_stdout(line.as_bytes())
    }

    /// A progress line on a terminal; nothing at all where nobody watches.
    pub fn progress(&self, total: u64, message: &str) -> ProgressBar {
        let watched = std::io::stderr().is_terminal() && !self.quiet && !self.json;
        let bar = ProgressBar::with_draw_target(
            Some(total),
            if watched {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            },
        );
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg:38} [{bar:30}] {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(message.to_owned());
        if watched {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        bar
    }
}

/// Writes to standard output; a reader that went away (`| head`) is no error worth a message.
pub fn write_stdout(bytes: &[u8]) -> CliResult {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::io("could not write to standard output", &error)),
    }
}

/// `1234567` as `1.18 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match UNITS.get(unit) {
        Some(name) if unit == 0 => format!("{count} {name}"),
        Some(name) => format!("{value:.2} {name}"),
        None => count.to_string(),
    }
}

/// A stake in decimal as a person reads it: those of real assets count 10⁻¹⁸ of a token, `2400000000000000000000` is
/// `2400e18`. Small numbers and fractions beyond a thousandth stay as they are.
pub fn stake(decimal: &str) -> String {
    const DIGITS: usize = 18;
    let Some((whole, rest)) = decimal
        .len()
        .checked_sub(DIGITS)
        .and_then(|at| decimal.split_at_checked(at))
        .filter(|(whole, _)| !whole.is_empty())
    else {
        return decimal.to_owned();
    };
    match rest.split_at_checked(3) {
        Some((thousandths, below)) if below.bytes().all(|digit| digit == b'0') => {
            match thousandths.trim_end_matches('0') {
                "" => format!("{whole}e18"),
                fraction => format!("{whole}.{fraction}e18"),
            }
        }
        _ => decimal.to_owned(),
    }
}

/// Milliseconds as a person reads them: `850 ms`, `2.41 s`, `3 min 05 s`.
pub fn millis(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms} ms"),
        1000..=59_999 => format!("{:.2} s", ms as f64 / 1000.0),
        _ => format!("{} min {:02} s", ms / 60_000, ms / 1000 % 60),
    }
}

/// Milliseconds since 1970 as `2026-11-24 16:31:07 UTC`.
pub fn utc(ms: u64) -> String {
    let (days, seconds) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Days since 1 March of the year 0, in eras of 400 years; years begin in March, so that the leap day is their last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!(
        "{:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        400 * era + year + next_year,
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A span of milliseconds in days, hours and minutes: `20 days 3 h 05 min`.
pub fn span(ms: u64) -> String {
    let minutes = ms / 60_000;
    format!(
        "{} days {} h {:02} min",
        minutes / 1440,
        minutes / 60 % 24,
        minutes % 60
    )
}

/// Columns aligned by their widest cell, the first row is the head. A column is right-aligned if all its cells below the head
/// begin with a digit or are a dash.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let numeric = |column: usize| {
        !rows.is_empty()
            && rows.iter().all(|row| {
                row.get(column)
                    .is_some_and(|cell| cell == "-" || is_number(cell))
            })
    };
    let right: Vec<bool> = (0..head.len()).map(numeric).collect();
    let all: Vec<Vec<String>> =
        std::iter::once(head.iter().map(|cell| (*cell).to_owned()).collect())
            .chain(rows)
            .collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            all.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in &all {
        let mut line = String::new();
        for ((column, cell), width) in row.iter().enumerate().zip(&widths) {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            if column > 0 {
                line.push_str("  ");
            }
            if right.get(column).copied().unwrap_or(false) {
                line.push_str(&pad);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&pad);
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Digits, with a percent sign, an exponent or a time's unit behind them.
fn is_number(cell: &str) -> bool {
    let cell = [" ms", " s"]
        .into_iter()
        .find_map(|unit| cell.strip_suffix(unit))
        .unwrap_or(cell);
    cell.starts_with(|c: char| c.is_ascii_digit())
        && !cell.starts_with("0x")
        && cell
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b' ' | b'%' | b'e'))
}

/// A list of names and values, the values under each other.
pub fn aligned(rows: &[(&str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("{name:<width$}  {value}\n"))
        .collect()
}

/// As [`aligned`], of names and anything that can be shown: `pairs! { "name": value, … }`.
macro_rules! pairs {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::ui::aligned(&[$(($name, $value.to_string())),*])
    };
}

/// A [`table`] of a list, or a sentence if it is empty: `listing! { list, "sentence", |item| let … ; "head": cell, … }`.
macro_rules! listing {
    ($list:expr, $none:literal, |$item:ident| $(let $name:ident = $value:expr;)* $($head:literal: $cell:expr),* $(,)?) => {{
        let rows = $list.iter().map(|$item| {
            $(let $name = $value;)*
            vec![$($cell.to_string()),*]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        match rows.is_empty() {
            true => concat!($none, "\n").to_owned(),
            false => $crate::ui::table(&[$($head),*], rows),
        }
    }};
}

pub(crate) use {listing, pairs};

#[cfg(test)]
mod tests;
