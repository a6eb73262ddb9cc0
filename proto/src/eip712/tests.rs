use ashlar_crypto::account::keccak256;

use super::*;

alloy_sol_types::sol! {
    struct Note {
        uint64 number;
        string text;
    }
}

/// The hash by hand, from the text of EIP-712.
#[test]
fn the_hash_is_that_of_the_standard() {
    let word = |value: u8| {
        let mut word = [0; 32];
        word[31] = value;
        word
    };
    let salt = [0xaa; 32];
    let separator = keccak256(
        &[
            keccak256(b"EIP712Domain(string name,string version,bytes32 salt)"),
            keccak256(b"Ashlar"),
            keccak256(b"1"),
            salt,
        ]
        .concat(),
    );
    let value = keccak256(
        &[
            keccak256(b"Note(uint64 number,string text)"),
            word(7),
            keccak256(b"hello"),
        ]
        .concat(),
    );
    let expected = keccak256(&[&[0x19, 0x01][..], &separator, &value].concat());
    let note = Note {
        number: 7,
        text: "hello".into(),
    };
    assert_eq!(signing_hash(salt, &note), expected);
    assert_ne!(signing_hash([0xab; 32], &note), expected);
}
