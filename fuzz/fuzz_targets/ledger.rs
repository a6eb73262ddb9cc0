#![no_main]
//! The ledger's log, its transactions as JSON, graphs for the risk analysis: what is accepted is written again the same.

use ashlar_restaking::log::{Read, Tip};
use ashlar_restaking::{Block, Genesis, State, Transaction};
use ashlar_restaking::risk::Graph;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let start = Tip::of(&ashlar_fuzz::genesis());
    let (mut reader, mut writer) = (start, start);
    let mut rest = data;
    while let Ok(Read::Record(entry, length)) = reader.read(rest) {
        let (record, behind) = rest.split_at(length);
        assert_eq!(writer.write(&entry).expect("it was read"), record);
        assert_eq!(reader, writer);
        rest = behind;
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(transaction) = serde_json::from_str::<Transaction>(text) {
        let written = serde_json::to_string(&transaction).expect("it has a JSON form");
        assert_eq!(
            serde_json::from_str::<Transaction>(&written).expect("it was just written"),
            transaction
        );
        // Refused or not: a ledger's books stay in order, and a refusal changes nothing.
        let mut state = State::new(&ashlar_fuzz::genesis()).expect("a valid genesis");
        let before = state.root();
        if state.apply(Block(1), &transaction).is_err() {
            assert_eq!(state.root(), before);
        }
        state.check_books().expect("balanced books");
    }
    if let Ok(genesis) = serde_json::from_str::<Genesis>(text) {
        let _ = State::new(&genesis);
    }
    if let Ok(graph) = Graph::from_json(text) {
        let written = serde_json::to_string(&graph).expect("it has a JSON form");
        assert_eq!(
            Graph::from_json(&written).expect("it was just written"),
            graph
        );
    }
});
