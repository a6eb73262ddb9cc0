#![no_main]
//! The operator table file.

use std::path::Path;

use ashlar_stake::{FileFormat, TableFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let path = Path::new("operators");
    for format in [FileFormat::Toml, FileFormat::Json] {
        let Ok(file) = TableFile::from_text(text, format, path) else {
            continue;
        };
        let _ = file.tables(path);
        for format in [FileFormat::Toml, FileFormat::Json] {
            let written = file
                .to_text(format, path)
                .expect("both formats hold every table");
            assert_eq!(
                TableFile::from_text(&written, format, path).expect("it was just written"),
                file
            );
        }
    }
});
