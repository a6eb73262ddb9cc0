#![no_main]
//! All kernels against each other; see `ashlar_crypto::differential`.

use ashlar_crypto::differential::{Area, Choices, round};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((area, bytes)) = bytes.split_first() else {
        return;
    };
    let area = Area::ALL[usize::from(*area) % Area::ALL.len()];
    if let Err(disagreement) = round(area, &mut Choices::from_bytes(bytes)) {
        panic!("{area}: {disagreement}");
    }
});
