//! Makes `data/ethereum-kzg-setup.bin` from the text file that Ethereum clients share.
//!
//! ```text
//! cargo run --release -p ashlar-kzg --example convert_setup -- trusted_setup.txt ethereum-kzg-setup.bin
//! ```
//!
//! The text: the number of G1 points (4096) and of G2 points (65), then, one compressed point in hex a line, the G1
//! powers in Lagrange form, the G2 powers, the G1 powers in monomial form. It is `trusted_setup_4096.json` of the
//! consensus specifications in the form of the c-kzg-4844 repository.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program

use std::error::Error;
use std::io::Write;

use blst::min_sig::{PublicKey, Signature};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: convert_setup TEXT BINARY".into());
    };
    let binary = convert(&std::fs::read_to_string(&from)?)?;
    std::fs::write(&to, &binary)?;
    writeln!(std::io::stdout(), "{to}: {} bytes", binary.len())?;
    Ok(())
}

fn convert(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut words = text.split_whitespace();
    let mut count =
        || -> Result<usize, Box<dyn Error>> { Ok(words.next().ok_or("too short")?.parse()?) };
    let (g1, g2) = (count()?, count()?);
    if (g1, g2) != (4096, 65) {
        return Err(format!("expected 4096 and 65 points, not {g1} and {g2}").into());
    }
    let points = words.map(hex::decode).collect::<Result<Vec<_>, _>>()?;
    if points.len() != 2 * g1 + g2 {
        return Err(format!("expected {} points, found {}", 2 * g1 + g2, points.len()).into());
    }
    let (lagrange, rest) = points.split_at(g1);
    let (g2, monomial) = rest.split_at(g2);
    let mut binary = b"ASHLKZG1".to_vec();
    for point in lagrange.iter().chain(monomial) {
        let point = Signature::sig_validate(point, true).map_err(|error| format!("{error:?}"))?;
        binary.extend_from_slice(&point.serialize());
    }
    for point in g2 {
        let point = PublicKey::key_validate(point).map_err(|error| format!("{error:?}"))?;
        binary.extend_from_slice(&point.serialize());
    }
    Ok(binary)
}
