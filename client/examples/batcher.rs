//! A minimal batcher: every line of standard input is a transaction.
//!
//! ```sh
//! seq 100000 | cargo run --release --example batcher                          # in memory, as a rollup's tests have it
//! seq 100000 | cargo run --release --example batcher -- \
//!     --disperser http://127.0.0.1:3100 --table operators.toml --folder rollup
//! ```

#[allow(dead_code, unreachable_pub)] // it uses its own part
mod rollup;

use std::io::BufRead;

use rollup::{Batcher, Outcome, Told};

#[tokio::main]
async fn main() -> Outcome<()> {
    let told = Told::read()?;
    let (client, block) = told.client()?;
    let (chain, journal) = told.folders()?;
    let mut batcher = Batcher::open(client, chain, &journal)?;
    for line in std::io::stdin().lock().lines() {
        batcher.add(line?.as_bytes())?;
    }
    batcher.close()?;
    let posted = batcher.post(block).await?;
    println!("{posted} frames are certified and on the chain");
    told.end()
}
