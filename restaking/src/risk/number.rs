//! Fractions as people write them, and the slack.

use std::{fmt, str::FromStr};

use ashlar_crypto::Coded;
use num_bigint::BigInt;
use num_traits::{One, Signed, Zero};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::Rational;

/// A share: above zero, at most one, in lowest terms. Text and files: `11/20`, `0.55` or `55%`, written as `11/20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fraction {
    numerator: u64,
    denominator: u64,
}

/// Why something is no [`Fraction`].
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "fraction", blame = Caller)]
pub enum FractionError {
    /// Zero, negative, above one, or over zero.
    #[error("{numerator}/{denominator} is not a share: it must be above 0 and at most 1")]
    Range {
        /// Number above the line.
        numerator: u64,
        /// Number below the line.
        denominator: u64,
    },
    /// Neither `a/b` nor a decimal number nor a percentage.
    #[error("{got:?} is not a share; write it as 11/20, 0.55 or 55%, with at most 18 digits")]
    Malformed {
        /// The text, cut to 40 characters.
        got: String,
    },
}

impl Fraction {
    /// The whole.
    pub const ONE: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    /// `numerator / denominator`, reduced.
    ///
    /// # Errors
    /// [`FractionError::Range`].
    pub fn new(numerator: u64, denominator: u64) -> Result<Self, FractionError> {
        if numerator == 0 || numerator > denominator {
            return Err(FractionError::Range {
                numerator,
                denominator,
            });
        }
        let divisor = gcd(numerator, denominator);
        Ok(Self {
            numerator: numerator / divisor,
            denominator: denominator / divisor,
        })
    }

    /// Above the line, in lowest terms.
    pub fn numerator(&self) -> u64 {
        self.numerator
    }

    /// Below the line, in lowest terms.
    pub fn denominator(&self) -> u64 {
        self.denominator
    }

    /// As an exact number.
    pub fn to_rational(&self) -> Rational {
        Rational::new(self.numerator.into(), self.denominator.into())
    }
}

/// The greatest common divisor; both above zero.
fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl FromStr for Fraction {
    type Err = FractionError;

    fn from_str(text: &str) -> Result<Self, FractionError> {
        let malformed = || FractionError::Malformed {
            got: text.chars().take(40).collect(),
        };
        let number = |digits: &str| {
            (!digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|c| c.is_ascii_digit()))
                .then(|| digits.parse::<u64>().ok())
                .flatten()
        };
        if let Some((numerator, denominator)) = text.split_once('/') {
            let (numerator, denominator) = number(numerator)
                .zip(number(denominator))
                .ok_or_else(malformed)?;
            return Self::new(numerator, denominator);
        }
        let (text, mut denominator) = match text.strip_suffix('%') {
            Some(percent) => (percent, 100u64),
            None => (text, 1),
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() || text.ends_with('.') {
            return Err(malformed());
        }
        let numerator = number(&format!("{whole}{decimals}")).ok_or_else(malformed)?;
        for _ in decimals.chars() {
            denominator = denominator.checked_mul(10).ok_or_else(malformed)?;
        }
        Self::new(numerator, denominator)
    }
}

impl Serialize for Fraction {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// How much more the cheapest attack costs than it earns, as a share of what it earns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slack {
    /// `(1 + γ)` times the profit of any attack is at most what it loses. −1 if profit is to be had for nothing.
    Finite(Rational),
    /// No service has any profit: nothing can be gained.
    Unbounded,
}

impl Slack {
    /// `cost / profit − 1`; unbounded without profit.
    pub(crate) fn of(cost: &Rational, profit: &Rational) -> Self {
        if profit.is_zero() {
            Self::Unbounded
        } else {
            Self::Finite(cost / profit - Rational::one())
        }
    }

    /// The number, if there is one.
    pub fn finite(&self) -> Option<&Rational> {
        match self {
            Self::Finite(slack) => Some(slack),
            Self::Unbounded => None,
        }
    }

    /// Above zero: what a certificate needs to say anything about shocks.
    pub fn is_positive(&self) -> bool {
        self.finite().is_none_or(|slack| slack.is_positive())
    }

    /// For people: the fraction if it is short, and four digits, rounded down.
    pub fn describe(&self) -> String {
        match self {
            Self::Unbounded => "unbounded (no profit anywhere)".to_owned(),
            Self::Finite(slack) => describe(slack),
        }
    }
}

impl Serialize for Slack {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unbounded => to.serialize_str("unbounded"),
            Self::Finite(slack) => to.collect_str(slack),
        }
    }
}

/// A number in four decimals, rounded down; with the fraction in front if that is short.
pub(crate) fn describe(number: &Rational) -> String {
    let exact = number.to_string();
    let decimal = decimal(number);
    if exact.len() <= 15 && exact.contains('/') {
        format!("{exact} = {decimal}")
    } else {
        decimal
    }
}

/// Four decimals, rounded towards minus infinity, so that a slack is never shown as larger than it is.
pub(crate) fn decimal(number: &Rational) -> String {
    let scaled = (number * Rational::from_integer(10_000.into()))
        .floor()
        .to_integer();
    let sign = if scaled.is_negative() { "-" } else { "" };
    let scaled = scaled.abs();
    let unit = BigInt::from(10_000);
    let whole = &scaled / &unit;
    let rest = (&scaled % &unit).to_string();
    format!("{sign}{whole}.{rest:0>4}")
}

#[cfg(test)]
mod tests;
