//! Callers that sign: JSON web tokens with HS256, as execution clients have them. The secret is 32 bytes, the token is good for a minute.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

use crate::config::ConfigError;

/// Seconds by which clocks may differ, and a token be old.
const LEEWAY: u64 = 60;
/// A token is no longer, bytes.
const MAX_TOKEN: usize = 4096;

/// The secret that callers share with this proxy.
pub(super) struct Secret([u8; 32]);

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iat: u64,
    exp: Option<u64>,
}

impl Secret {
    /// Reads 32 bytes in hexadecimal.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let invalid =
            |why: String| ConfigError::invalid("arbitrum.jwt_secret", path.display(), why);
        let text = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
        let text = text.trim();
        let mut secret = [0; 32];
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let read = hex::decode_to_slice(digits, &mut secret);
        read.map_err(|_| invalid("it has to hold 32 bytes in hexadecimal".to_owned()))?;
        Ok(Self(secret))
    }

    #[cfg(test)]
    pub(super) fn of(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// Whether `Authorization` has a token of this secret, of about now (seconds since 1970).
    pub(super) fn has_signed(&self, header: &[u8], now: u64) -> bool {
        header.len() <= MAX_TOKEN
            && self.claims(header).is_some_and(|claims| {
                claims.iat.abs_diff(now) <= LEEWAY && claims.exp.is_none_or(|end| end >= now)
            })
    }

    fn claims(&self, header: &[u8]) -> Option<Claims> {
        let token = std::str::from_utf8(header).ok()?.strip_prefix("Bearer ")?;
        let (signed, signature) = token.trim().rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // Any length is a key.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(signed.as_bytes());
        mac.verify_slice(&signature).ok()?;
        let (head, claims) = signed.split_once('.')?;
        let head: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        (head.alg == "HS256").then_some(claims)
    }
}

#[cfg(test)]
mod tests;
