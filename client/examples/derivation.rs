//! A derivation loop: reads the certificates on the chain in order, checks each under the policy of its block, gets the payloads and
//! prints the transactions.
//!
//! ```sh
//! cargo run --release --example derivation                                    # in memory, over a chain made just now
//! cargo run --release --example derivation -- \
//!     --disperser http://127.0.0.1:3100 --table operators.toml --folder rollup
//! ```

#[allow(dead_code, unreachable_pub)] // it uses its own part
mod rollup;

use std::io::Write;
use std::sync::Arc;

use rollup::{Batcher, Outcome, PATIENCE, Told, derive};

#[tokio::main]
async fn main() -> Outcome<()> {
    let told = Told::read()?;
    let (client, block) = told.client()?;
    let (chain, journal) = told.folders()?;
    if told.in_memory() {
        let mut batcher = Batcher::open(Arc::clone(&client), chain.clone(), &journal)?;
        for number in 0..100 {
            batcher.add(format!("transaction {number}").as_bytes())?;
        }
        batcher.close()?;
        batcher.post(block).await?;
    }
    let derived = derive(client.as_ref(), &chain, PATIENCE).await?;
    let mut out = std::io::stdout().lock();
    for transaction in &derived.transactions {
        out.write_all(transaction)?;
        out.write_all(b"\n")?;
    }
    for (number, code) in &derived.dropped {
        eprintln!("inclusion {number} counts for nothing: {code}");
    }
    told.end()
}
