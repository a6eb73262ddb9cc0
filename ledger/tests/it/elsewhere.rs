//! What is signed in one service, or on one ledger, carried into another: nothing of it counts there, and nobody loses anything.
//!
//! One operator, with one BLS key, serves two services whose dispersers have one number, one network key, and count alike; first two services of
//! one ledger, then the same service of two ledgers that were initialised alike.

use crate::common::*;
use alloy_primitives::B256;
use ashlar_crypto::Coded;
use ashlar_ledger::auth::SignedTransaction;
use ashlar_ledger::client::LedgerClient;
use ashlar_ledger::devnet::{SERVICE, devnet_account};
use ashlar_proto::head::Head;
use ashlar_proto::registration::{DisperserStatement, OperatorStatement};
use ashlar_proto::{BatchHeader, Block, Certificate, Domain, Network, TableRoot};
use ashlar_restaking::evidence::{
    BadAttestation, BlobInBatch, Breach, CustodyObligation, DispersedBatch, DisperserEquivocation,
    DoubleSigning, Fault, SignedBatch,
};
use ashlar_restaking::{Action, Amount, CustodyTerms, ServiceId, Transaction, Wad};
use ashlar_stake::OperatorTable;
use ashlar_testing::custody::{blob, certificate};

/// Between blocks: a batch can be challenged for some 750 of them.
const BLOCK_MS: u64 = 100;

/// A service of a ledger, with a batch that was honestly dispersed and signed in it.
struct Side {
    client: LedgerClient,
    network: Network,
    service: ServiceId,
    table: OperatorTable,
    certificate: Certificate,
}

impl Side {
    /// Operators 1 to `signers` sign the batch with the same content and the same number as on any other side.
    async fn of(client: LedgerClient, network: Network, service: ServiceId, signers: u8) -> Self {
        let after = client.head().await.unwrap().block;
        let mut head = Block(0);
        until("a block that is over", async || {
            // A service that is new has no head at first.
            let told = client.table_head(service, None).await;
            told.is_ok_and(|told| {
                head = told.block();
                head > after
            })
        })
        .await;
        let table = client.table(network, service, head).await.unwrap();
        let signers: Vec<_> = (1..=signers).map(bls).collect();
        let certificate = certificate(&table, &blob(1).header, &signers).unwrap();
        Self {
            client,
            network,
            service,
            table,
            certificate,
        }
    }

    fn domain(&self) -> Domain {
        self.network.domain(u64::from(self.service))
    }

    fn header(&self) -> &BatchHeader {
        &self.certificate.batch_header
    }

    /// The newest block of the side is at least this one.
    async fn reach(&self, block: Block) {
        until("the other side's block", async || {
            self.client.head().await.unwrap().block > block
        })
        .await;
    }

    /// Nobody's stake, key, address or bond is another one than when the batch was signed.
    async fn is_unchanged(&self) {
        let block = self.header().reference_block;
        let mut now = block;
        until("a later table", async || {
            let head = self.client.table_head(self.service, None).await.unwrap();
            now = head.block();
            now > block
        })
        .await;
        let table = self
            .client
            .table(self.network, self.service, now)
            .await
            .unwrap();
        assert_eq!(table.operators(), self.table.operators());
        assert_eq!(table.dispersers(), self.table.dispersers());
    }
}

/// Operator 1's honest signature of a header; with another header in its place it is what a forger would show.
fn signed(header: &BatchHeader, shown: BatchHeader) -> SignedBatch {
    SignedBatch {
        header: shown,
        signature: SignedBatch::sign(&bls(1), header.clone()).signature,
    }
}

/// The same of the disperser's.
fn dispersed(header: &BatchHeader, shown: BatchHeader) -> DispersedBatch {
    DispersedBatch {
        header: shown,
        signature: DispersedBatch::sign(&disperser_key(), header.clone()).signature,
    }
}

fn breaches(certificate: &Certificate) -> [Breach; 5] {
    let blob = BlobInBatch {
        header: certificate.blob_header.clone(),
        index: certificate.blob_index,
        path: certificate.blob_path.clone(),
    };
    [
        Breach::Header,
        Breach::Table,
        Breach::UnknownDisperser,
        Breach::Blob(blob.clone()),
        Breach::Unassigned(blob),
    ]
}

fn attest(batch: SignedBatch, breach: Breach) -> Fault {
    Fault::BadAttestation(BadAttestation {
        operator: operator(1),
        batch,
        breach,
    })
}

/// Every kind of evidence, and the certificate, that the honest batch on one side can be made into, at the other.
async fn carry(from: &Side, to: &Side) {
    to.reach(from.header().reference_block).await;
    let (theirs, ours) = (from.header(), to.header());
    assert_eq!(
        (theirs.disperser_id, theirs.sequence),
        (ours.disperser_id, ours.sequence)
    );
    let submit = async |fault: &Fault| {
        let error = to.client.submit_evidence(fault).await.unwrap_err();
        error.code().to_owned()
    };
    // As it was signed.
    let pairs = [
        Fault::DoubleSigning(DoubleSigning::new(
            operator(1),
            signed(theirs, theirs.clone()),
            signed(ours, ours.clone()),
        )),
        Fault::DisperserEquivocation(DisperserEquivocation::new(
            dispersed(theirs, theirs.clone()),
            dispersed(ours, ours.clone()),
        )),
    ];
    for fault in &pairs {
        assert_eq!(submit(fault).await, "evidence.other_domain", "{fault:?}");
    }
    // Within one ledger it is judged by its own service, and breaks none of its rules.
    let expected = if from.network == to.network {
        "evidence.not_broken"
    } else {
        "evidence.other_domain"
    };
    for breach in breaches(&from.certificate) {
        let fault = attest(signed(theirs, theirs.clone()), breach);
        assert_eq!(submit(&fault).await, expected, "{fault:?}");
    }

    // With the other side's label, and with its table's root as well.
    let labelled = BatchHeader {
        domain: to.domain(),
        ..theirs.clone()
    };
    let adopted = BatchHeader {
        table_root: ours.table_root,
        reference_block: ours.reference_block,
        ..labelled.clone()
    };
    for (header, codes) in [
        (
            &labelled,
            [
                "evidence.other_table",
                "evidence.signature",
                "evidence.other_table",
                "evidence.not_broken",
                "evidence.other_table",
            ],
        ),
        (&adopted, ["evidence.not_broken"; 5]),
    ] {
        for (breach, code) in breaches(&from.certificate).into_iter().zip(codes) {
            let fault = attest(signed(theirs, header.clone()), breach);
            assert_eq!(submit(&fault).await, code, "{fault:?}");
        }
        // Under the number of a batch that was signed here.
        let other = BatchHeader {
            created_at_ms: header.created_at_ms + 1,
            ..header.clone()
        };
        let fault = Fault::DoubleSigning(DoubleSigning::new(
            operator(1),
            signed(theirs, other.clone()),
            signed(ours, ours.clone()),
        ));
        assert_eq!(submit(&fault).await, "evidence.signature");
        let fault = Fault::DisperserEquivocation(DisperserEquivocation::new(
            dispersed(theirs, other),
            dispersed(ours, ours.clone()),
        ));
        assert_eq!(submit(&fault).await, "evidence.disperser_signature");
    }

    // The certificate: it proves no duty there, and nobody can be challenged with it.
    let duty = CustodyObligation::prove(&from.certificate, &to.table, &operator(1));
    assert_eq!(duty.unwrap_err().code(), "custody.other_domain");
    for (header, expected) in [
        (theirs, "challenge.other_domain"),
        (&labelled, "challenge.certificate"),
        (&adopted, "challenge.certificate"),
    ] {
        let certificate = Certificate {
            batch_header: header.clone(),
            ..from.certificate.clone()
        };
        let challenge = Transaction {
            sender: account(&staker_key(3)),
            action: Action::OpenChallenge {
                service: to.service,
                operator: operator(1),
                certificate: certificate.to_bytes(),
                bond: Amount::ether(1),
            },
        };
        assert_eq!(code(to.client.submit(&challenge).await), expected);
    }
}

/// Both directions; then the operator and the disperser do what was claimed of them, and lose for it on that side alone.
async fn nothing_is_carried(one: &Side, other: &Side) {
    carry(one, other).await;
    carry(other, one).await;
    one.is_unchanged().await;
    other.is_unchanged().await;

    let ours = one.header();
    let second = BatchHeader {
        created_at_ms: ours.created_at_ms + 1,
        ..ours.clone()
    };
    let double = Fault::DoubleSigning(DoubleSigning::new(
        operator(1),
        signed(ours, ours.clone()),
        signed(&second, second.clone()),
    ));
    let equivocation = Fault::DisperserEquivocation(DisperserEquivocation::new(
        dispersed(ours, ours.clone()),
        dispersed(&second, second.clone()),
    ));
    for fault in [double, equivocation] {
        let receipt = one.client.submit_evidence(&fault).await.unwrap();
        assert_eq!(receipt.accused, fault.accused());
    }
    let mut now = one.header().reference_block;
    until("the table without them", async || {
        now = one
            .client
            .table_head(one.service, None)
            .await
            .unwrap()
            .block();
        let table = one.client.table(one.network, one.service, now).await;
        let table = table.unwrap();
        table.dispersers().is_empty() && table.operators() != one.table.operators()
    })
    .await;
    other.is_unchanged().await;
}

/// The service of the devnet, and a second one: the same slasher, a disperser of the same number and key, and operator 1 with
/// other stake.
#[tokio::test(flavor = "multi_thread")]
async fn two_services_of_one_ledger() {
    let home = Home::new(BLOCK_MS);
    let running = home.start().await;
    let client = client(&running);
    client.add_key(devnet_account(&[0; 32], "disperser"));
    let service = SECOND_SERVICE;
    let of = |sender, action| Transaction { sender, action };
    let disperser = account(&devnet_account(&[0; 32], "disperser"));
    let register = |domain: Domain| Action::RegisterDisperser {
        service,
        network_key: disperser_key().public(),
        statement: DisperserStatement {
            domain,
            account: disperser,
            network_key: disperser_key().public(),
        }
        .sign(&disperser_key()),
        bond: Amount::ether(5),
    };
    let custody = CustodyTerms {
        token: account(&role_key()),
        min_bond: Amount::ether(1),
        wad: Wad::percent(10),
        max_open: 10,
        max_open_per_operator: 10,
    };
    let setup = second_service(None, Wad::ONE, Some(custody));
    client.submit_all(&setup).await.unwrap();
    // What the disperser's key signed for the first service registers it in no other one.
    let copied = of(disperser, register(domain(SERVICE)));
    assert_eq!(code(client.submit(&copied).await), "disperser.statement");
    let registered = of(disperser, register(domain(service)));
    client.submit(&registered).await.unwrap();

    let one = Side::of(client.clone(), network(), SERVICE, 3).await;
    let other = Side::of(client, network(), service, 1).await;
    assert_ne!(one.domain(), other.domain());
    nothing_is_carried(&other, &one).await;
    running.shutdown().await;
}

/// Two ledgers of one name, with the same keys, operators, roles and first transactions. Only the random bytes of their geneses differ.
#[tokio::test(flavor = "multi_thread")]
async fn two_ledgers_initialised_alike() {
    let spec = |salt| {
        let mut spec = spec(&[10, 20, 5, 1]);
        spec.salt = B256::repeat_byte(salt);
        spec
    };
    let homes = [spec(1), spec(2)].map(|spec| Home::with(&spec, BLOCK_MS));
    let [here, there] = homes.each_ref().map(|home| home.devnet.genesis.id());
    let running = [homes[0].start().await, homes[1].start().await];
    let [one, other] = [client(&running[0]), client(&running[1])];
    transactions(&one, &other, here, there).await;
    let one = Side::of(one, here, SERVICE, 3).await;
    let other = Side::of(other, there, SERVICE, 3).await;
    tables_and_heads(&one, &other).await;
    nothing_is_carried(&one, &other).await;
    for running in running {
        running.shutdown().await;
    }
}

/// Transactions and registrations of one ledger at the other.
async fn transactions(one: &LedgerClient, other: &LedgerClient, here: Network, there: Network) {
    let key = staker_key(1);
    let nonce = 1_000;
    let signed = SignedTransaction::sign(&key, here, nonce, deposit(&key, 7));
    assert_eq!(
        code(other.submit_signed(&signed).await),
        "transaction.network"
    );
    let labelled = SignedTransaction {
        network: there,
        ..signed.clone()
    };
    assert_eq!(
        code(other.submit_signed(&labelled).await),
        "transaction.sender"
    );
    one.submit_signed(&signed).await.unwrap();

    // Operator 9 registers on the first ledger. Whoever copies its proof of possession, or even what it signed, from there cannot register
    // its key on the second, be it with the same account.
    let owner = stranger_key();
    let register = |sender, statement| Transaction {
        sender,
        action: Action::RegisterOperator {
            bls_public_key: bls(9).public_key().to_bytes(),
            proof_of_possession: bls(9).prove_possession().to_bytes(),
            network_key: node_key(9).public(),
            address: "127.0.0.1:7009".into(),
            statement,
            allocation_delay: 0,
        },
    };
    let states = |network, key: u8| {
        OperatorStatement {
            network,
            account: account(&owner),
            network_key: node_key(9).public(),
            address: "127.0.0.1:7009".into(),
            sequence: 0,
        }
        .sign(&bls(key))
    };
    let honest = register(account(&owner), states(here, 9));
    one.submit(&honest).await.unwrap();
    for copied in [
        honest,
        // The thief signs the statement with a key of its own.
        register(account(&owner), states(there, 8)),
        // Another account sends what it signed for this one.
        register(account(&role_key()), states(there, 9)),
    ] {
        assert_eq!(code(other.submit(&copied).await), "operator.statement");
    }
}

/// The table and the head of one ledger at the other.
async fn tables_and_heads(one: &Side, other: &Side) {
    other.reach(one.header().reference_block).await;
    // A follower that knows the first ledger's network takes no table of the second one for its own.
    let block = other.header().reference_block;
    let table = other.client.table(one.network, SERVICE, block).await;
    assert_eq!(code(table), "table.root");
    // Both ledgers have the same head key. A head of the first, be it a lie, is no head of the second.
    let block = one.header().reference_block;
    let head = Head {
        domain: one.domain(),
        block,
        time_ms: 1,
        table_root: TableRoot([1; 32]),
    }
    .sign(&devnet_account(&[0; 32], "heads"));
    let shown = Transaction {
        sender: account(&stranger_key()),
        action: Action::SubmitHead {
            service: SERVICE,
            block,
            time_ms: head.head.time_ms,
            table_root: head.head.table_root,
            signature: head.signature,
        },
    };
    assert_eq!(code(other.client.submit(&shown).await), "head.key");
}
