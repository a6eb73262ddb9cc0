//! A rollup small enough to read: a batcher, a chain that keeps certificates in order, and the loop that derives the transactions
//! from them again. Both run over any [`DaClient`].

use std::collections::BTreeSet;
use std::error::Error;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_client::memory::MemoryNetwork;
use ashlar_client::{
    Age, Certified, Client, ClientError, DaClient, Policy, PutOptions, RequiredQuorums, Trust,
    UnverifiedCertificate,
};
use ashlar_crypto::{Coded, NetworkKey};
use ashlar_net::NetLimits;
use ashlar_proto::Block;
use ashlar_stake::{FileStakeSource, StakeError, StakeSource};
use futures::{StreamExt, stream};

/// What functions here give.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A frame is closed when it has so many bytes: it fits one row.
const FRAME_BYTES: usize = 120_000;
/// Frames that are posted at a time.
const IN_FLIGHT: usize = 4;
/// Longest time to repeat what may succeed later, as the examples have it.
pub const PATIENCE: Duration = Duration::from_secs(600);
/// A certificate counts if its reference block is at most so many blocks older than the block that includes it.
const MOST_BLOCKS: u64 = 10_000;

/// A client of a network in memory, and its block.
pub fn in_memory() -> (Arc<dyn DaClient>, Block) {
    let network = MemoryNetwork::new(4);
    let age = Age::Within(Duration::from_secs(14 * 24 * 60 * 60));
    let policy = Policy::new(network.trust(), RequiredQuorums::all([0]), age);
    (Arc::new(network.client(policy)), Block(1))
}

/// A client of dispersers, of the operators in this table, and the newest block that has a table.
pub fn connect(dispersers: &[String], table: &Path) -> Outcome<(Arc<dyn DaClient>, Block)> {
    // ANCHOR: connect
    let stake: Arc<dyn StakeSource> = Arc::new(FileStakeSource::open(table)?);
    let head = stake.head()?;
    // Whose tables, which quorums, how old: all three have to be said.
    let policy = Policy::new(
        Trust::Source(stake),
        RequiredQuorums::all([0]),
        Age::Within(Duration::from_secs(14 * 24 * 60 * 60)),
    );
    // Readers are nobody in particular: a fresh key for each run.
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let network = ashlar_net::Client::new(&NetworkKey::from_seed(seed), NetLimits::default())?;
    let mut builder = Client::builder(policy)
        .operators(Arc::new(network))
        .before_failover(|failover| {
            eprintln!(
                "{} goes from {} to {}: {}",
                failover.id, failover.from, failover.to, failover.reason
            );
            true
        });
    for url in dispersers {
        builder = builder.disperser(url);
    }
    let client = builder.build()?;
    // ANCHOR_END: connect
    Ok((Arc::new(client), head))
}

// ANCHOR: patiently
/// Repeats a call as long as its error says that this may help, when the disperser wants it, or after growing pauses.
pub async fn patiently<T, F>(
    patience: Duration,
    mut call: impl FnMut() -> F,
) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let begin = Instant::now();
    let mut pause = Duration::from_millis(200);
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let wait = error.retry_after().unwrap_or(pause);
        if !error.retryable() || begin.elapsed() + wait > patience {
            return Err(error);
        }
        eprintln!("again in {wait:?}: {error} [{}]", error.code());
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}
// ANCHOR_END: patiently

/// Stands for the chain that the rollup settles on: certificates in order, each in a block. A folder with a file for each.
#[derive(Clone)]
pub struct Chain {
    folder: PathBuf,
}

/// A certificate on the chain. Anybody could have put it there.
pub struct Inclusion {
    /// Its place.
    pub number: u64,
    /// The block that has it.
    pub block: Block,
    /// Its bytes.
    pub certificate: Vec<u8>,
}

impl Chain {
    /// The chain in a folder.
    pub fn open(folder: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_path_buf(),
        })
    }

    /// Puts a certificate onto the chain.
    pub fn append(&self, block: Block, certificate: &[u8]) -> Outcome<()> {
        let number = numbers(&self.folder)?.last().map_or(0, |last| last + 1);
        let bytes = [&block.0.to_be_bytes(), certificate].concat();
        write(&self.folder, number, &bytes)
    }

    /// All from this one on, in order.
    pub fn from(&self, first: u64) -> Outcome<Vec<Inclusion>> {
        let numbers = numbers(&self.folder)?;
        let read = |number: u64| {
            let bytes = std::fs::read(self.folder.join(number.to_string()))?;
            let (block, certificate) = bytes.split_first_chunk().ok_or("an empty inclusion")?;
            Ok(Inclusion {
                number,
                block: Block(u64::from_be_bytes(*block)),
                certificate: certificate.to_vec(),
            })
        };
        numbers.range(first..).map(|number| read(*number)).collect()
    }
}

/// Collects transactions into frames, posts the frames, and puts their certificates onto the chain in order.
///
/// A frame is written down before it is posted, and its number is the blob's salt. So a frame that is posted again, after a crash
/// or a lost answer, is the same blob; and the chain tells which frames need not be posted any more.
pub struct Batcher {
    client: Arc<dyn DaClient>,
    chain: Chain,
    /// Frames that are closed and not known to be on the chain.
    journal: PathBuf,
    /// The frame that is filled.
    open: Vec<u8>,
    /// Its number.
    next: u64,
}

impl Batcher {
    /// Goes on where the last one in this folder ended.
    pub fn open(client: Arc<dyn DaClient>, chain: Chain, journal: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(journal)?;
        let mut batcher = Self {
            client,
            chain,
            journal: journal.to_path_buf(),
            open: Vec::new(),
            next: 0,
        };
        let written = numbers(journal)?.last().map_or(0, |last| last + 1);
        batcher.next = written.max(batcher.first_missing()?);
        Ok(batcher)
    }

    /// Takes a transaction. It is lost in a crash until its frame is closed.
    pub fn add(&mut self, transaction: &[u8]) -> Outcome<()> {
        if self.open.len() + 4 + transaction.len() > FRAME_BYTES {
            self.close()?;
        }
        let length = u32::try_from(transaction.len())?;
        self.open.extend(length.to_be_bytes());
        self.open.extend(transaction);
        Ok(())
    }

    /// Closes the frame that is open, if anything is in it.
    pub fn close(&mut self) -> Outcome<()> {
        if !self.open.is_empty() {
            write(&self.journal, self.next, &self.open)?;
            self.next += 1;
            self.open.clear();
        }
        Ok(())
    }

    /// Posts all closed frames that are not on the chain, and puts their certificates there, as of this block.
    pub async fn post(&self, block: Block) -> Outcome<u64> {
        let first = self.first_missing()?;
        let mut certified = stream::iter(first..self.next)
            .map(|number| self.certify(number))
            .buffered(IN_FLIGHT);
        let mut posted = 0;
        // In order, however they come.
        while let Some(certified) = certified.next().await {
            let certificate = certified?.certificate.certificate().to_bytes();
            self.chain.append(block, &certificate)?;
            std::fs::remove_file(self.journal.join((first + posted).to_string()))?;
            posted += 1;
        }
        Ok(posted)
    }

    async fn certify(&self, number: u64) -> Outcome<Certified> {
        let frame = bytes::Bytes::from(std::fs::read(self.journal.join(number.to_string()))?);
        // ANCHOR: post
        let options = PutOptions {
            salt: Some(number),
            ..PutOptions::default()
        };
        let put = || self.client.put_and_wait(frame.clone(), options.clone());
        let certified = patiently(PATIENCE, put).await?;
        // ANCHOR_END: post
        Ok(certified)
    }

    /// The first frame that is not on the chain: each certificate has its frame's number as salt.
    fn first_missing(&self) -> Outcome<u64> {
        let mut missing = 0;
        for inclusion in self.chain.from(0)? {
            let certificate = UnverifiedCertificate::from_bytes(&inclusion.certificate)?;
            missing = missing.max(certificate.unverified().blob_header.salt + 1);
        }
        Ok(missing)
    }
}

/// What the chain says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// All transactions in order.
    pub transactions: Vec<Vec<u8>>,
    /// Inclusions that count for nothing, with the code of the reason.
    pub dropped: Vec<(u64, &'static str)>,
}

/// Derives the transactions from the chain. Everybody gets the same, whenever it is asked: an inclusion is dropped only for what
/// will never change. For all else there is an error, and the chain waits.
pub async fn derive(client: &dyn DaClient, chain: &Chain, patience: Duration) -> Outcome<Derived> {
    let mut derived = Derived::default();
    let mut seen = BTreeSet::new();
    for inclusion in chain.from(0)? {
        match payload(client, &inclusion, &mut seen, patience).await {
            Ok(payload) => match transactions(&payload) {
                Some(mut transactions) => derived.transactions.append(&mut transactions),
                None => derived.dropped.push((inclusion.number, "rollup.frame")),
            },
            Err(Unusable::For(code)) => derived.dropped.push((inclusion.number, code)),
            Err(Unusable::Now(error)) => return Err(error.into()),
        }
    }
    Ok(derived)
}

/// Why an inclusion gives no payload.
enum Unusable {
    /// It never will.
    For(&'static str),
    /// It may later.
    Now(ClientError),
}

// ANCHOR: derive
async fn payload(
    client: &dyn DaClient,
    inclusion: &Inclusion,
    seen: &mut BTreeSet<[u8; 32]>,
    patience: Duration,
) -> Result<Vec<u8>, Unusable> {
    let certificate = UnverifiedCertificate::from_bytes(&inclusion.certificate)
        .map_err(|error| Unusable::For(error.code()))?;
    // Not the clock: the block that includes it says how old it was.
    let policy = client.policy().clone().with_age(Age::Blocks {
        included_at: inclusion.block,
        most: MOST_BLOCKS,
    });
    let verified = patiently(patience, || certificate.verify(&policy)).await;
    let verified = verified.map_err(|error| match error {
        ClientError::Certificate(reason) => Unusable::For(reason.code()),
        // A block that is past and has no table never gets one.
        ClientError::Table(StakeError::UnknownBlock { block, head }) if block <= head => {
            Unusable::For("rollup.no_table")
        }
        other => Unusable::Now(other),
    })?;
    // The same blob may be certified by two dispersers, or included twice: the first one counts.
    if !seen.insert(verified.blob_key().0) {
        return Err(Unusable::For("rollup.repeated"));
    }
    match patiently(patience, || client.get(&verified)).await {
        Ok(found) => Ok(found.payload),
        // Certified, and nobody can ever have it: an empty batch, by our own rule.
        Err(error) if error.is_lost_for_good() => Err(Unusable::For(error.code())),
        Err(error) => Err(Unusable::Now(error)),
    }
}
// ANCHOR_END: derive

fn transactions(mut frame: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while !frame.is_empty() {
        let (length, rest) = frame.split_first_chunk()?;
        let (transaction, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        found.push(transaction.to_vec());
        frame = rest;
    }
    Some(found)
}

/// The numbers that a folder has files for.
fn numbers(folder: &Path) -> Outcome<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(found)
}

/// Writes a numbered file: whole or not at all, and it survives a power cut.
fn write(folder: &Path, number: u64, bytes: &[u8]) -> Outcome<()> {
    let unfinished = folder.join("unfinished");
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, folder.join(number.to_string()))?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// What both examples are told: `[--disperser URL]… [--table FILE] [--folder FOLDER]`.
pub struct Told {
    dispersers: Vec<String>,
    table: PathBuf,
    folder: PathBuf,
}

impl Told {
    /// Reads the command line.
    pub fn read() -> Outcome<Self> {
        let mut told = Self {
            dispersers: Vec::new(),
            table: PathBuf::from("operators.toml"),
            folder: PathBuf::from("rollup"),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(option) = arguments.next() {
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{option} needs a value"))?;
            match option.as_str() {
                "--disperser" => told.dispersers.push(value),
                "--table" => told.table = value.into(),
                "--folder" => told.folder = value.into(),
                _ => return Err(format!("unknown option {option}").into()),
            }
        }
        if told.dispersers.is_empty() {
            // What is in memory is gone when the program ends; a chain of it would be of no use.
            let name = format!("ashlar-rollup-{}", std::process::id());
            told.folder = std::env::temp_dir().join(name);
        }
        Ok(told)
    }

    /// Whether all of it runs in memory.
    pub fn in_memory(&self) -> bool {
        self.dispersers.is_empty()
    }

    /// The client, and the block that includes what is posted.
    pub fn client(&self) -> Outcome<(Arc<dyn DaClient>, Block)> {
        if self.in_memory() {
            Ok(in_memory())
        } else {
            connect(&self.dispersers, &self.table)
        }
    }

    /// Chain and journal.
    pub fn folders(&self) -> Outcome<(Chain, PathBuf)> {
        let chain = Chain::open(&self.folder.join("chain"))?;
        Ok((chain, self.folder.join("journal")))
    }

    /// Clears up.
    pub fn end(self) -> Outcome<()> {
        if self.in_memory() {
            std::fs::remove_dir_all(self.folder)?;
        }
        Ok(())
    }
}
