#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Bitmap;
use crate::OperatorIndex;

#[test]
fn bit_order_and_stray_bits() {
    let set = Bitmap::from_indices(10, [0, 3, 9].map(OperatorIndex)).unwrap();
    assert_eq!(set.as_bytes(), [0b0000_1001, 0b0000_0010]);
    assert_eq!(Bitmap::from_bytes(10, &[9, 2]), Some(set));
    assert_eq!(Bitmap::from_bytes(10, &[9, 4]), None);
    assert_eq!(Bitmap::from_bytes(10, &[9]), None);
    assert_eq!(Bitmap::from_bytes(10, &[9, 2, 0]), None);
    assert_eq!(Bitmap::from_bytes(8, &[0xff]).unwrap().count(), 8);
    assert_eq!(Bitmap::from_bytes(0, &[]), Some(Bitmap::new(0)));
    assert_eq!(Bitmap::from_indices(10, [OperatorIndex(10)]), None);
    assert!(!Bitmap::new(10).contains(OperatorIndex(10)));
}

proptest! {
    #[test]
    fn behaves_like_a_set(len in 0u32..300, picks in proptest::collection::btree_set(0u32..300, 0..50)) {
        let picks: BTreeSet<_> = picks.into_iter().filter(|i| *i < len).map(OperatorIndex).collect();
        let set = Bitmap::from_indices(len, picks.iter().copied()).unwrap();
        prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), picks.clone());
        prop_assert_eq!(set.count() as usize, picks.len());
        prop_assert_eq!(set.iter_missing().count() + picks.len(), len as usize);
        prop_assert_eq!(Bitmap::from_bytes(len, set.as_bytes()), Some(set));
    }
}
