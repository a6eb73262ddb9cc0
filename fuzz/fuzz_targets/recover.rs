#![no_main]
//! Slices claimed to belong to one blob: wrong indices, lengths, elements and combinations.

use ashlar_crypto::{Code, recover};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u8, Vec<(u32, u8, bool)>)| {
    let (rows, wrong_len, claims) = input;
    let code = Code::new(2, 128).expect("the code of EIP-7594");
    let rows = usize::from(rows % 3);
    let fill: Vec<Vec<u8>> = claims
        .iter()
        .map(|&(_, byte, whole)| {
            let len = rows * code.cell_bytes();
            vec![byte; if whole { len } else { usize::from(wrong_len) }]
        })
        .collect();
    let slices: Vec<(u32, &[u8])> = claims
        .iter()
        .zip(&fill)
        .map(|(&(index, ..), bytes)| (index % 200, bytes.as_slice()))
        .collect();
    if let Ok(recovered) = recover(code, rows, &slices) {
        assert_eq!(recovered.count(), rows);
    }
});
