//! What a ledger takes, answers and keeps.

use std::sync::Arc;

use ashlar_crypto::bls::PublicKey;
use ashlar_ledger::SignedTransaction;
use ashlar_ledger::types::{
    AnswerBody, EvidenceBody, HeadKeysView, Receipt, TableHead, TableRootView, TableView,
};
use ashlar_proto::{Account, Block, Domain, Network, OperatorId, TableAccess, TableRoot};
use ashlar_restaking::evidence::{
    Accused, Challenge, CustodyAnswer, EvidenceError, Fault, FaultKind, NoTable, ServiceRecords,
};
use ashlar_restaking::log::{Read, Tip};
use ashlar_restaking::risk::Graph;
use ashlar_restaking::{Genesis, State, Transaction};
use ashlar_stake::{OperatorTable, PossessionCache};

use super::{json, text};
use crate::samples::{self, table};

/// The bodies of what anybody may send to a ledger.
pub(crate) fn request(data: &[u8]) {
    if let Some(signed) = json::<SignedTransaction>(data) {
        let (sender, network) = (signed.transaction.sender, signed.network);
        if let Ok(authorized) = signed.verify(network) {
            assert_eq!(authorized.sender(), sender);
        }
    }
    json::<AnswerBody>(data);
    json::<EvidenceBody>(data);
}

/// What a ledger answers to its followers: heads, tables, successions of keys. A table has one content for one root.
pub(crate) fn answer(data: &[u8]) {
    json::<TableHead>(data);
    json::<TableRootView>(data);
    json::<Receipt>(data);
    if let Some(keys) = json::<HeadKeysView>(data) {
        let network = Network::ledger(&keys.genesis.0);
        for succession in &keys.successions {
            let _ = succession.verify(&network, &keys.key);
        }
    }
    let Some(view) = json::<TableView>(data) else {
        return;
    };
    if let Some(signed) = view.signed {
        let _ = signed.verify(&signed.head.domain, &Account([9; 20]));
    }
    let mut cache = PossessionCache::default();
    let domain = table().domain();
    if let Ok(table) = view.table.table(domain, view.table.block, &mut cache) {
        let again = view.table.table(domain, view.table.block, &mut cache);
        assert_eq!(again.map(|again| again.root()), Ok(table.root()));
    }
}

/// A ledger's log.
pub(crate) fn log(data: &[u8]) {
    let start = Tip::of(&samples::genesis());
    let (mut reader, mut writer) = (start, start);
    let mut rest = data;
    while let Ok(Read::Record(entry, length)) = reader.read(rest) {
        let (record, behind) = rest.split_at(length);
        assert_eq!(writer.write(&entry).expect("it was read"), record);
        assert_eq!(reader, writer);
        rest = behind;
    }
}

/// A transaction, and what it does to a new ledger; or the genesis of one.
pub(crate) fn transaction(data: &[u8]) {
    if let Some(transaction) = json::<Transaction>(data) {
        let _ = transaction
            .action
            .signing_hash(Network::ledger(&[7; 32]), 1);
        // Refused or not: a ledger's books stay in order, and a refusal changes nothing.
        let mut state = State::new(&samples::genesis()).expect("a valid genesis");
        let before = state.root();
        if state.apply(Block(1), &transaction).is_err() {
            assert_eq!(state.root(), before);
        }
        state.check_books().expect("balanced books");
    }
    if let Ok(genesis) = serde_json::from_slice::<Genesis>(data) {
        let _ = State::new(&genesis);
    }
}

/// A graph for the risk analysis.
pub(crate) fn risk_graph(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(graph) = Graph::from_json(text) {
        let written = serde_json::to_string(&graph).expect("it has a JSON form");
        assert_eq!(
            Graph::from_json(&written).expect("it was just written"),
            graph
        );
    }
}

/// One table, of block 7, in a service with this domain; nothing later is over.
struct Service(Domain);

impl ServiceRecords for Service {
    fn domain(&self) -> Domain {
        self.0
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, NoTable> {
        match block {
            Block(7) => Ok(Arc::new(table().clone())),
            Block(0..7) => Err(NoTable::Nobody),
            _ => Err(NoTable::Unseen),
        }
    }

    fn operator_key(&self, operator: &OperatorId) -> Option<PublicKey> {
        table().public_key(table().find(operator)?).copied()
    }

    fn source_signed(&self, _: Block, _: &TableRoot) -> bool {
        false
    }
}

/// Evidence: what is accepted has one encoding, no evidence against the four operators and the disperser proves anything but what
/// they did, and what they did proves nothing in another service.
pub(crate) fn evidence(data: &[u8]) {
    if let Ok(fault) = Fault::from_bytes(data) {
        assert_eq!(fault.to_bytes(), data, "a fault has one encoding");
        // The seeds are the one double signing and the one equivocation that the fuzzer can know the signatures of.
        if let Ok(proven) = fault.check(&Service(table().domain())) {
            assert_eq!(proven.accused(), fault.accused());
            match fault.accused() {
                Accused::Operator(_) => assert_eq!(fault.kind(), FaultKind::DoubleSigning),
                Accused::Disperser(id) => assert_eq!(id, 0),
            }
            let elsewhere = fault.check(&Service(Domain([0; 32])));
            assert!(matches!(elsewhere, Err(EvidenceError::OtherDomain { .. })));
        }
    }
    if let Ok(challenge) = Challenge::from_bytes(data) {
        assert_eq!(challenge.to_bytes(), data, "a challenge has one encoding");
    }
    if let Ok(answer) = CustodyAnswer::from_bytes(data) {
        assert_eq!(answer.to_bytes(), data, "an answer has one encoding");
    }
}
