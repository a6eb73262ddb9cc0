#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn rows_are_counted() {
    let full = 31 * 4095;
    for (len, rows) in [
        (1, 1),
        (full, 1),
        (full + 1, 2),
        (full + 31 * 4096, 2),
        (full + 31 * 4096 + 1, 3),
    ] {
        assert_eq!(rows_for(Encoding::Packed31, len), Ok(rows), "{len}");
    }
    assert_eq!(rows_for(Encoding::Packed31, 16 << 20), Ok(133));
    assert_eq!(rows_for(Encoding::Eip4844, 131_072), Ok(1));
    assert_eq!(rows_for(Encoding::Eip4844, 131_072 * 7), Ok(7));
}

#[test]
fn payloads_that_fit_no_rows_are_refused() {
    for encoding in [Encoding::Packed31, Encoding::Eip4844] {
        assert_eq!(rows_for(encoding, 0), Err(PayloadError::Empty));
    }
    assert_eq!(
        rows_for(Encoding::Packed31, u64::MAX),
        Err(PayloadError::TooLarge { len: u64::MAX })
    );
    let huge = 131_072 << 32;
    assert_eq!(
        rows_for(Encoding::Eip4844, huge),
        Err(PayloadError::TooLarge { len: huge })
    );
    for len in [1, 131_071, 131_073] {
        assert_eq!(
            rows_for(Encoding::Eip4844, len),
            Err(PayloadError::NotWholeRows { len })
        );
    }
}

#[test]
fn encodings_have_numbers_and_names() {
    for (encoding, id, name) in [
        (Encoding::Packed31, 0, "packed31"),
        (Encoding::Eip4844, 1, "eip4844"),
    ] {
        assert_eq!(Encoding::try_from(id), Ok(encoding));
        assert_eq!(u8::from(encoding), id);
        assert_eq!(name.parse(), Ok(encoding));
        assert_eq!(encoding.to_string(), name);
        #[cfg(feature = "serde")]
        assert_eq!(
            serde_json::to_string(&encoding).unwrap(),
            format!("\"{name}\"")
        );
        #[cfg(feature = "serde")]
        assert_eq!(
            serde_json::from_str::<Encoding>(&format!("\"{name}\"")).unwrap(),
            encoding
        );
    }
    assert_eq!(
        Encoding::try_from(2),
        Err(PayloadError::UnknownEncoding { found: "2".into() })
    );
    assert_eq!(
        "Packed31".parse::<Encoding>(),
        Err(PayloadError::UnknownEncoding {
            found: "Packed31".into()
        })
    );
}

/// The layout is part of the protocol.
#[test]
fn the_packed_layout_is_pinned() {
    let payload: Vec<_> = (1..=40).collect();
    let bytes = pack31(&payload).unwrap();
    assert_eq!(bytes[..10], [0, 0, 0, 0, 0, 0, 0, 0, 0, 40]);
    assert!(bytes[10..32].iter().all(|byte| *byte == 0));
    assert_eq!(bytes[32], 0);
    assert_eq!(bytes[33..64], payload[..31]);
    assert_eq!(bytes[64], 0);
    assert_eq!(bytes[65..74], payload[31..]);
    assert!(bytes[74..].iter().all(|byte| *byte == 0));
    assert_eq!(bytes.len(), 131_072);
}

#[test]
fn every_byte_that_must_be_zero_is_checked() {
    let payload = [9; 40];
    let good = pack31(&payload).unwrap();
    assert_eq!(unpack31(&good, 40).unwrap(), payload);
    for offset in [0, 10, 31, 32, 64, 74, 95, 96, 100, 131_071] {
        let mut bytes = good.clone();
        bytes[offset] = 1;
        assert_eq!(unpack31(&bytes, 40), Err(PayloadError::NonZero { offset }));
    }
}

#[test]
fn version_length_and_rows_are_checked() {
    let good = pack31(&[9; 40]).unwrap();
    let mut other = good.clone();
    other[1] = 1;
    assert_eq!(unpack31(&other, 40), Err(PayloadError::Version { got: 1 }));
    assert_eq!(
        unpack31(&good, 41),
        Err(PayloadError::Length {
            expected: 41,
            got: 40
        })
    );

    // More rows than the length implies, and fewer.
    let mut long = good.clone();
    long.resize(2 * 131_072, 0);
    assert_eq!(
        unpack31(&long, 40),
        Err(PayloadError::RowCount {
            payload_len: 40,
            expected: 1,
            got: 2
        })
    );
    let mut short = good.clone();
    short[2..10].copy_from_slice(&1_000_000u64.to_be_bytes());
    assert_eq!(
        unpack31(&short, 1_000_000),
        Err(PayloadError::RowCount {
            payload_len: 1_000_000,
            expected: 8,
            got: 1
        })
    );
    let mut endless = good;
    endless[2..10].fill(0xff);
    assert_eq!(
        unpack31(&endless, u64::MAX),
        Err(PayloadError::TooLarge { len: u64::MAX })
    );
    endless[2..10].fill(0);
    assert_eq!(unpack31(&endless, 0), Err(PayloadError::Empty));
}
