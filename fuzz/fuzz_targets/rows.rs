#![no_main]
//! Bytes claimed to be rows. The input sets some elements of otherwise empty rows, because libFuzzer does not write 128 KiB.

use ashlar_crypto::payload::Encoding;
use ashlar_crypto::{BYTES_PER_ROW, Rows};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u64, Vec<(u16, [u8; 32])>, bool, i8)| {
    let (count, len, elements, fitting, ragged) = input;
    let count = usize::from(count % 4);
    let mut bytes = vec![0; count * BYTES_PER_ROW];
    for (at, element) in elements {
        let at = usize::from(at) * 32 % bytes.len().max(1);
        if let Some(place) = bytes.get_mut(at..at + 32) {
            place.copy_from_slice(&element);
        }
    }
    if fitting && let Some(head) = bytes.get_mut(..32) {
        head.fill(0);
        head[2..10].copy_from_slice(&len.to_be_bytes());
    }
    let len_of_bytes = bytes
        .len()
        .saturating_add_signed(isize::from(ragged.min(0)));
    bytes.truncate(len_of_bytes);
    let Ok(rows) = Rows::from_bytes(bytes.clone()) else {
        return;
    };
    assert_eq!(rows.as_bytes(), bytes);
    for encoding in [Encoding::Packed31, Encoding::Eip4844] {
        if let Ok(payload) = rows.to_payload(encoding, len) {
            let again = Rows::from_payload(&payload, encoding).expect("it came out of rows");
            assert_eq!(again.as_bytes(), bytes, "one payload has one encoding");
        }
    }
});
