#![no_main]
//! The protobuf body of a submission.

use ashlar_proto::wire::PutBlob;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(put) = PutBlob::decode(data.to_vec()) else {
        return;
    };
    let again = PutBlob::decode(put.encode()).expect("it was decoded before");
    assert_eq!(again, put);
    assert!(put.encode().len() as u64 <= PutBlob::max_len(put.payload.len() as u64));
});
