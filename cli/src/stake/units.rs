//! Numbers as people write and read them: exact, never rounded, never through a float.

use std::fmt::Display;
use std::str::FromStr;

use ashlar_restaking::{Amount, Wad};

/// Decimals of a whole token.
const DECIMALS: usize = 18;

/// What a text is not, in words for the person who typed it.
pub type ValueError = String;

/// `1.5eth`, `20gwei`, `7wei`, or decimal digits: base units, 10^18 to a whole token.
///
/// # Errors
/// Anything else, more decimals than the unit has, or more than 256 bits.
pub fn amount(text: &str) -> Result<Amount, ValueError> {
    let (number, decimals) = match split_unit(text) {
        (number, "" | "wei") => (number, 0),
        (number, "gwei") => (number, 9),
        (number, "eth" | "ether") => (number, DECIMALS),
        (_, unit) => {
            return Err(format!(
                "{unit:?} is no unit: write eth, gwei or wei, or no unit for base units"
            ));
        }
    };
    if number.contains('.') && decimals == 0 {
        return Err("base units have no decimals: write 1.5eth for one and a half".to_owned());
    }
    shifted(number, decimals)?
        .parse()
        .map_err(|error: ashlar_restaking::AmountError| error.to_string())
}

/// A decimal number in units of 10^−18, as multipliers are: `1.05`.
///
/// # Errors
/// As [`amount`].
pub fn decimal(text: &str) -> Result<Amount, ValueError> {
    shifted(text, DECIMALS)?
        .parse()
        .map_err(|error: ashlar_restaking::AmountError| error.to_string())
}

/// A part of a whole: `50%`, `0.5`, or its exact integer `500000000000000000wad`.
///
/// # Errors
/// Anything else; above one. A bare integer could mean either, so it is refused.
pub fn wad(text: &str) -> Result<Wad, ValueError> {
    let digits = if let Some(percent) = text.strip_suffix('%') {
        shifted(percent.trim_end(), DECIMALS - 2)?
    } else if let Some(exact) = text.strip_suffix("wad") {
        exact.trim_end().to_owned()
    } else if text.contains('.') {
        shifted(text, DECIMALS)?
    } else {
        return Err("write a part as 50%, 0.5 or 500000000000000000wad".to_owned());
    };
    digits.parse().map_err(|_| {
        format!("{text:?} is no part of a whole: at most 100%, with at most 18 decimals")
    })
}

/// Basis points: `250`, or `2.5%`.
///
/// # Errors
/// Anything else, or more than `max`.
pub fn basis_points<T>(text: &str, max: T) -> Result<T, ValueError>
where
    T: FromStr + PartialOrd + Display,
{
    let digits = match text.strip_suffix('%') {
        Some(percent) => shifted(percent.trim_end(), 2)?,
        None => text.to_owned(),
    };
    match digits.parse::<T>() {
        Ok(bps) if bps <= max => Ok(bps),
        Ok(bps) => Err(format!("{bps} basis points, at most {max} are allowed")),
        Err(_) => Err(format!("{text:?}: write basis points as 250 or 2.5%")),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    (number.trim_end(), unit)
}

/// The digits of `text · 10^decimals`, which has to be an integer.
fn shifted(text: &str, decimals: usize) -> Result<String, ValueError> {
    let bad = || format!("{text:?} is no number: write decimal digits, as in 12 or 0.5");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(part) || text.ends_with('.') {
        return Err(bad());
    }
    if part.len() > decimals {
        return Err(format!("{text:?} has more than {decimals} decimals"));
    }
    if whole.len() > 80 {
        return Err(bad());
    }
    let digits = format!("{whole}{part:0<decimals$}");
    let trimmed = digits.trim_start_matches('0');
    Ok(if trimmed.is_empty() { "0" } else { trimmed }.to_owned())
}

/// An amount of a token of eighteen decimals, all of them that are not zero: `1.5`.
pub fn whole(amount: Amount) -> String {
    place_point(&amount.to_string(), DECIMALS)
}

/// As [`whole`], with its unit.
pub fn ether(amount: Amount) -> String {
    format!("{} ETH", whole(amount))
}

/// A part of a whole in percent, exact: `12.5 %`.
pub fn percent(part: Wad) -> String {
    format!("{} %", place_point(&part.to_string(), DECIMALS - 2))
}

/// Basis points in percent, exact: `2.5 %`.
pub fn bps_percent(bps: u64) -> String {
    format!("{} %", place_point(&bps.to_string(), 2))
}

/// Tokens for a share, cut after 18 decimals: a vault's rate.
pub fn ratio(over: Amount, under: Amount) -> String {
    over.mul_div(Amount::WAD, under)
        .map_or_else(|_| "-".to_owned(), whole)
}

fn place_point(digits: &str, decimals: usize) -> String {
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, part) = padded
        .split_at_checked(padded.len() - decimals)
        .unwrap_or((&padded, ""));
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }
}

/// The first and the last characters of a long id.
pub fn short(id: impl std::fmt::Display) -> String {
    let id = id.to_string();
    match (id.get(..10), id.get(id.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if id.len() > 20 => format!("{head}…{tail}"),
        _ => id,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
