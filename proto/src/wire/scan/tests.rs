#![allow(clippy::unwrap_used)]

use ashlar_crypto::Coded;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::wire::{Request, Response, pb};

fn put(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, out);
    prost::encoding::encode_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

/// One message of this kind in an envelope.
fn wrapped(kind: u32, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, kind, message);
    out
}

fn code<T>(result: Result<T, WireError>) -> &'static str {
    result.err().map_or("passed", |error| error.code())
}

#[test]
fn varints_are_read_as_prost_reads_them() {
    let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
    for number in numbers {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(number, &mut bytes);
        bytes.push(9);
        let mut rest = &bytes[..];
        assert_eq!(varint(&mut rest), Ok(number));
        assert_eq!(rest, [9]);
    }
    // Cut off, and too large for 64 bits.
    for bytes in [&[][..], &[0x80][..], &[0xff; 9][..]] {
        assert_eq!(varint(&mut &*bytes), Err(WireError::Malformed));
    }
    let mut large = [0xff; 10];
    for (last, ok) in [
        (0, true),
        (1, true),
        (2, false),
        (0x7f, false),
        (0x81, false),
    ] {
        large[9] = last;
        assert_eq!(varint(&mut &large[..]).is_ok(), ok, "{last}");
        assert_eq!(
            prost::encoding::decode_varint(&mut &large[..]).is_ok(),
            ok,
            "{last}"
        );
    }
}

#[test]
fn what_is_not_in_the_protocol_is_refused() {
    // A kind that this version does not know, and a field.
    assert_eq!(code(Request::decode(wrapped(11, b""))), "wire.unknown_kind");
    let mut ping = Vec::new();
    put(&mut ping, 2, b"");
    assert_eq!(
        code(Request::decode(wrapped(4, &ping))),
        "wire.unknown_field"
    );
    // Groups, and numbers of fixed width.
    for key in [0x0b, 0x0c, 0x0d, 0x09, 0x0e, 0x0f] {
        assert_eq!(code(Request::decode(wrapped(4, &[key]))), "wire.malformed");
    }
    // A field of another type than the protocol's.
    assert_eq!(
        code(Request::decode(wrapped(4, &[0x0a, 0]))),
        "wire.malformed"
    );
    assert_eq!(
        code(Request::decode(wrapped(2, &[0x08, 0]))),
        "wire.malformed"
    );
    // A length beyond the end.
    assert_eq!(code(Request::decode(vec![0x22, 9, 0x08])), "wire.malformed");
}

#[test]
fn a_field_that_may_stand_once_stands_once() {
    let ping = [0x08, 7];
    let good = wrapped(4, &ping);
    assert_eq!(code(Request::decode(good.clone())), "passed");
    assert_eq!(
        code(Request::decode([&good[..], &good].concat())),
        "wire.limit"
    );
    assert_eq!(
        code(Request::decode(wrapped(4, &[ping, ping].concat()))),
        "wire.limit"
    );
}

#[test]
fn numbers_are_counted_packed_or_not() {
    let pong = |versions: &[u8]| Response::decode(wrapped(4, versions));
    let alone = |count: u8| (1..=count).flat_map(|v| [0x18, v]).collect::<Vec<_>>();
    let packed = |count: u8| {
        let mut out = Vec::new();
        put(&mut out, 3, &(1..=count).collect::<Vec<_>>());
        out
    };
    let most = limits::MAX_VERSIONS as u8;
    assert_eq!(code(pong(&alone(most))), "passed");
    assert_eq!(code(pong(&packed(most))), "passed");
    assert_eq!(code(pong(&alone(most + 1))), "wire.limit");
    assert_eq!(code(pong(&packed(most + 1))), "wire.limit");
    assert_eq!(code(pong(&[alone(most), packed(1)].concat())), "wire.limit");
    assert_eq!(code(pong(&[0x1a, 1, 0x80])), "wire.malformed");
}

#[test]
fn a_proof_of_one_among_several_runs_is_not_empty() {
    let proofs = |runs: usize, proof: &[u8]| {
        let mut message = Vec::new();
        put(&mut message, 2, &[0; BLOB_HEADER_BYTES]);
        let mut list = Vec::new();
        for _ in 0..runs {
            put(&mut message, 3, b"");
            put(&mut list, 1, proof);
        }
        put(&mut message, 5, &list);
        response(&wrapped(3, &message))
    };
    assert_eq!(proofs(1, b""), Ok(()));
    assert_eq!(proofs(2, &[0; 32]), Ok(()));
    assert_eq!(
        proofs(2, b""),
        Err(WireError::Length {
            field: "range proof",
            got: 0,
            expected: 32
        })
    );
}

proptest! {
    /// The decoder behind it never finds more than was counted.
    #[test]
    fn what_passes_is_decoded_to_what_was_counted(
        headers in 0usize..3, runs in 0usize..4, proofs in proptest::collection::vec(0usize..4, 0..3), noise: Option<(u8, u8)>,
    ) {
        let mut message = Vec::new();
        (0..headers).for_each(|_| put(&mut message, 2, &[0; BLOB_HEADER_BYTES]));
        (0..runs).for_each(|_| put(&mut message, 3, &[0x08, 1]));
        for &count in &proofs {
            let mut list = Vec::new();
            (0..count).for_each(|_| put(&mut list, 1, &[1; 32]));
            put(&mut message, 5, &list);
        }
        if let Some((at, byte)) = noise && !message.is_empty() {
            let at = usize::from(at) % message.len();
            message[at] = byte;
        }
        let bytes = wrapped(3, &message);
        if response(&bytes).is_ok() {
            let Some(pb::response::Kind::Chunks(chunks)) = pb::Response::decode(&*bytes).unwrap().kind else {
                return Err(TestCaseError::fail("another kind"));
            };
            prop_assert_eq!(chunks.slice_proofs.len(), chunks.blob_headers.len());
            prop_assert!(chunks.slice_proofs.iter().all(|p| p.runs.len() == chunks.runs.len()));
        }
    }
}
