//! The bytes of one certificate in each form, frozen: whoever holds an old certificate can still read it.

use super::*;

const COMPACT: &str = include_str!("compact.hex");
const PORTABLE: &str = include_str!("portable.hex");

#[test]
fn the_encodings_do_not_change() {
    let table = Table::usual();
    let compact = table.certify(&most(&table), &[0, 1]);
    let portable = compact.to_portable(&table).unwrap();
    for (certificate, golden) in [(&compact, COMPACT), (&portable, PORTABLE)] {
        assert_eq!(hex::encode(certificate.to_bytes()), golden.trim());
        let bytes = hex::decode(golden.trim()).unwrap();
        assert_eq!(Certificate::from_bytes(&bytes).as_ref(), Ok(certificate));
    }
}
