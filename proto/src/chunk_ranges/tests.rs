#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::{ChunkIndex, ChunkRanges, ChunkRangesError, MAX_CHUNKS, MAX_RUNS};

#[test]
fn one_form_for_a_set() {
    let runs = ChunkRanges::new(vec![(0, 3), (5, 1), (100, 20)]).unwrap();
    assert_eq!(runs.count(), 24);
    assert_eq!(runs.last(), ChunkIndex(119));
    assert_eq!(runs.position(ChunkIndex(5)), Some(3));
    assert_eq!(runs.position(ChunkIndex(119)), Some(23));
    assert_eq!(runs.position(ChunkIndex(3)), None);
    assert_eq!(
        ChunkRanges::from_indices(&runs.iter().collect::<Vec<_>>()),
        Ok(runs)
    );

    assert_eq!(
        ChunkRanges::new(vec![]),
        Err(ChunkRangesError::Count { got: 0 })
    );
    let many = (0..=MAX_RUNS as u32).map(|i| (2 * i, 1)).collect();
    assert_eq!(
        ChunkRanges::new(many),
        Err(ChunkRangesError::Count { got: MAX_RUNS + 1 })
    );
    assert_eq!(
        ChunkRanges::new(vec![(1, 0)]),
        Err(ChunkRangesError::Empty { start: 1 })
    );
    // Touching runs are one run; overlapping and falling ones are none.
    assert_eq!(
        ChunkRanges::new(vec![(0, 2), (2, 1)]),
        Err(ChunkRangesError::Order { start: 2 })
    );
    assert_eq!(
        ChunkRanges::new(vec![(0, 2), (1, 1)]),
        Err(ChunkRangesError::Order { start: 1 })
    );
    assert_eq!(
        ChunkRanges::new(vec![(9, 2), (1, 1)]),
        Err(ChunkRangesError::Order { start: 1 })
    );
    assert_eq!(
        ChunkRanges::new(vec![(MAX_CHUNKS - 1, 2)]),
        Err(ChunkRangesError::Index {
            start: MAX_CHUNKS - 1,
            len: 2
        })
    );
    assert_eq!(
        ChunkRanges::new(vec![(u32::MAX, u32::MAX)]),
        Err(ChunkRangesError::Index {
            start: u32::MAX,
            len: u32::MAX
        })
    );
    assert!(ChunkRanges::new(vec![(MAX_CHUNKS - 1, 1)]).is_ok());

    assert_eq!(
        ChunkRanges::from_indices(&[1, 1].map(ChunkIndex)),
        Err(ChunkRangesError::Order { start: 1 })
    );
    assert_eq!(
        ChunkRanges::from_indices(&[5, 1].map(ChunkIndex)),
        Err(ChunkRangesError::Order { start: 1 })
    );
    assert_eq!(
        ChunkRanges::from_indices(&[ChunkIndex(MAX_CHUNKS)]),
        Err(ChunkRangesError::Index {
            start: MAX_CHUNKS,
            len: 1
        })
    );
}

#[test]
fn subsets() {
    let all = ChunkRanges::new(vec![(10, 10), (30, 5)]).unwrap();
    assert!(
        ChunkRanges::from_indices(&[10, 19, 34].map(ChunkIndex))
            .unwrap()
            .is_subset_of(&all)
    );
    assert!(
        !ChunkRanges::from_indices(&[10, 20].map(ChunkIndex))
            .unwrap()
            .is_subset_of(&all)
    );
}

proptest! {
    #[test]
    fn indices_round_trip(set in proptest::collection::btree_set(0..MAX_CHUNKS, 1..60)) {
        let indices: Vec<_> = set.into_iter().map(ChunkIndex).collect();
        let runs = ChunkRanges::from_indices(&indices).unwrap();
        prop_assert_eq!(runs.iter().collect::<Vec<_>>(), indices.clone());
        prop_assert_eq!(runs.count(), indices.len());
        for (place, index) in indices.iter().enumerate() {
            prop_assert_eq!(runs.position(*index), Some(place));
        }
        prop_assert_eq!(ChunkRanges::new(runs.as_slice().to_vec()), Ok(runs));
    }

    #[test]
    fn any_list_is_canonical_or_refused(list in proptest::collection::vec(any::<(u32, u32)>(), 0..10)) {
        if let Ok(runs) = ChunkRanges::new(list) {
            prop_assert!(runs.iter().all(|i| i.0 < MAX_CHUNKS));
        }
    }

    #[test]
    fn any_indices_never_panic(list in proptest::collection::vec(0u32..5000, 0..100)) {
        let _ = ChunkRanges::from_indices(&list.into_iter().map(ChunkIndex).collect::<Vec<_>>());
    }
}
