//! A remote signer's configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::Domain;
use ashlar_service::config::{OptionalAddress, start_at};

use crate::config::{ConfigError, NodeConfig};

ashlar_service::config! {
    "# Configuration of an Ashlar remote signer. Every key is optional; shown are the defaults.\n\
     # Relative paths start at the folder of this file.\n",
    /// Everything that an operator can set on a remote signer.
    pub struct SignerConfig {
        /// Where things are on this machine.
        pub paths: SignerPaths,
        /// Address to listen on.
        pub listen: SignerListen,
        /// For whom is signed, and what.
        pub accept: SignerAccept,
    }

    /// Where things are. Relative paths start at the folder of the configuration file.
    pub struct SignerPaths {
        /// Folder of the database: what was signed. The file bls.database.json beside the BLS keystore says which database that is;
        /// without it, or with another database here, the signer does not start. Never put back an older copy of it.
        pub data: PathBuf = "data".into();
        /// Keystore (EIP-2335) of the BLS key that signs batches.
        pub bls_key: PathBuf = "bls.json".into();
        /// Keystore of the ed25519 key that is the signer's TLS identity.
        pub network_key: PathBuf = "network.json".into();
        /// File whose first line is the password of both keystores.
        pub password_file: PathBuf = "password".into();
    }

    /// Where to listen.
    pub struct SignerListen {
        /// UDP address for the nodes. Keep it off the internet.
        pub quic: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7490));
        /// TCP address for health and metrics. For the operator only. Empty: none.
        pub http: OptionalAddress = OptionalAddress(Some(SocketAddr::from(([127, 0, 0, 1], 7491))));
    }

    /// For whom is signed, and what.
    pub struct SignerAccept {
        /// Network keys of the nodes that may ask, 0x and 64 digits each. Two during a change of the node's network key.
        pub nodes: Vec<NetworkPublicKey> = Vec::new();
        /// Domains of the services that the operator is in, 0x and 64 digits each: a batch of another one is not signed.
        pub domains: Vec<Domain> = Vec::new();
        /// Oldest batch that is signed, in seconds, as in the node's configuration. A record of what was signed stays for twice as
        /// long; after it all numbers of the disperser up to it are refused.
        pub max_age_secs: u64 = 600, within 1..=86_400;
        /// How far in the future a batch may be dated, in seconds, as in the node's configuration.
        pub max_clock_skew_secs: u64 = 30, within 0..=3600;
    }
}

impl SignerConfig {
    /// Makes relative paths start at a folder.
    pub fn start_at(&mut self, folder: &Path) {
        let paths = &mut self.paths;
        start_at(
            folder,
            [
                &mut paths.data,
                &mut paths.bls_key,
                &mut paths.network_key,
                &mut paths.password_file,
            ],
        );
    }

    /// Checks everything that a type cannot.
    ///
    /// # Errors
    /// The first key whose value makes no sense, and why.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        let accept = &self.accept;
        for (key, empty) in [
            ("accept.nodes", accept.nodes.is_empty()),
            ("accept.domains", accept.domains.is_empty()),
        ] {
            if empty {
                let why = "without one nothing could be signed";
                return Err(ConfigError::invalid(key, "empty", why));
            }
        }
        Ok(())
    }

    /// How to open the database: as that of a node with little memory.
    pub fn database(&self) -> NodeConfig {
        let mut config = NodeConfig::default();
        config.paths.data.clone_from(&self.paths.data);
        config.paths.bls_key.clone_from(&self.paths.bls_key);
        config.load.memory_bytes = 128 << 20;
        config
    }
}
