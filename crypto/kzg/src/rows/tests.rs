#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::testing::random_rows;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn packed_payloads_come_back(
        len in prop_oneof![1usize..200, 126_900usize..127_000, 253_000usize..254_100],
        seed in any::<u8>(),
    ) {
        let payload: Vec<_> = (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed) | 0x80).collect();
        let rows = Rows::from_payload(&payload, Encoding::Packed31).unwrap();
        prop_assert_eq!(rows.count(), rows_for(Encoding::Packed31, len as u64).unwrap() as usize);
        prop_assert!(rows.to_payload(Encoding::Packed31, len as u64).unwrap() == payload);
        // The type's promise.
        prop_assert!(Rows::from_bytes(rows.as_bytes().to_vec()).unwrap() == rows);
    }
}

#[test]
fn blobs_are_used_as_they_are() {
    let rows = random_rows("as they are", 3);
    let payload = rows.as_bytes().to_vec();
    let again = Rows::from_payload(&payload, Encoding::Eip4844).unwrap();
    assert!(again == rows);
    assert!(
        again
            .to_payload(Encoding::Eip4844, payload.len() as u64)
            .unwrap()
            == payload
    );
    assert_eq!(
        again.to_payload(Encoding::Eip4844, 131_072),
        Err(PayloadError::RowCount {
            payload_len: 131_072,
            expected: 1,
            got: 3
        })
    );
}

#[test]
fn rows_are_addressed() {
    let rows = random_rows("addressed", 2);
    assert_eq!(rows.row(0), Some(&rows.as_bytes()[..BYTES_PER_ROW]));
    assert_eq!(rows.row(1), Some(&rows.as_bytes()[BYTES_PER_ROW..]));
    assert_eq!(rows.row(2), None);
    assert_eq!(rows.row(usize::MAX), None);
    assert_eq!(rows.iter().len(), rows.count());
}

#[test]
fn what_is_no_rows_is_refused() {
    for len in [0, 1, BYTES_PER_ROW - 1, BYTES_PER_ROW + 32] {
        assert_eq!(
            Rows::from_bytes(vec![0; len]),
            Err(PayloadError::NotWholeRows { len: len as u64 })
        );
    }
    let mut bytes = vec![0; 2 * BYTES_PER_ROW];
    bytes[4097 * 32..4098 * 32].fill(0xff);
    assert_eq!(
        Rows::from_payload(&bytes, Encoding::Eip4844),
        Err(PayloadError::NonCanonical { index: 4097 })
    );
    assert_eq!(
        Rows::from_payload(&[], Encoding::Packed31),
        Err(PayloadError::Empty)
    );
    assert_eq!(
        Rows::from_payload(&[], Encoding::Eip4844),
        Err(PayloadError::Empty)
    );
}
