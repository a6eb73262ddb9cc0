//! The two forms in which Ethereum's clients share a trusted setup.
//!
//! The text: the number of G1 points (4096) and of G2 points (65), then, one compressed point in hex a word, the G1 powers in Lagrange
//! form, the G2 powers, the G1 powers in monomial form. The JSON: one object with the lists `g1_monomial`, `g1_lagrange` and
//! `g2_monomial` of hex strings, in any order.

use super::{G2_POWERS, SetupError};
use crate::ELEMENTS_PER_ROW;
use crate::hex_bytes::parse_hex;

/// The points of each part, as hex.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) lagrange: Vec<&'a str>,
    pub(super) monomial: Vec<&'a str>,
    pub(super) g2: Vec<&'a str>,
}

pub(super) fn read(text: &str) -> Result<Parts<'_>, SetupError> {
    let parts = if text.trim_start().starts_with('{') {
        json(text)?
    } else {
        words(text)?
    };
    for (part, points, expected) in [
        ("lagrange", &parts.lagrange, ELEMENTS_PER_ROW),
        ("monomial", &parts.monomial, ELEMENTS_PER_ROW),
        ("g2", &parts.g2, G2_POWERS),
    ] {
        let got = points.len();
        if got != expected {
            return Err(SetupError::Count {
                part,
                expected,
                got,
            });
        }
    }
    Ok(parts)
}

pub(super) fn bytes<const N: usize>(
    part: &'static str,
    index: usize,
    hex: &str,
) -> Result<[u8; N], SetupError> {
    parse_hex(hex).map_err(|error| SetupError::Hex { part, index, error })
}

fn words(text: &str) -> Result<Parts<'_>, SetupError> {
    let mut words = text.split_whitespace();
    for (part, expected) in [("lagrange", ELEMENTS_PER_ROW), ("g2", G2_POWERS)] {
        let problem = "it does not start with two numbers of points";
        let number = words.next().and_then(|word| word.parse().ok());
        let got = number.ok_or(SetupError::Text { problem })?;
        if got != expected {
            return Err(SetupError::Count {
                part,
                expected,
                got,
            });
        }
    }
    Ok(Parts {
        lagrange: words.by_ref().take(ELEMENTS_PER_ROW).collect(),
        g2: words.by_ref().take(G2_POWERS).collect(),
        monomial: words.collect(),
    })
}

/// No string of the document has an escape in it: between two quotes stands a name or a point, and outside of them what JSON needs.
fn json(text: &str) -> Result<Parts<'_>, SetupError> {
    let refused = |problem| Err(SetupError::Text { problem });
    let mut parts = Parts::default();
    let mut list: Option<&mut Vec<&str>> = None;
    let mut pieces = text.split('"');
    let mut before = outside(pieces.next());
    let mut seen = Vec::new();
    while let Some(string) = pieces.next() {
        let Some(between) = pieces.next() else {
            return refused("a string does not end");
        };
        let after = outside(Some(between));
        match (before.as_str(), after.as_str()) {
            ("{" | "],", ":[") => {
                if seen.contains(&string) {
                    return refused("a list comes twice");
                }
                seen.push(string);
                list = Some(match string {
                    "g1_lagrange" => &mut parts.lagrange,
                    "g1_monomial" => &mut parts.monomial,
                    "g2_monomial" => &mut parts.g2,
                    _ => {
                        return refused(
                            "a list has another name than g1_monomial, g1_lagrange and g2_monomial",
                        );
                    }
                });
            }
            (":[" | ",", "," | "]," | "]}") => match &mut list {
                Some(list) => list.push(string),
                None => return refused("a point stands outside of a list"),
            },
            _ => return refused("it is no object of lists of strings"),
        }
        before = after;
    }
    if before == "]}" {
        Ok(parts)
    } else {
        refused("it does not end as an object of lists of strings does")
    }
}

/// What stands between two strings, without white space.
fn outside(piece: Option<&str>) -> String {
    piece.unwrap_or_default().split_whitespace().collect()
}

#[cfg(test)]
mod tests;
