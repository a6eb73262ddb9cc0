#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn what_is_written_is_read() {
    let bytes = generic(b"cert");
    assert_eq!(bytes, b"\x01\xa5\x01cert");
    let read = Commitment::read(&bytes).unwrap();
    assert_eq!(read, Commitment::Certificate(b"cert"));
    assert_eq!(Commitment::standard(&standard(b"cert")).unwrap(), read);
    let hash = keccak256(b"data");
    let keccak = [&[0], &hash[..]].concat();
    assert_eq!(Commitment::read(&keccak).unwrap(), Commitment::Keccak(hash));
    assert!(is_hash_of(&hash, b"data") && !is_hash_of(&hash, b"Data"));
    assert_eq!(from_hex("0x01a5").unwrap(), [1, 0xa5]);
}

#[test]
fn only_what_stays_wrong_for_everybody_is_final() {
    let cases: [(&[u8], &str, bool); 7] = [
        (&[], "commitment.truncated", true),
        (&[1], "commitment.truncated", true),
        (&[1, DA_BYTE], "commitment.truncated", true),
        (&[1, DA_BYTE, 9, 1], "commitment.version", true),
        (&[1, 0, 1, 1], "commitment.other_layer", false),
        (&[0, 7], "commitment.keccak_length", false),
        (&[7], "commitment.kind", false),
    ];
    for (bytes, code, is_final) in cases {
        let error = Commitment::read(bytes).unwrap_err();
        assert_eq!(
            (error.code(), error.is_final()),
            (code, is_final),
            "{bytes:?}"
        );
    }
    for text in ["01a5", "0x0", "0xzz", ""] {
        assert_eq!(from_hex(text), Err(CommitmentError::Hex));
    }
}
