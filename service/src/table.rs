//! Whether the operator table can be read, for daemons that check certificates by it and make none.

use std::sync::Arc;
use std::time::Duration;

use ashlar_stake::StakeSource;
use tokio_util::sync::CancellationToken;

use crate::Health;
use crate::health::Cause;

/// The operator table cannot be read, or not the newest one: new certificates may not be checked.
pub const OPERATOR_TABLE: Cause = Cause::degrades("operator_table");

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Looks at the operator table; [`OPERATOR_TABLE`] says what is wrong with it.
pub async fn look(stake: &Arc<dyn StakeSource>, health: &Health) {
    let stake = Arc::clone(stake);
    let look = move || stake.head().and_then(|_| stake.health());
    let why = match tokio::task::spawn_blocking(look).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    health.set(OPERATOR_TABLE, why);
}

/// Looks again every five seconds, until the daemon stops.
pub async fn watch(stake: Arc<dyn StakeSource>, health: Arc<Health>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await;
        look(&stake, &health).await;
    }
}
