//! Integers of the ledger: amounts of 256 bits and fractions of 10^18, with every operation checked.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{U256, U512};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::TransactionError;

/// One, as a fraction: 10^18.
pub const WAD: u64 = 1_000_000_000_000_000_000;

/// An amount of tokens (in their smallest unit) or of shares, 0 to 2^256 − 1.
///
/// In text and JSON: decimal digits, as a string, because JSON numbers lose digits beyond 2^53.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub U256);

/// A fraction from 0 to 1 in units of 10^−18: magnitudes, slashed shares, beacon factors.
///
/// In text and JSON: its integer (0 to 10^18) as a string of decimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wad(pub u64);

/// Which way a division rounds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Down,
    Up,
}

fn overflow(what: &'static str) -> TransactionError {
    TransactionError::Overflow { what }
}

/// `a · b / c` with 512 bits in between.
fn mul_div(
    a: U256,
    b: U256,
    c: U256,
    round: Round,
    what: &'static str,
) -> Result<U256, TransactionError> {
    if c.is_zero() {
        return Err(overflow(what));
    }
    let rounded = |quotient: U256, inexact: bool| {
        if inexact && round == Round::Up {
            quotient.checked_add(U256::from(1)).ok_or(overflow(what))
        } else {
            Ok(quotient)
        }
    };
    if let Some(product) = a.checked_mul(b) {
        let (quotient, rest) = product.div_rem(c);
        return rounded(quotient, !rest.is_zero());
    }
    let product: U512 = a.widening_mul(b);
    let (quotient, rest) = product.div_rem(U512::from(c));
    rounded(narrow(quotient, what)?, !rest.is_zero())
}

fn narrow(wide: U512, what: &'static str) -> Result<U256, TransactionError> {
    let [a, b, c, d, high @ ..] = *wide.as_limbs();
    if high.iter().any(|limb| *limb != 0) {
        return Err(overflow(what));
    }
    Ok(U256::from_limbs([a, b, c, d]))
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(U256::ZERO);
    /// The largest amount, 2^256 − 1: in a transaction "all of it".
    pub const ALL: Self = Self(U256::MAX);
    /// 10^18: one whole token of eighteen decimals, and the scaling factor of an untouched position.
    pub const WAD: Self = Self(U256::from_limbs([WAD, 0, 0, 0]));

    /// `whole` tokens of eighteen decimals.
    pub fn ether(whole: u64) -> Self {
        Self(U256::from(u128::from(whole) * u128::from(WAD)))
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// The sum.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, TransactionError> {
        self.0
            .checked_add(other.0)
            .map(Self)
            .ok_or(overflow("a sum"))
    }

    /// The difference.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`] if `other` is larger.
    pub fn minus(self, other: Self) -> Result<Self, TransactionError> {
        self.0
            .checked_sub(other.0)
            .map(Self)
            .ok_or(overflow("a difference"))
    }

    /// The difference, zero if `other` is larger.
    pub fn saturating_minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `⌊self · b / c⌋`.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`] if the result has more than 256 bits or `c` is zero.
    pub fn mul_div(self, b: Self, c: Self) -> Result<Self, TransactionError> {
        mul_div(self.0, b.0, c.0, Round::Down, "a quotient").map(Self)
    }

    /// `⌈self · b / c⌉`.
    ///
    /// # Errors
    ///
    /// As [`mul_div`](Self::mul_div).
    pub fn mul_div_up(self, b: Self, c: Self) -> Result<Self, TransactionError> {
        mul_div(self.0, b.0, c.0, Round::Up, "a quotient").map(Self)
    }

    /// `⌊self · m · l / 10^36⌋`, the product of the two fractions not rounded in between.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`] if the result has more than 256 bits.
    pub fn scaled(self, m: Wad, l: Wad) -> Result<Self, TransactionError> {
        self.mul_div(m.times(l), Wad::ONE.times(Wad::ONE))
    }

    /// `⌊self · 10^36 / (m · l)⌋`.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`] if the result has more than 256 bits or a fraction is zero.
    pub fn unscaled(self, m: Wad, l: Wad) -> Result<Self, TransactionError> {
        self.mul_div(Wad::ONE.times(Wad::ONE), m.times(l))
    }

    /// `⌊self · bps / 10^4⌋`.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`] if the result has more than 256 bits.
    pub fn basis_points(self, bps: u16) -> Result<Self, TransactionError> {
        self.mul_div(Self::from(u64::from(bps)), Self::from(10_000u64))
    }
}

impl Wad {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const ONE: Self = Self(WAD);

    /// `percent` hundredths, 0 to 100.
    pub const fn percent(percent: u64) -> Self {
        Self(percent * (WAD / 100))
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The exact product, in units of 10^−36.
    pub fn times(self, other: Self) -> Amount {
        Amount(U256::from(u128::from(self.0) * u128::from(other.0)))
    }

    /// The sum.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, TransactionError> {
        self.0
            .checked_add(other.0)
            .map(Self)
            .ok_or(overflow("a sum of fractions"))
    }

    /// The difference.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`] if `other` is larger.
    pub fn minus(self, other: Self) -> Result<Self, TransactionError> {
        self.0
            .checked_sub(other.0)
            .map(Self)
            .ok_or(overflow("a difference of fractions"))
    }

    /// `⌈self · wad / 10^18⌉`; with `wad` at most one it is at most `self`.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`] if the result has more than 64 bits.
    pub fn slashed_by(self, wad: Self) -> Result<Self, TransactionError> {
        let product = u128::from(self.0) * u128::from(wad.0);
        u64::try_from(product.div_ceil(u128::from(WAD)))
            .map(Self)
            .map_err(|_| overflow("a fraction"))
    }

    /// `⌊self · b / c⌋`.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`] if the result has more than 64 bits or `c` is zero.
    pub fn mul_div(self, b: Amount, c: Amount) -> Result<Self, TransactionError> {
        let quotient = Amount::from(self).mul_div(b, c)?;
        u64::try_from(quotient.0)
            .map(Self)
            .map_err(|_| overflow("a fraction"))
    }
}

impl From<u64> for Amount {
    fn from(value: u64) -> Self {
        Self(U256::from(value))
    }
}

impl From<u128> for Amount {
    fn from(value: u128) -> Self {
        Self(U256::from(value))
    }
}

impl From<Wad> for Amount {
    fn from(value: Wad) -> Self {
        Self::from(value.0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Wad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Wad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that is no amount: decimal digits without sign, separator or leading zero are expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{got:?} is no {what}: expected decimal digits without sign or leading zero, at most {max}"
)]
pub struct AmountError {
    what: &'static str,
    got: String,
    max: &'static str,
}

/// One text for one number.
fn digits_only(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'))
}

fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        Some(text)
            .filter(|text| digits_only(text))
            .and_then(|text| U256::from_str_radix(text, 10).ok())
            .map(Self)
            .ok_or_else(|| AmountError {
                what: "amount",
                got: shorten(text),
                max: "2^256 - 1",
            })
    }
}

impl FromStr for Wad {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        Some(text)
            .filter(|text| digits_only(text))
            .and_then(|text| text.parse().ok())
            .filter(|value| *value <= WAD)
            .map(Self)
            .ok_or_else(|| AmountError {
                what: "fraction",
                got: shorten(text),
                max: "1000000000000000000",
            })
    }
}

macro_rules! decimal_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

decimal_serde!(Amount);
decimal_serde!(Wad);

#[cfg(feature = "openapi")]
ashlar_crypto::text_schema!(
    Amount,
    ashlar_crypto::openapi::decimal(&U256::MAX.to_string())
);
#[cfg(feature = "openapi")]
ashlar_crypto::text_schema!(Wad, ashlar_crypto::openapi::decimal(&WAD.to_string()));
