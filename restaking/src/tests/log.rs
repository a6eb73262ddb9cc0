//! The log's codec.

use super::super::log::{LogError, Read, Tip};
use super::super::testing::*;

#[test]
fn a_record_is_bound_to_all_before_it() {
    let mut trace = Trace::new(1);
    for _ in 0..60 {
        trace.step();
    }
    let entries = trace.entries;
    let mut tip = Tip::of(&genesis());
    let records: Vec<_> = entries
        .iter()
        .map(|entry| tip.write(entry).unwrap())
        .collect();
    let bytes = records.concat();
    let (mut reader, mut at, mut back) = (Tip::of(&genesis()), 0, Vec::new());
    while let Read::Record(entry, length) = reader.read(&bytes[at..]).unwrap() {
        back.push(entry);
        at += length;
    }
    assert_eq!(at, bytes.len());
    assert_eq!(back, entries);
    assert_eq!(reader, tip);
    // Every cut within a record is seen as one.
    for cut in 1..records[0].len() {
        assert_eq!(Tip::of(&genesis()).read(&records[0][..cut]), Ok(Read::Cut));
    }
    // Every flipped byte is seen, and so is a record at another place.
    for at in 0..records[0].len() {
        let mut bad = records[0].clone();
        bad[at] ^= 1;
        assert!(Tip::of(&genesis()).read(&bad).is_err(), "byte {at}");
    }
    assert_eq!(
        Tip::of(&genesis()).read(&records[1]),
        Err(LogError::Header { record: 0 })
    );
}
