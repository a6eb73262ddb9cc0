#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_ff::{One, Zero};
use proptest::prelude::*;

use super::*;

#[test]
fn the_largest_scalar_is_read_and_the_order_is_not() {
    let mut bytes = order_be();
    assert_eq!(
        hex::encode(bytes),
        "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"
    );
    assert_eq!(fr_from_be(&bytes), Err(FieldError::NonCanonical));
    bytes[31] -= 1;
    assert_eq!(fr_from_be(&bytes), Ok(-Fr::one()));
    assert_eq!(fr_to_be(&-Fr::one()), bytes);
    assert_eq!(fr_from_be(&[0xff; 32]), Err(FieldError::NonCanonical));
    assert_eq!(fr_from_be(&[0; 32]), Ok(Fr::zero()));
}

#[test]
fn the_first_bad_element_is_found() {
    let mut bytes = vec![0; 32 * 5];
    assert_eq!(first_non_canonical(&bytes), None);
    bytes[96..128].copy_from_slice(&order_be());
    bytes[128..].fill(0xff);
    assert_eq!(first_non_canonical(&bytes), Some(3));
    assert_eq!(first_non_canonical(&bytes[..127]), None);
    assert_eq!(first_non_canonical(&[]), None);
}

proptest! {
    #[test]
    fn bytes_and_scalars_agree_with_arkworks(bytes in any::<[u8; 32]>()) {
        let reduced = Fr::from_be_bytes_mod_order(&bytes);
        match fr_from_be(&bytes) {
            Ok(scalar) => {
                prop_assert_eq!(scalar, reduced);
                prop_assert_eq!(fr_to_be(&scalar), bytes);
            }
            Err(_) => prop_assert_ne!(fr_to_be(&reduced), bytes),
        }
        prop_assert_eq!(first_non_canonical(&bytes).is_none(), fr_from_be(&bytes).is_ok());
    }

    #[test]
    fn raw_form_is_linear(a in any::<[u8; 32]>(), b in any::<[u8; 32]>(), weight in any::<u64>()) {
        let (a, b) = (Fr::from_be_bytes_mod_order(&a), Fr::from_be_bytes_mod_order(&b));
        let (raw_a, raw_b) = (raw_from_be(&fr_to_be(&a)), raw_from_be(&fr_to_be(&b)));
        let weight = Fr::from(weight);
        let sum = raw_a * weight + raw_b;
        prop_assert_eq!(raw_to_be(&sum), fr_to_be(&(a * weight + b)));
        prop_assert_eq!(from_raw(&sum), a * weight + b);
        prop_assert_eq!(sum.0.0, (a * weight + b).into_bigint().0);
    }
}
