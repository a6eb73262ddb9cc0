#![no_main]
//! ABI-encoded headers: one encoding each, because their hash is their name.

use ashlar_proto::{BatchHeader, BlobHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = BlobHeader::abi_decode(data) {
        assert_eq!(header.abi_encode(), data);
        let _ = header.validate();
        let _ = header.slice_bytes();
    }
    if let Ok(header) = BatchHeader::abi_decode(data) {
        assert_eq!(header.abi_encode(), data);
        let _ = header.validate();
        let _ = header.check_blobs(&[ashlar_fuzz::blob_header(0)]);
    }
});
