use proptest::prelude::*;

use super::*;

fn message(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

/// Both ends of a block, and lengths around every place where the padding takes another shape.
#[test]
fn pairs_are_what_the_library_says() {
    for len in (0..200).chain([1023, 1024, 1055, 2048, 4096]) {
        let messages = [message(len, 1), message(len, 2), message(len, 3)];
        let expected: Vec<Hash> = messages.iter().map(|m| hash_one(7, m)).collect();
        assert_eq!(hash_each(7, &messages), expected, "{len} bytes");
    }
}

#[test]
fn messages_of_different_lengths_are_hashed_as_well() {
    let messages = [message(10, 1), message(300, 2), message(64, 3)];
    let expected: Vec<Hash> = messages.iter().map(|m| hash_one(0, m)).collect();
    assert_eq!(hash_each(0, &messages), expected);
    assert!(hash_each::<Vec<u8>>(0, &[]).is_empty());
}

/// The splitting into blocks is tested on every processor, the instructions only where they are.
#[test]
fn blocks_are_the_padded_message() {
    for len in 0..300 {
        let message = message(len, 9);
        let mut expected = vec![5];
        expected.extend(&message);
        expected.push(0x80);
        while expected.len() % BLOCK != BLOCK - 8 {
            expected.push(0);
        }
        expected.extend((8 * (len as u64 + 1)).to_be_bytes());
        let blocks = Blocks::new(5, &message);
        let got: Vec<u8> = blocks.iter().flatten().copied().collect();
        assert_eq!(got, expected, "{len} bytes");
    }
}

proptest! {
    #[test]
    fn random_messages(prefix: u8, one in proptest::collection::vec(any::<u8>(), 0..700), flip: u8) {
        let other: Vec<u8> = one.iter().map(|byte| byte ^ flip).collect();
        prop_assert_eq!(
            hash_each(prefix, &[&one, &other]),
            vec![hash_one(prefix, &one), hash_one(prefix, &other)]
        );
    }
}
