//! Files that operators write: configurations, tables, protection files.

use std::path::Path;

use ashlar_disperser::DisperserConfig;
use ashlar_ledger::LedgerConfig;
use ashlar_node::NodeConfig;
use ashlar_node::protection::ProtectionFile;
use ashlar_stake::{FileFormat, TableFile};

use super::text;

/// A configuration is refused with a typed error, or written again as one that reads the same.
macro_rules! config {
    ($target:ident, $Config:ty) => {
        pub(crate) fn $target(data: &[u8]) {
            let Some(text) = text(data) else { return };
            let Ok(mut config) = <$Config>::parse(text) else {
                return;
            };
            let written = config
                .to_toml()
                .expect("TOML has no other paths than UTF-8");
            let again = <$Config>::parse(&written).expect("it was just written");
            assert_eq!(again, config);
            assert_eq!(again.validate(), config.validate());
            config.start_at(Path::new("/etc/ashlar"));
        }
    };
}

config!(node_config, NodeConfig);
config!(disperser_config, DisperserConfig);
config!(ledger_config, LedgerConfig);

/// The operator table file.
pub(crate) fn operators_file(data: &[u8]) {
    let Some(text) = text(data) else { return };
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
}

/// What an operator's key may not sign any more.
pub(crate) fn protection_file(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(file) = ProtectionFile::parse(text) {
        let written = file.to_json().expect("it has a JSON form");
        let again = ProtectionFile::parse(&written).expect("it was just written");
        assert_eq!(again, file);
    }
}
