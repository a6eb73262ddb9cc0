//! A ledger that lists custody challenges, and checks answers as the real one does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ashlar_crypto::Setup;
use ashlar_node::custody::{ChallengeSource, ChallengeSourceError, OpenChallenges};
use ashlar_proto::{Account, Block, ChunkIndex, OperatorId};
use ashlar_restaking::evidence::CustodyAnswer;
use ashlar_restaking::{Amount, OpenChallenge};
use futures::future::BoxFuture;

use super::caller::ME;
use super::{Batch, World};

/// A ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    name: String,
    pub open: Mutex<BTreeMap<u64, OpenChallenge>>,
    pub block: AtomicU64,
    /// Whether it does not answer.
    pub silent: AtomicBool,
}

impl Ledger {
    pub fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            block: AtomicU64::new(1000),
            ..Self::default()
        })
    }

    /// Asks [`ME`] for the last element of a chunk in a row of a blob, to be shown within 100 blocks.
    pub fn ask(&self, world: &World, batch: &Batch, blob: usize, row: u32, chunk: ChunkIndex) {
        let header = batch.blobs[blob].clone();
        let mut open = self.open.lock().unwrap();
        let number = open.len() as u64 + 1;
        let opened = self.block.load(Ordering::SeqCst);
        let challenge = OpenChallenge {
            service: 1,
            operator: world.operator_id(ME),
            challenger: Account([1; 20]),
            blob_key: header.blob_key(),
            batch_digest: batch.header.digest(),
            row,
            element: (chunk.0 + 1) * batch.protocol().code.cell_len() as u32 - 1,
            opened: Block(opened),
            deadline: Block(opened + 100),
            token: Account([3; 20]),
            bond: Amount::from(1u64),
            blob: header,
        };
        open.insert(number, challenge);
    }

    pub fn open(&self) -> usize {
        self.open.lock().unwrap().len()
    }

    fn check(&self) -> Result<(), ChallengeSourceError> {
        match self.silent.load(Ordering::SeqCst) {
            true => Err(error("http.unreachable")),
            false => Ok(()),
        }
    }
}

fn error(code: &str) -> ChallengeSourceError {
    ChallengeSourceError {
        code: code.into(),
        reason: "by a test".into(),
    }
}

impl ChallengeSource for Ledger {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(
        &self,
        operator: OperatorId,
    ) -> BoxFuture<'_, Result<OpenChallenges, ChallengeSourceError>> {
        Box::pin(async move {
            self.check()?;
            let open = self.open.lock().unwrap().clone();
            let own = open.into_iter().filter(|(_, one)| one.operator == operator);
            Ok(OpenChallenges {
                block: Block(self.block.load(Ordering::SeqCst)),
                challenges: own.collect(),
            })
        })
    }

    fn answer<'a>(
        &'a self,
        challenge: u64,
        answer: &'a CustodyAnswer,
    ) -> BoxFuture<'a, Result<(), ChallengeSourceError>> {
        Box::pin(async move {
            self.check()?;
            let mut open = self.open.lock().unwrap();
            let record = open.get(&challenge).ok_or(error("challenge.unknown"))?;
            // As it arrives.
            let answer = CustodyAnswer::from_bytes(&answer.to_bytes()).unwrap();
            answer
                .check(Setup::ethereum(), &record.blob, record.position())
                .map_err(|_| error("challenge.wrong_answer"))?;
            open.remove(&challenge);
            Ok(())
        })
    }
}
