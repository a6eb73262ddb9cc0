#![no_main]
//! Response envelopes: what decodes survives a round trip, and the length of its bulk part can be computed.

use ashlar_proto::wire::Response;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(response) = Response::decode(data.to_vec()) else {
        return;
    };
    let _ = response.bulk_len();
    let again = Response::decode(response.encode()).expect("it was decoded before");
    assert_eq!(again, response);
});
