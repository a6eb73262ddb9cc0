#![no_main]
//! Payload → rows → payload.

use ashlar_crypto::Rows;
use ashlar_crypto::payload::Encoding;
use ashlar_crypto::rows_for;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((selector, payload)) = data.split_first() else {
        return;
    };
    let encoding = Encoding::try_from(selector & 1).expect("0 and 1 are encodings");
    let len = payload.len() as u64;
    match Rows::from_payload(payload, encoding) {
        Ok(rows) => {
            assert_eq!(
                rows_for(encoding, len).expect("it was encoded"),
                rows.count() as u32
            );
            assert_eq!(
                rows.to_payload(encoding, len).expect("it was encoded"),
                payload
            );
        }
        Err(_) if encoding == Encoding::Packed31 => assert!(payload.is_empty()),
        Err(_) => {}
    }
});
