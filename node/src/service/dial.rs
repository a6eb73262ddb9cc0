//! Operators that ask whether they are reached.

use std::sync::PoisonError;

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_net::{Peer, Reply};
use ashlar_proto::wire::{Dialed, Response};

use super::{Service, ServiceError};
use crate::reach::DIAL_EVERY;

impl Service {
    /// Dials the caller at the address of its entry in the newest table that was looked at, and at no other.
    pub(super) async fn dial_back(&self, caller: NetworkPublicKey) -> Result<Reply, ServiceError> {
        let address = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            let mut operators = seen.iter().flat_map(|seen| seen.table.operators());
            let entry = operators.find(|entry| entry.network_key == caller);
            entry.map(|entry| entry.address.clone())
        };
        let peer = Peer {
            address: address.ok_or(ServiceError::NotAnOperator)?,
            network_key: caller,
        };
        match self.identities.peers.dial(&peer).await {
            Some(Ok(())) => Ok(Response::Dialed(Dialed {
                address: peer.address,
            })
            .into()),
            Some(Err(source)) => Err(ServiceError::DialFailed {
                address: peer.address,
                source,
            }),
            None => Err(ServiceError::Overloaded {
                what: "dials",
                retry_after_ms: DIAL_EVERY.as_secs() * 1000,
            }),
        }
    }
}
