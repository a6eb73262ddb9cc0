//! Whether operators can reach each other at the addresses of their table: one asks, the other connects back.
//!
//! Who is asked dials nothing but the address that its newest operator table has for the caller's key, so that nobody can have it
//! send packets to somebody else; and not for everybody at once, and for one caller only now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ashlar_crypto::Coded;
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_net::{Client, NetError, Peer};
use ashlar_proto::OperatorId;
use ashlar_proto::table::OperatorEntry;
use ashlar_proto::wire::{Ping, Request};
use ashlar_stake::{StakeError, StakeSource};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::shared::blocking;

/// A caller is dialed once in this time.
pub(crate) const DIAL_EVERY: Duration = Duration::from_secs(10);
/// Callers that are dialed at the same time.
const DIALS: usize = 4;
/// The longest that a caller is dialed.
const DIAL_DEADLINE: Duration = Duration::from_secs(8);
/// The longest that a peer is waited for: that it is reached, and dials.
const ASK_DEADLINE: Duration = Duration::from_secs(15);
/// Peers that are asked.
const ASKED: usize = 3;

/// What `GET /v1/reachability` says: whether peers reach this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reachability {
    /// The address that this operator's entry has in the newest table; none if it has no entry.
    pub address: Option<String>,
    /// What operators said that were asked, at most 3.
    pub peers: Vec<PeerView>,
}

/// What one operator said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerView {
    /// Who.
    pub operator_id: OperatorId,
    /// Its address.
    pub address: String,
    /// What it said.
    pub reach: Reach,
    /// Why, as a stable code, if this node was not reached.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
}

/// Whether a peer reaches this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Yes.
    Reached,
    /// It tried, and does not.
    Unreachable,
    /// It did not answer, or does not know the question.
    Unknown,
}

/// The code of an answer that says: tried, and not reached.
pub(crate) const DIAL_FAILED: &str = "node.dial_failed";

/// Dials peers, and has them dial.
pub(crate) struct Peers {
    client: Client,
    stake: Arc<dyn StakeSource>,
    own: OperatorId,
    places: Semaphore,
    /// Who was dialed when. Only operators get here, and what is older than [`DIAL_EVERY`] is forgotten.
    dialed: Mutex<HashMap<NetworkPublicKey, Instant>>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}

impl Peers {
    pub(crate) fn new(client: Client, stake: Arc<dyn StakeSource>, own: OperatorId) -> Self {
        Self {
            client,
            stake,
            own,
            places: Semaphore::new(DIALS),
            dialed: Mutex::default(),
        }
    }

    /// Whether this caller may be dialed now; then not again for a while.
    fn may_dial(&self, caller: NetworkPublicKey, now: Instant) -> bool {
        let mut dialed = self.dialed.lock().unwrap_or_else(PoisonError::into_inner);
        dialed.retain(|_, at| now.duration_since(*at) < DIAL_EVERY);
        let free = !dialed.contains_key(&caller);
        if free {
            dialed.insert(caller, now);
        }
        free
    }

    /// Connects to an operator. `None`: not now, it was dialed a moment ago, or others are.
    pub(crate) async fn dial(&self, peer: &Peer) -> Option<Result<(), NetError>> {
        let _place = self.places.try_acquire().ok()?;
        if !self.may_dial(peer.network_key, Instant::now()) {
            return None;
        }
        let ping = Request::Ping(Ping { nonce: 0 });
        let answer = self.client.request(peer, ping, Vec::new(), DIAL_DEADLINE);
        Some(answer.await.map(drop))
    }

    /// Asks some operators of the newest table whether they reach this one.
    ///
    /// # Errors
    /// There is no table.
    pub(crate) async fn ask(&self) -> Result<Reachability, StakeError> {
        let stake = Arc::clone(&self.stake);
        let table = blocking(move || stake.newest()).await?;
        let own = |entry: &OperatorEntry| entry.operator_id == self.own;
        let address = table.operators().iter().find(|entry| own(entry));
        let address = address.map(|entry| entry.address.clone());
        let others = table.operators().iter().filter(|entry| !own(entry));
        let asked = match address {
            // Nobody has an address to dial.
            None => Vec::new(),
            Some(_) => chosen(others.collect()),
        };
        let peers = join_all(asked.into_iter().map(|entry| self.ask_one(entry))).await;
        Ok(Reachability { address, peers })
    }

    async fn ask_one(&self, entry: &OperatorEntry) -> PeerView {
        let peer = Peer::from(entry);
        let answer = self
            .client
            .request(&peer, Request::DialMe, Vec::new(), ASK_DEADLINE)
            .await;
        let (reach, error) = match answer {
            Ok(_) => (Reach::Reached, None),
            Err(NetError::Remote(error)) if error.code == DIAL_FAILED => {
                (Reach::Unreachable, Some((error.code, error.message)))
            }
            Err(NetError::Remote(error)) => (Reach::Unknown, Some((error.code, error.message))),
            Err(error) => {
                let why = (error.code().to_owned(), error.to_string());
                (Reach::Unknown, Some(why))
            }
        };
        let (code, message) = error.unzip();
        PeerView {
            operator_id: entry.operator_id,
            address: entry.address.clone(),
            reach,
            code,
            message,
        }
    }
}

/// A few of them, by chance.
fn chosen(mut others: Vec<&OperatorEntry>) -> Vec<&OperatorEntry> {
    let mut chosen = Vec::new();
    while chosen.len() < ASKED && !others.is_empty() {
        let mut bytes = [0; 8];
        // Without randomness it is the first ones: whom this asks is no secret.
        let _ = getrandom::fill(&mut bytes);
        let at = u64::from_le_bytes(bytes) % others.len() as u64;
        chosen.push(others.swap_remove(at as usize));
    }
    chosen
}
