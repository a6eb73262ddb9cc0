#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Coded;
use ashlar_proto::{VERSIONS, version};

use super::testing::share;
use super::*;

/// 55/100 − 512/(384 · 8) = 11/20 − 1/6; the others alike.
#[test]
fn alpha_of_each_version() {
    assert_eq!(alpha(version(1).unwrap()), Ok(share(23, 60)));
    // 55/100 − 4096/(3072 · 8).
    assert_eq!(alpha(version(2).unwrap()), Ok(share(23, 60)));
    // 67/100 − 2048/(1792 · 4).
    assert_eq!(alpha(version(3).unwrap()), Ok(share(269, 700)));
    for version in VERSIONS.iter() {
        // The version's safety inequality, said with α.
        let safety = share(u64::from(version.safety_percent), 100);
        assert!(alpha(version).unwrap().to_rational() >= safety.to_rational());
    }
}

#[test]
fn a_version_that_cannot_lose_anything_has_no_alpha() {
    let mut broken = *version(1).unwrap();
    broken.confirmation_percent = 16;
    assert_eq!(alpha(&broken).unwrap_err().code(), "fraction.range");
}
