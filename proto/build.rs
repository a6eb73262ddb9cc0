//! Compiles `proto/ashlar.proto` with protox, so that no `protoc` has to be installed.
#![allow(clippy::disallowed_methods)] // a build script

use std::{env, error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto/ashlar.proto");
    let files = protox::compile(["proto/ashlar.proto"], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    prost_build::Config::new()
        .bytes(["."])
        .out_dir(out)
        .compile_fds(files)?;
    Ok(())
}
