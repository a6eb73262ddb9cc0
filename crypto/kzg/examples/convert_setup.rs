//! Makes `data/ethereum-kzg-setup.bin` from the text or the JSON that Ethereum clients share.
//!
//! ```text
//! cargo run --release -p ashlar-kzg --example convert_setup -- trusted_setup.txt ethereum-kzg-setup.bin
//! ```
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program

use std::error::Error;
use std::io::Write;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: convert_setup TEXT BINARY".into());
    };
    let text = std::fs::read_to_string(&from)?;
    let binary = ashlar_kzg::eip::trusted_setup_to_bytes(&text)?;
    std::fs::write(&to, &binary)?;
    writeln!(std::io::stdout(), "{to}: {} bytes", binary.len())?;
    Ok(())
}
