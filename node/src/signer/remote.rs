//! A BLS key in another process, as a node asks for its signatures: [`ashlar_net`]'s QUIC, with pinned keys on both sides.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Blame;
use ashlar_crypto::bls::{PublicKey, PublicKeyBytes, Signature, SignatureBytes};
use ashlar_crypto::identity::NetworkKey;
use ashlar_net::{Client, NetError, NetLimits, Peer, Violation};
use ashlar_proto::wire::{Ping, Request, Response, SignBatch};
use ashlar_service::Backoff;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{BatchSigner, SignerError};
use crate::config::RemoteSignerAt;
use crate::health;
use crate::shared::{Shared, blocking};
use crate::store::SignedHeader;
use crate::tasks::pause;

/// Between two looks at a signer that is well, and the first and longest pause before one that is not is asked again.
const INTERVAL: Duration = Duration::from_secs(10);
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(500),
    max: Duration::from_secs(10),
};

/// A remote signer.
#[derive(Debug)]
pub struct RemoteSigner {
    client: Client,
    peer: Peer,
    key: PublicKey,
    deadline: Duration,
    runtime: Handle,
}

impl RemoteSigner {
    /// Prepares to talk to the signer `at`, as `identity`; nothing is sent yet. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`NetError::Bind`] if there is no socket to be had.
    pub fn new(at: &RemoteSignerAt, identity: &NetworkKey) -> Result<Self, NetError> {
        let limits = NetLimits {
            connect_timeout: at.deadline,
            stall_timeout: at.deadline,
            ..NetLimits::default()
        };
        Ok(Self {
            client: Client::new(identity, limits)?,
            peer: Peer {
                address: at.address.clone(),
                network_key: at.network_key,
            },
            key: at.bls_public_key,
            deadline: at.deadline,
            runtime: Handle::current(),
        })
    }

    fn ask(&self, request: Request) -> Result<Response, SignerError> {
        let asked = self
            .client
            .request(&self.peer, request, Vec::new(), self.deadline);
        match self.runtime.block_on(asked) {
            Ok(answer) => Ok(answer.response),
            Err(NetError::Remote(reply)) if reply.blame == Blame::Caller => {
                Err(SignerError::Refused(reply))
            }
            Err(source) => Err(self.unavailable(source)),
        }
    }

    fn unavailable(&self, source: NetError) -> SignerError {
        SignerError::Unavailable {
            address: self.peer.address.clone(),
            source,
        }
    }

    fn wrong_answer(&self, got: &Response, expected: &'static str) -> SignerError {
        let got = got.kind();
        self.unavailable(Violation::WrongAnswer { got, expected }.into())
    }
}

impl BatchSigner for RemoteSigner {
    fn public_key(&self) -> PublicKeyBytes {
        self.key.to_bytes()
    }

    fn sign(&self, batch: &SignedHeader) -> Result<SignatureBytes, SignerError> {
        let answer = self.ask(Request::SignBatch(SignBatch {
            batch_header: batch.header.clone(),
            disperser_signature: batch.signature,
        }))?;
        let Response::Stored(signed) = answer else {
            return Err(self.wrong_answer(&answer, "sign_batch"));
        };
        // A signer with another key would have this operator told to everybody as one who signs nonsense.
        Signature::from_bytes(&signed.signature)
            .and_then(|signature| self.key.verify(&batch.header.digest().0, &signature))
            .map_err(|_| SignerError::OtherKey {
                expected: self.key.to_bytes(),
            })?;
        Ok(signed.signature)
    }

    fn is_ready(&self) -> Option<Result<(), SignerError>> {
        let ready = match self.ask(Request::Ping(Ping { nonce: 0 })) {
            Ok(Response::Pong(_)) => Ok(()),
            Ok(other) => Err(self.wrong_answer(&other, "ping")),
            Err(error) => Err(error),
        };
        Some(ready)
    }
}

/// Looks whether signatures are to be had, again and again, and says it on the node's health: as long as they are not, batches are
/// refused before they are received.
pub(crate) async fn watch(shared: Arc<Shared>, key: Arc<dyn BatchSigner>, stop: CancellationToken) {
    let mut failures = 0;
    loop {
        let asked = Arc::clone(&key);
        let wait = match blocking(move || asked.is_ready()).await {
            None => return stop.cancelled().await,
            Some(Ok(())) => {
                failures = 0;
                shared.health.clear(health::SIGNER);
                INTERVAL
            }
            Some(Err(error)) => {
                failures += 1;
                shared.health.raise(health::SIGNER, error.to_string());
                BACKOFF.jittered(failures - 1)
            }
        };
        tokio::select! {
            slept = pause(&stop, wait) => if !slept { return },
            // A batch found it out first.
            () = shared.signer_failed.notified() => {
                if !pause(&stop, BACKOFF.base).await {
                    return;
                }
            }
        }
    }
}
