//! A rollup that is its own disperser, in one process: the SDK asks the disperser inside of this program, without a socket.
//!
//! ```sh
//! seq 100000 | cargo run --release --example own_disperser -- DIR/disperser.toml ACCOUNT.json PASSWORD
//! ```
//!
//! `ashlar disperser init --own` makes the folder; PASSWORD is the file with the password of the account's key. What comes on standard
//! input is posted, certified and read back.

use std::error::Error;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ashlar_client::{
    Age, Client, DaClient, PayingAccount, Policy, PutOptions, RequiredQuorums, Trust,
};
use ashlar_crypto::account::AccountKey;
use ashlar_crypto::{NetworkKey, keystore};
use ashlar_disperser::{Disperser, DisperserConfig, Embedded};
use ashlar_ledger::HttpStakeSource;
use ashlar_ledger::source::FollowConfig;
use ashlar_net::NetLimits;
use ashlar_stake::StakeSource;
use zeroize::Zeroizing;

/// What functions here give.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The secret of a keystore.
pub fn secret(keystore: &Path, password: &Path) -> Outcome<Zeroizing<[u8; 32]>> {
    let password = Zeroizing::new(std::fs::read_to_string(password)?);
    let text = std::fs::read_to_string(keystore)?;
    Ok(keystore::decrypt(&text, password.trim_end())?.1)
}

// ANCHOR: embed
/// Starts the disperser of a configuration in this process, with a client that posts to it in an account's name.
pub async fn embed(config: DisperserConfig, account: AccountKey) -> Outcome<(Embedded, Client)> {
    let paths = config.paths.clone();
    let key = NetworkKey::from_seed(*secret(&paths.network_key, &paths.password_file)?);
    let following = FollowConfig {
        memory: Some(paths.heads),
        ..FollowConfig::default()
    };
    let stake: Arc<dyn StakeSource> =
        Arc::new(HttpStakeSource::open(&config.operators, following)?);
    let disperser = Disperser::embed(config, key, Arc::clone(&stake)).await?;

    let policy = Policy::new(
        Trust::Source(stake),
        RequiredQuorums::all([0]),
        Age::Within(Duration::from_secs(14 * 24 * 60 * 60)),
    );
    // Readers are nobody in particular: a fresh key for each run.
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let network = ashlar_net::Client::new(&NetworkKey::from_seed(seed), NetLimits::default())?;
    // Further dispersers may be named, too: the blob goes there if the own one fails.
    let client = Client::builder(policy)
        .embedded(disperser.api())
        .account(PayingAccount::new(account))
        .operators(Arc::new(network))
        .build()?;
    Ok((disperser, client))
}
// ANCHOR_END: embed

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, account, password] = &arguments[..] else {
        return Err("needs DIR/disperser.toml, ACCOUNT.json and PASSWORD".into());
    };
    let account = AccountKey::from_bytes(&*secret(account.as_ref(), password.as_ref())?)?;
    let (disperser, client) = embed(DisperserConfig::load(config.as_ref())?, account).await?;
    let mut payload = Vec::new();
    std::io::stdin().lock().read_to_end(&mut payload)?;

    let certified = client
        .put_and_wait(payload.clone().into(), PutOptions::default())
        .await?;
    println!("certified: {}", certified.certificate.blob_key());
    let found = client.get(&certified.certificate).await?;
    if found.payload != payload {
        return Err("something else came back".into());
    }
    println!("read back: {} bytes", found.payload.len());
    disperser.shutdown().await;
    Ok(())
}
