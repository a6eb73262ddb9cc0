//! One operator in two services of one ledger, as real processes: what it and its dispersers sign in one service counts in that one alone.
//!
//! Both services have a disperser of the same number, with the same network key. The operator runs a node for each, with one BLS key. Since
//! the ledger knows one address of an operator, it moves from the first node's to the second's between the two blobs that are posted;
//! the batches under one number are sent to both nodes straight.

use std::path::{Path, PathBuf};

use ashlar_crypto::account::AccountKey;
use ashlar_crypto::bls::{SecretKey, aggregate_signatures};
use ashlar_crypto::keystore;
use ashlar_ledger::LedgerClient;
use ashlar_proto::registration::{DisperserStatement, OperatorStatement};
use ashlar_proto::{
    Account, Attestation, BatchHeader, Bitmap, Block, Certificate, Network, OperatorEntry,
    OperatorIndex, batch_tree, operator_id,
};
use ashlar_restaking::evidence::{
    BadAttestation, BlobInBatch, Breach, DispersedBatch, DisperserEquivocation, DoubleSigning,
    Fault, SignedBatch,
};
use ashlar_restaking::{
    Action, Amount, CustodyTerms, DisperserTerms, QuorumConfig, QuorumStrategy, ServiceId,
    StrategyKind, Transaction, Wad,
};
use ashlar_stake::OperatorTable;
use serde_json::Value;

use crate::support::evil::{self, Batch, Sender};
use crate::support::random::payload;
use crate::support::{Devnet, Outcome, http_get, wait_for};

const FIRST: ServiceId = 1;
const SECOND: ServiceId = 2;
/// What a reader of these tests insists on.
const READER: [&str; 4] = ["--required-quorums", "0", "--max-age", "1d"];

/// A key of the devnet, opened with the password beside it.
fn secret(dir: &Path, name: &str) -> zeroize::Zeroizing<[u8; 32]> {
    let password = std::fs::read_to_string(dir.join("password")).unwrap();
    let text = std::fs::read_to_string(dir.join(name)).unwrap();
    keystore::decrypt(&text, password.trim()).unwrap().1
}

pub fn account_key(dir: &Path, name: &str) -> AccountKey {
    AccountKey::from_bytes(&secret(dir, name)).unwrap()
}

fn address(key: &AccountKey) -> Account {
    Account(key.address())
}

/// An address of this test alone.
fn own_address(port: u16) -> String {
    format!("{}:{port}", ashlar_testing::loopback())
}

/// A copy of a process's keys and configuration for the second service, with other addresses.
fn copy(
    devnet: &Devnet,
    from: &Path,
    name: &str,
    files: &[&str],
    moved: &[(&str, &str)],
) -> PathBuf {
    let to = devnet.folder().join(name);
    std::fs::create_dir(&to).unwrap();
    for file in files {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let config = to.join(files[0]);
    let mut text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("/v1/services/1#"), "{text}");
    text = text.replace("/v1/services/1#", "/v1/services/2#");
    for (old, new) in moved {
        assert!(text.contains(old), "{old} is not in {text}");
        text = text.replace(old, new);
    }
    std::fs::write(&config, text).unwrap();
    to
}

struct Stage {
    devnet: Devnet,
    runtime: tokio::runtime::Runtime,
    client: LedgerClient,
    network: Network,
    /// The operator's.
    bls: SecretKey,
    operator: AccountKey,
    /// Of the disperser of either service.
    sender: Sender,
    /// Where the node of the second service listens, and the URL of its disperser.
    node: String,
    disperser: String,
}

impl Stage {
    /// A devnet of one operator, and a second service on its ledger: the same slasher, operator and disperser, a stake of its own.
    fn new() -> Stage {
        let devnet = Devnet::start_with(&["--operators", "1"]);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let ledger = devnet.file.ledger.clone().unwrap();
        let client = LedgerClient::parse(&ledger.url).unwrap();
        let genesis = runtime.block_on(client.head()).unwrap().genesis;
        let dir = devnet.node(0).dir.clone();
        let stage = Stage {
            bls: SecretKey::from_bytes(&secret(&dir, "bls.json")).unwrap(),
            operator: account_key(&dir, "account.json"),
            sender: Sender::new(&evil::network_key(&devnet.file.disperser.dir)),
            network: Network::ledger(&genesis.0),
            node: own_address(19_001),
            disperser: format!("http://{}", own_address(19_002)),
            devnet,
            runtime,
            client,
        };
        stage.register();
        stage
    }

    fn submit(&self, key: &AccountKey, action: Action) {
        self.client
            .add_key(AccountKey::from_bytes(key.secret()).unwrap());
        let sender = address(key);
        let transaction = Transaction { sender, action };
        self.runtime
            .block_on(self.client.submit(&transaction))
            .unwrap();
    }

    /// The second service, its quorum of an asset of its own, the operator in it, and its disperser.
    fn register(&self) {
        let ledger = self.devnet.file.ledger.as_ref().unwrap();
        let admin = account_key(&ledger.dir, "admin.json");
        let owner = address(&admin);
        let (service, quorum, strategy) = (SECOND, 0, 6);
        let token = Account([0x66; 20]);
        self.submit(
            &admin,
            Action::AddStrategy {
                name: "of the second service".into(),
                kind: StrategyKind::Other,
                asset: token,
                oracle: owner,
            },
        );
        self.submit(
            &admin,
            Action::RegisterService {
                name: "second".into(),
                conditions: "as the first".into(),
                slasher: owner,
                resolver: None,
                veto_window: 0,
                slash_cap: Wad::ONE,
                ejector: owner,
                versions: vec![1],
                dispersers: DisperserTerms {
                    token,
                    min_bond: Amount::ether(1),
                    max: 1,
                },
                custody: Some(CustodyTerms {
                    token,
                    min_bond: Amount::ether(1),
                    wad: Wad::percent(10),
                    max_open: 10,
                    max_open_per_operator: 10,
                }),
            },
        );
        let strategies = vec![QuorumStrategy {
            strategy,
            multiplier: Amount::WAD,
        }];
        self.submit(
            &admin,
            Action::AddQuorum {
                service,
                quorum,
                config: QuorumConfig {
                    strategies,
                    minimum_weight: Amount::ZERO,
                    maximum_operators: 10,
                    churn_bps: 11_000,
                    ejection_bps: 0,
                    ejection_window: 1,
                    ejection_cooldown: 0,
                    redistribute_to: None,
                },
            },
        );
        let amount = Amount::ether(100);
        self.submit(&self.operator, Action::Deposit { strategy, amount });
        self.submit(
            &self.operator,
            Action::Allocate {
                service,
                quorum,
                strategy,
                magnitude: Wad::ONE,
            },
        );
        self.submit(&self.operator, Action::OptIn { service, quorum });
        let dir = &self.devnet.file.disperser.dir;
        let (account, network) = (account_key(dir, "account.json"), evil::network_key(dir));
        let statement = DisperserStatement {
            domain: self.network.domain(u64::from(service)),
            account: address(&account),
            network_key: network.public(),
        };
        self.submit(
            &account,
            Action::RegisterDisperser {
                service,
                network_key: network.public(),
                statement: statement.sign(&network),
                bond: Amount::ether(5),
            },
        );
    }

    /// The newest table of a service; the first may take a block.
    fn table(&self, service: ServiceId) -> OperatorTable {
        let mut table = None;
        wait_for("a table of the service", || {
            table = self.runtime.block_on(async {
                let head = self.client.table_head(service, None).await.ok()?.block();
                self.client.table(self.network, service, head).await.ok()
            });
            table
                .as_ref()
                .is_some_and(|table: &OperatorTable| !table.dispersers().is_empty())
        });
        table.unwrap()
    }

    /// The table of a service after this block.
    fn table_after(&self, service: ServiceId, block: Block) -> OperatorTable {
        let mut table = self.table(service);
        wait_for("a later table", || {
            table = self.table(service);
            table.reference_block() > block
        });
        table
    }

    /// Starts the operator's second node and the second service's disperser, and moves the operator's address to that node.
    fn start_second(&mut self) {
        let first = self.devnet.node(0).clone();
        let node_http = format!("http://{}", own_address(19_003));
        let old_http = first.http.trim_start_matches("http://").to_owned();
        let moved = [
            (first.quic.as_str(), self.node.as_str()),
            (&old_http, node_http.trim_start_matches("http://")),
        ];
        let files = ["node.toml", "bls.json", "network.json", "password"];
        let dir = copy(&self.devnet, &first.dir, "second-node", &files, &moved);
        let command = ["node", "run", "--new-database"];
        self.devnet
            .restart(&command, &dir, "node.toml", true, &node_http);

        let old = self.devnet.file.disperser_url.clone();
        let moved = [(
            old.trim_start_matches("http://"),
            self.disperser.trim_start_matches("http://"),
        )];
        let files = ["disperser.toml", "network.json", "password"];
        let from = self.devnet.file.disperser.dir.clone();
        let dir = copy(&self.devnet, &from, "second-disperser", &files, &moved);
        // It makes no batch before the operator's node of this service is the one that its table names.
        self.devnet
            .spawn(&["disperser", "run"], &dir, "disperser.toml", true);
    }

    fn move_address(&self) {
        let network_key = evil::network_key(&self.devnet.node(0).dir).public();
        let statement = OperatorStatement {
            network: self.network,
            account: address(&self.operator),
            network_key,
            address: self.node.clone(),
            sequence: 1,
        };
        self.submit(
            &self.operator,
            Action::UpdateOperator {
                network_key,
                address: self.node.clone(),
                statement: statement.sign(&self.bls),
            },
        );
        wait_for("the table with the new address", || {
            self.table(SECOND).operators()[0].address == self.node
        });
        let health = format!("{}/v1/health", self.disperser);
        wait_for(
            "the second disperser to learn that its numbers are unused",
            || http_get(&health).is_some_and(|(status, _)| status == 200),
        );
    }

    /// A batch that the service's disperser sends and the operator's node of this service signs, as a certificate.
    fn sign(&self, table: &OperatorTable, node: &str, sequence: u64) -> Certificate {
        let batch = Batch::honest(table, &payload(95, 1000), sequence).seal();
        let entry = OperatorEntry {
            address: node.to_owned(),
            ..table.operators()[0].clone()
        };
        let assignment = evil::assignment(table, &[0]);
        let (message, bulk) = batch.request(assignment.chunks(OperatorIndex(0)));
        let signature = self.sender.send(&entry, message, bulk).unwrap();
        // At the node of the other service the very same batch is refused before anything else of it is looked at.
        let other = if node == self.node {
            self.devnet.node(0).quic.clone()
        } else {
            self.node.clone()
        };
        let (message, bulk) = batch.request(assignment.chunks(OperatorIndex(0)));
        let elsewhere = OperatorEntry {
            address: other,
            ..entry
        };
        assert_eq!(
            self.sender.send(&elsewhere, message, bulk),
            Err("validate.other_domain".to_owned())
        );
        let signature = ashlar_crypto::bls::Signature::from_bytes(&signature).unwrap();
        Certificate {
            blob_path: batch_tree(&[batch.blob_header.blob_key()]).path(0).unwrap(),
            blob_header: batch.blob_header,
            blob_index: 0,
            batch_header: batch.batch_header,
            attestation: Attestation::Compact {
                signers: Bitmap::from_indices(1, [OperatorIndex(0)]).unwrap(),
            },
            signature: aggregate_signatures(&[signature]).unwrap().to_bytes(),
        }
    }

    /// The code of the refusal, by `ashlar stake evidence submit`.
    #[track_caller]
    fn refused(&self, fault: &Fault, code: &str) {
        let file = self.devnet.write("fault.bin", &fault.to_bytes());
        let submit = ["stake", "evidence", "submit", file.to_str().unwrap()];
        let error = self.devnet.run(submit).error();
        assert_eq!(error["code"], code, "{fault:?}: {error}");
    }

    fn proven(&self, fault: &Fault) -> Value {
        let file = self.devnet.write("fault.bin", &fault.to_bytes());
        let submit = ["stake", "evidence", "submit", file.to_str().unwrap()];
        self.devnet.run(submit).success()
    }

    /// `ashlar cert verify` of a certificate with the tables of a service.
    fn verify(&self, certificate: &Certificate, service: ServiceId) -> Outcome {
        let file = self.devnet.write("carried.cert", &certificate.to_bytes());
        let url = &self.devnet.file.ledger.as_ref().unwrap().url;
        let table = format!("{url}/v1/services/{service}#{}", self.network);
        let mut command = self.devnet.command(["cert", "verify"]);
        command.args(READER);
        command.arg("--json").arg("--table").arg(table).arg(file);
        Outcome::of(&mut command)
    }

    /// All evidence that somebody could make of one batch, and of the other, against the operator or the disperser in the service of the
    /// other.
    fn carry(&self, from: &Certificate, to: &Certificate) {
        let (theirs, ours) = (&from.batch_header, &to.batch_header);
        let number = |header: &BatchHeader| (header.disperser_id, header.sequence);
        assert_eq!(number(theirs), number(ours));
        let id = operator_id(&self.bls.public_key().to_bytes());
        let key = evil::network_key(&self.devnet.file.disperser.dir);
        let signed = |certificate: &Certificate, header: &BatchHeader| SignedBatch {
            header: header.clone(),
            signature: certificate.signature,
        };
        let dispersed = |header: &BatchHeader, shown: &BatchHeader| DispersedBatch {
            header: shown.clone(),
            signature: header.sign_as_disperser(&key),
        };
        let pair = |one, other| Fault::DoubleSigning(DoubleSigning::new(id, one, other));
        let equivocation =
            |one, other| Fault::DisperserEquivocation(DisperserEquivocation::new(one, other));
        let attest = |header: &BatchHeader, breach| {
            Fault::BadAttestation(BadAttestation {
                operator: id,
                batch: signed(from, header),
                breach,
            })
        };
        self.refused(
            &pair(signed(from, theirs), signed(to, ours)),
            "evidence.other_domain",
        );
        self.refused(
            &equivocation(dispersed(theirs, theirs), dispersed(ours, ours)),
            "evidence.other_domain",
        );
        let labelled = BatchHeader {
            domain: ours.domain,
            ..theirs.clone()
        };
        self.refused(
            &pair(signed(from, &labelled), signed(to, ours)),
            "evidence.signature",
        );
        self.refused(
            &equivocation(dispersed(theirs, &labelled), dispersed(ours, ours)),
            "evidence.disperser_signature",
        );
        let blob = BlobInBatch {
            header: from.blob_header.clone(),
            index: 0,
            path: from.blob_path.clone(),
        };
        for (breach, code) in [
            (Breach::Header, "evidence.other_table"),
            (Breach::Table, "evidence.signature"),
            (Breach::UnknownDisperser, "evidence.other_table"),
            (Breach::Blob(blob.clone()), "evidence.not_broken"),
            (Breach::Unassigned(blob), "evidence.other_table"),
        ] {
            // In its own service it breaks no rule, with the other's label it was not signed.
            self.refused(&attest(theirs, breach.clone()), "evidence.not_broken");
            self.refused(&attest(&labelled, breach), code);
        }
    }

    /// The certificate of the one batch, in the service of the other: it does not hold, and nobody can be challenged with it.
    fn carry_certificate(&self, from: &Certificate, to: &Certificate, service: ServiceId) {
        let relabelled = Certificate {
            batch_header: BatchHeader {
                domain: to.batch_header.domain,
                ..from.batch_header.clone()
            },
            ..from.clone()
        };
        let challenger = account_key(&self.devnet.node(0).dir, "staker.json");
        self.client
            .add_key(AccountKey::from_bytes(challenger.secret()).unwrap());
        for (certificate, code) in [
            (from, "challenge.other_domain"),
            (&relabelled, "challenge.certificate"),
        ] {
            let transaction = Transaction {
                sender: address(&challenger),
                action: Action::OpenChallenge {
                    service,
                    operator: operator_id(&self.bls.public_key().to_bytes()),
                    certificate: certificate.to_bytes(),
                    bond: Amount::ether(1),
                },
            };
            let error = self.runtime.block_on(self.client.submit(&transaction));
            assert_eq!(error.unwrap_err().code(), code);
        }
        self.verify(from, service)
            .failure(3, "certificate.other_domain");
        self.verify(&relabelled, service)
            .failure(3, "certificate.table_root");
        self.verify(to, service).success();
    }

    /// The double signing and the equivocation that the operator and the disperser of the second service do commit.
    fn misdeeds(&self, certificate: &Certificate) -> [Fault; 2] {
        let header = &certificate.batch_header;
        let second = BatchHeader {
            created_at_ms: header.created_at_ms + 1,
            ..header.clone()
        };
        let id = operator_id(&self.bls.public_key().to_bytes());
        let key = evil::network_key(&self.devnet.file.disperser.dir);
        let dispersed = |header: &BatchHeader| DispersedBatch::sign(&key, header.clone());
        [
            Fault::DoubleSigning(DoubleSigning::new(
                id,
                SignedBatch::sign(&self.bls, header.clone()),
                SignedBatch::sign(&self.bls, second.clone()),
            )),
            Fault::DisperserEquivocation(DisperserEquivocation::new(
                dispersed(header),
                dispersed(&second),
            )),
        ]
    }
}

#[test]
fn what_is_signed_in_one_service_counts_in_no_other() {
    let mut stage = Stage::new();
    let (one, two) = (payload(96, 40_000), payload(97, 40_000));
    let posted = stage.devnet.put("one", &one);
    stage.start_second();
    let sequence = evil::now_ms() + 1_000_000;
    // At the block of either table both services have one.
    let second = stage.table(SECOND);
    let tables = [stage.table_after(FIRST, second.reference_block()), second];
    let first_node = stage.devnet.node(0).quic.clone();
    let first = stage.sign(&tables[0], &first_node, sequence);
    let second = stage.sign(&tables[1], &stage.node, sequence);
    // First of all: a batch can be challenged for a minute and a half only.
    stage.carry_certificate(&first, &second, SECOND);
    stage.carry_certificate(&second, &first, FIRST);
    let got = stage.devnet.folder().join("got");
    let mut get = stage
        .devnet
        .command(["get", "--json", "--from", "operators"]);
    get.args(READER)
        .arg("--cert")
        .arg(posted)
        .arg("-o")
        .arg(&got);
    Outcome::of(&mut get).success();
    assert!(std::fs::read(got).unwrap() == one);

    // Honest traffic through the second service's own disperser.
    stage.move_address();
    let url = &stage.devnet.file.ledger.as_ref().unwrap().url;
    let table = format!("{url}/v1/services/2#{}", stage.network);
    let in_second = ["--disperser", &stage.disperser, "--table", &table];
    let posted = stage.devnet.put_with("two", &two, &in_second);
    let posted = Certificate::from_bytes(&std::fs::read(posted).unwrap()).unwrap();
    stage.verify(&posted, SECOND).success();
    stage
        .verify(&posted, FIRST)
        .failure(3, "certificate.other_domain");

    let before = [stage.table(FIRST), stage.table(SECOND)];
    stage.carry(&first, &second);
    stage.carry(&second, &first);
    // Nobody lost anything.
    for (service, before) in [FIRST, SECOND].into_iter().zip(&before) {
        let after = stage.table_after(service, before.reference_block());
        assert_eq!(after.operators(), before.operators());
        assert_eq!(after.dispersers(), before.dispersers());
    }

    // What is done in the second service is punished there, and only there.
    let [double, equivocation] = stage.misdeeds(&second);
    let receipt = stage.proven(&double);
    assert!(receipt["accused"]["operator"].is_string(), "{receipt}");
    let half = Amount::ether(50);
    wait_for("the slash", || {
        stage.table(SECOND).operators()[0].stake(0) == half.0
    });
    let receipt = stage.proven(&equivocation);
    assert_eq!(receipt["accused"]["disperser"], 0, "{receipt}");
    let after = stage.table_after(FIRST, before[0].reference_block());
    assert_eq!(after.operators(), before[0].operators());
    assert_eq!(after.dispersers(), before[0].dispersers());
}
