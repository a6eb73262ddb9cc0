#![allow(clippy::unwrap_used)]

use super::*;

/// The first account of Hardhat and Anvil (`test test … junk`), known to every Ethereum tool.
const SECRET: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "f39fd6e51aad88f6f4ce6ab8827279cfffb92266";

fn key() -> AccountKey {
    let mut secret = [0; 32];
    hex::decode_to_slice(SECRET, &mut secret).unwrap();
    AccountKey::from_bytes(&secret).unwrap()
}

#[test]
fn the_address_is_ethereums() {
    assert_eq!(hex::encode(key().address()), ADDRESS);
    // Keccak-256 of nothing, as Ethereum knows it (the hash of an account without code).
    assert_eq!(
        hex::encode(keccak256(b"")),
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    );
}

/// The mail example of EIP-712: its signing hash, its key `keccak256("cow")` and the signature that the standard prints.
#[test]
fn the_signature_of_eip_712s_example() {
    let cow = AccountKey::from_bytes(&keccak256(b"cow")).unwrap();
    assert_eq!(
        hex::encode(cow.address()),
        "cd2a3d9f938e13cd947ec05abc7fe734df8dd826"
    );
    let mut hash = [0; 32];
    hex::decode_to_slice(
        "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2",
        &mut hash,
    )
    .unwrap();
    let signature = cow.sign_prehash(&hash);
    assert_eq!(
        hex::encode(signature.0),
        "4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d\
         07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562\
         1c"
    );
    assert_eq!(signature.recover(&hash), Ok(cow.address()));
}

#[test]
fn another_hash_gives_another_address() {
    let signature = key().sign_prehash(&[7; 32]);
    assert_eq!(signature.recover(&[7; 32]), Ok(key().address()));
    assert_ne!(signature.recover(&[8; 32]), Ok(key().address()));
}

#[test]
fn keys_that_are_none_are_refused() {
    assert_eq!(
        AccountKey::from_bytes(&[0; 32]).unwrap_err(),
        AccountError::Key
    );
    assert_eq!(
        AccountKey::from_bytes(&[0xff; 32]).unwrap_err(),
        AccountError::Key
    );
}

#[test]
fn one_signature_has_one_encoding() {
    let hash = [3; 32];
    let good = key().sign_prehash(&hash);
    for v in [0, 1, 26, 29, 255] {
        let mut bad = good;
        bad.0[64] = v;
        assert_eq!(bad.recover(&hash), Err(AccountError::RecoveryId { got: v }));
    }
    // n − s with the other v is a signature by the same key; EIP-2 refuses it.
    let signature = Signature::from_slice(&good.0[..64]).unwrap();
    let (r, s) = signature.split_scalars();
    let high = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    let mut bad = good;
    bad.0[..64].copy_from_slice(&high.to_bytes());
    bad.0[64] = 27 + 28 - good.0[64];
    assert_eq!(bad.recover(&hash), Err(AccountError::HighS));
    let mut bad = good;
    bad.0[..64].fill(0);
    assert_eq!(bad.recover(&hash), Err(AccountError::Signature));
}

#[test]
fn nothing_secret_is_shown() {
    assert_eq!(format!("{:?}", key()), format!("AccountKey(0x{ADDRESS})"));
}
