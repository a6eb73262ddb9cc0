//! Where payloads are kept beside the layer: a folder, memory, or a cloud's store. Nothing in it is believed.

use std::path::Path as FsPath;
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use thiserror::Error;
use tokio::time::timeout;

/// A store that cannot be used, or did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "store", blame = Us)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("the store {location} cannot be opened: {reason}")]
    #[coded(blame = Caller)]
    Open {
        /// As configured.
        location: String,
        /// Why.
        reason: String,
    },
    /// It failed.
    #[error("the {name} store failed: {reason}")]
    Failed {
        /// Which one.
        name: &'static str,
        /// Why.
        reason: String,
    },
    /// It is silent.
    #[error("the {name} store did not answer within {secs} s")]
    Silent {
        /// Which one.
        name: &'static str,
        /// Seconds.
        secs: u64,
    },
    /// What it has is not what was written.
    #[error(
        "the {name} store has something else under {key}: it is damaged, or somebody planted it"
    )]
    Damaged {
        /// Which one.
        name: &'static str,
        /// The object's name.
        key: String,
    },
}

/// One of the stores.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    /// `keccak`, `cache` or `fallback`.
    pub(crate) name: &'static str,
    store: Arc<dyn ObjectStore>,
    root: Path,
    patience: Duration,
}

impl Objects {
    /// Opens one; none if it has no location. A folder is made.
    pub(crate) fn open(
        name: &'static str,
        location: &str,
        patience: Duration,
    ) -> Result<Option<Self>, StoreError> {
        if location.is_empty() {
            return Ok(None);
        }
        let failed = |reason: String| StoreError::Open {
            location: location.to_owned(),
            reason,
        };
        let (store, root): (Arc<dyn ObjectStore>, Path) = match location.split_once("://") {
            None | Some(("file", _)) => {
                let path = location.strip_prefix("file://").unwrap_or(location);
                let store = folder(FsPath::new(path)).map_err(failed)?;
                (Arc::new(store), Path::default())
            }
            Some(("memory", _)) => (Arc::new(InMemory::new()), Path::default()),
            Some(_) => {
                let url = location
                    .parse()
                    .map_err(|error| failed(format!("{error}")))?;
                // Keys and regions, by the names that object_store gives them: aws_access_key_id and so on.
                let settings =
                    std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
                let settings = settings.filter(|(name, _)| {
                    ["aws_", "google_", "azure_"]
                        .iter()
                        .any(|of| name.starts_with(of))
                });
                let (store, root) = object_store::parse_url_opts(&url, settings)
                    .map_err(|error| failed(error.to_string()))?;
                (store.into(), root)
            }
        };
        Ok(Some(Self {
            name,
            store,
            root,
            patience,
        }))
    }

    /// Objects lie in 256 folders: there may be millions.
    fn path(&self, key: &[u8; 32]) -> Path {
        let folder = format!("{:02x}", key[0]);
        let root = self.root.clone();
        root.join(folder.as_str()).join(hex::encode(key).as_str())
    }

    pub(crate) fn damaged(&self, key: &[u8; 32]) -> StoreError {
        StoreError::Damaged {
            name: self.name,
            key: self.path(key).to_string(),
        }
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, StoreError> {
        match timeout(self.patience, work).await {
            Ok(Ok(done)) => Ok(Some(done)),
            Ok(Err(object_store::Error::NotFound { .. })) => Ok(None),
            Ok(Err(error)) => Err(StoreError::Failed {
                name: self.name,
                reason: error.to_string(),
            }),
            Err(_) => Err(StoreError::Silent {
                name: self.name,
                secs: self.patience.as_secs(),
            }),
        }
    }

    /// An object of at most so many bytes; a larger one is [`StoreError::Damaged`].
    pub(crate) async fn read(
        &self,
        key: &[u8; 32],
        most: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(key);
        let found = self.within(async {
            let found = self.store.get(&path).await?;
            match found.meta.size <= most {
                true => found.bytes().await.map(Some),
                false => Ok(None),
            }
        });
        match found.await? {
            Some(None) => Err(self.damaged(key)),
            Some(found) => Ok(found),
            None => Ok(None),
        }
    }

    /// Whether there is an object of this length.
    pub(crate) async fn has(&self, key: &[u8; 32], len: u64) -> bool {
        let path = self.path(key);
        let found = self.within(self.store.head(&path)).await;
        matches!(found, Ok(Some(meta)) if meta.size == len)
    }

    /// Writes an object, over another one too: whole or not at all, and synced, where it is a folder.
    pub(crate) async fn write(&self, key: &[u8; 32], bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(key);
        match self.within(self.store.put(&path, bytes.into())).await? {
            Some(_) => Ok(()),
            None => Err(StoreError::Failed {
                name: self.name,
                reason: "its folder is gone".to_owned(),
            }),
        }
    }
}

fn folder(path: &FsPath) -> Result<LocalFileSystem, String> {
    std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| error.to_string())?;
    Ok(store.with_fsync(true))
}

#[cfg(test)]
mod tests;
