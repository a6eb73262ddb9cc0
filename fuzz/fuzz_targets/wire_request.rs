#![no_main]
//! Request envelopes: what decodes survives a round trip, and the length of its bulk part can be computed.

use ashlar_proto::wire::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(request) = Request::decode(data.to_vec()) else {
        return;
    };
    let _ = request.bulk_len();
    let again = Request::decode(request.encode()).expect("it was decoded before");
    assert_eq!(again, request);
});
