//! What is on disk about a blob and about a batch.

use std::time::Duration;

use ashlar_crypto::identity::NetworkSignature;
use ashlar_crypto::{Encoding, Hash};
use ashlar_net::Subnet;
use ashlar_proto::api::{
    BatchStatus, BlobState, BlobStatus, SignedQuorum, StageTimes, StatusError,
};
use ashlar_proto::{
    Account, BatchDigest, BatchHeader, BlobHeader, BlobId, BlobKey, OperatorIndex, Submission,
};
use serde::{Deserialize, Serialize};

use crate::accounts::book::Charge;
use crate::dispersal::Failure;
use crate::state::{BatchState, TransitionError, batch_can_become, blob_can_become};

/// Who posted a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whose share of the disperser it takes.
    pub party: Party,
    /// Account that it names; all zero for none.
    pub account: Account,
}

/// Among whom the disperser is shared. An account that has signed, where not everybody can have one, stands for itself, wherever it
/// posts from. Everybody else stands for a network of addresses: an account is a mere claim then, or made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Network of the address that it came from.
    Network(Subnet),
    /// Account that signed.
    Account(Account),
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Account(account) => account.fmt(f),
        }
    }
}

/// A state that a blob was in, for its event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The state.
    pub state: BlobState,
    /// When it was reached, milliseconds since 1970.
    pub at_ms: u64,
}

/// No more states of one blob are kept than these and the final one.
const MOST_EVENTS: usize = 64;

/// Everything about a blob but its payload, commitments and certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlobRecord {
    /// Its name since it was posted.
    pub id: BlobId,
    /// Place in the order of acceptance.
    pub order: u64,
    /// Protocol version.
    pub version: u16,
    /// Payload encoding.
    pub encoding: Encoding,
    /// Payload bytes.
    pub payload_len: u64,
    /// Rows.
    pub rows: u32,
    /// Quorums, strictly rising.
    pub quorums: Vec<u8>,
    /// Who pays.
    pub account: Account,
    /// Network of the address that it came from.
    pub network: Subnet,
    /// What the account was charged, if it has signed and not everybody is served. Refunded if the blob has failed.
    pub charge: Option<Charge>,
    /// Chosen by the submitter.
    pub salt: u64,
    /// Where it is.
    pub state: BlobState,
    /// When it was accepted.
    pub submitted_at_ms: u64,
    /// When it is forgotten.
    pub expires_at_ms: u64,
    /// When states were reached first.
    pub stages: StageTimes,
    /// Its states, in order: the first ones, and the last if it is final.
    pub events: Vec<Event>,
    /// The client's commitments are stored and nobody has checked them.
    pub claimed: bool,
    /// Its header, once encoded.
    #[serde(with = "headers::blob")]
    pub header: Option<BlobHeader>,
    /// Its key, once encoded.
    pub key: Option<BlobKey>,
    /// Batches that it was put into.
    pub attempts: u32,
    /// The batch that it is, or was last, in.
    pub batch: Option<BatchStatus>,
    /// Why it failed.
    pub error: Option<StatusError>,
}

impl BlobRecord {
    /// A blob as it is accepted.
    pub fn new(
        submission: &Submission,
        network: Subnet,
        rows: u32,
        claimed: bool,
        order: u64,
        now_ms: u64,
        expires_at_ms: u64,
    ) -> Self {
        Self {
            id: submission.id(),
            order,
            version: submission.version,
            encoding: submission.encoding,
            payload_len: submission.payload_len,
            rows,
            quorums: submission.quorums.clone(),
            account: submission.account,
            network,
            charge: None,
            salt: submission.salt,
            state: BlobState::Queued,
            submitted_at_ms: now_ms,
            expires_at_ms,
            stages: StageTimes::default(),
            events: vec![Event {
                state: BlobState::Queued,
                at_ms: now_ms,
            }],
            claimed,
            header: None,
            key: None,
            attempts: 0,
            batch: None,
            error: None,
        }
    }

    /// Who posted it.
    pub fn origin(&self) -> Origin {
        Origin {
            party: match self.charge {
                Some(_) => Party::Account(self.account),
                None => Party::Network(self.network),
            },
            account: self.account,
        }
    }

    /// How long ago it was accepted; zero if the clock went back.
    pub fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.submitted_at_ms))
    }

    /// Goes to another state.
    ///
    /// # Errors
    /// The table of transitions does not have it; then nothing changes.
    pub fn go(&mut self, to: BlobState, now_ms: u64) -> Result<(), TransitionError> {
        if !blob_can_become(self.state, to) {
            return Err(TransitionError {
                what: "blob",
                from: self.state.as_str(),
                to: to.as_str(),
            });
        }
        self.state = to;
        self.stages.reached(to, now_ms);
        if self.events.len() < MOST_EVENTS || to.is_final() {
            self.events.push(Event {
                state: to,
                at_ms: now_ms,
            });
        }
        Ok(())
    }

    /// The header of the encoded blob.
    pub fn make_header(&self, commitments_root: Hash, chunk_root: Hash) -> BlobHeader {
        BlobHeader {
            version: self.version,
            encoding: self.encoding,
            payload_len: self.payload_len,
            rows: self.rows,
            commitments_root,
            chunk_root,
            quorums: self.quorums.clone(),
            account: self.account,
            salt: self.salt,
        }
    }

    /// The answer to "where is it?".
    pub fn status(&self) -> BlobStatus {
        BlobStatus {
            id: self.id,
            key: self.key,
            state: self.state,
            version: self.version,
            encoding: self.encoding,
            quorums: self.quorums.clone(),
            payload_len: self.payload_len,
            rows: self.rows,
            submitted_at_ms: self.submitted_at_ms,
            stages: self.stages,
            batch: self.batch.clone(),
            error: self.error.clone(),
        }
    }

    /// The answer as it goes into the event of a state that it was in.
    pub fn status_at(&self, event: &Event) -> BlobStatus {
        let mut status = self.status();
        status.state = event.state;
        if event.state != BlobState::Failed {
            status.error = None;
        }
        status
    }
}

/// An operator that did not sign a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorFailure {
    /// Index in the table.
    pub operator: OperatorIndex,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last attempt said; nothing if it was still under way.
    pub failure: Option<Failure>,
}

/// Everything about a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// Its header.
    #[serde(with = "headers::batch")]
    pub header: BatchHeader,
    /// Our signature of its digest, once it goes out. Made after the batch is durable under its number.
    pub signature: Option<NetworkSignature>,
    /// Its blobs, in batch order.
    pub blobs: Vec<BlobId>,
    /// Where it is.
    pub state: BatchState,
    /// Indices of the operators that signed, rising, once certified.
    pub signers: Vec<OperatorIndex>,
    /// Stake that signed.
    pub signed: Vec<SignedQuorum>,
    /// Who did not sign, and why, as far as known when it ended.
    pub failures: Vec<OperatorFailure>,
    /// When it is forgotten.
    pub expires_at_ms: u64,
}

impl BatchRecord {
    /// What operators sign.
    pub fn digest(&self) -> BatchDigest {
        self.header.digest()
    }

    /// How long ago it was composed; zero if the clock went back.
    pub fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.header.created_at_ms))
    }

    /// Goes to another state.
    ///
    /// # Errors
    /// The table of transitions does not have it; then nothing changes.
    pub fn go(&mut self, to: BatchState) -> Result<(), TransitionError> {
        if !batch_can_become(self.state, to) {
            return Err(TransitionError {
                what: "batch",
                from: self.state.name(),
                to: to.name(),
            });
        }
        self.state = to;
        Ok(())
    }
}

/// Headers as the hexadecimal text of their ABI encoding: what is hashed is what is stored.
mod headers {
    macro_rules! hex_of {
        ($text:expr) => {
            hex::decode($text).map_err(serde::de::Error::custom)
        };
    }

    pub(super) mod blob {
        use ashlar_proto::BlobHeader;
        use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

        pub(in super::super) fn serialize<S: Serializer>(
            header: &Option<BlobHeader>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            header
                .as_ref()
                .map(|header| hex::encode(header.abi_encode()))
                .serialize(to)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<BlobHeader>, D::Error> {
            Option::<String>::deserialize(from)?
                .map(|text| BlobHeader::abi_decode(&hex_of!(text)?).map_err(de::Error::custom))
                .transpose()
        }
    }

    pub(super) mod batch {
        use ashlar_proto::BatchHeader;
        use serde::{Deserialize, Deserializer, Serializer, de};

        pub(in super::super) fn serialize<S: Serializer>(
            header: &BatchHeader,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            to.serialize_str(&hex::encode(header.abi_encode()))
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<BatchHeader, D::Error> {
            BatchHeader::abi_decode(&hex_of!(String::deserialize(from)?)?)
                .map_err(de::Error::custom)
        }
    }
}
