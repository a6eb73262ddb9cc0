//! Heads that contradict the ledger. They acquit an operator, and count against the source that signed them.
//!
//! Operators sign by the table that their source shows them. An operator that signed by another table than the ledger's
//! is at fault, unless the source vouched for that table, which the source's signature proves. The ledger knows which
//! key signs its heads: the genesis names the first, and each key names its successor. After its successor's first
//! block a key no longer counts.

use ashlar_crypto::account::AccountSignature;
use ashlar_proto::head::{Head, HeadKeySuccession};
use ashlar_proto::{Account, TableAccess as _, TableRoot};

use super::error::Outcome;
use super::state::inconsistent;
use super::types::*;
use super::weights::TableQueryError;
use super::{Event, State, TransactionError};

impl State {
    /// The keys that sign heads, or did.
    pub fn head_keys(&self) -> impl Iterator<Item = (Account, HeadKey)> {
        self.head_keys.iter().map(|(key, record)| (*key, *record))
    }

    /// The key that signs the head of a block.
    pub fn head_key_at(&self, block: Block) -> Account {
        let found = self.head_keys().find(|(_, key)| key.signs(block));
        // Each key signs until its successor does, from block 0 on.
        found.map_or(self.meta.head_key, |(key, _)| key)
    }

    /// What each key signed about the next one, by rising block.
    pub fn head_key_successions(&self) -> Vec<HeadKeySuccession> {
        let mut successions: Vec<_> = self
            .head_keys()
            .filter_map(|(_, key)| key.succession)
            .collect();
        successions.sort_by_key(|succession| succession.from_block);
        successions
    }

    /// The head by which the source vouched for this root at this block although the ledger says otherwise, if somebody showed it.
    pub fn contradicting_head(
        &self,
        service: ServiceId,
        block: Block,
        root: TableRoot,
    ) -> Option<&Contradiction> {
        self.contradictions.get(&(service, block, root))
    }

    /// All heads that contradict the ledger: service, block, and the root that was signed.
    pub fn contradictions(
        &self,
    ) -> impl Iterator<Item = (&(ServiceId, Block, TableRoot), &Contradiction)> {
        self.contradictions.iter()
    }

    pub(super) fn submit_head(
        &mut self,
        service: ServiceId,
        block: Block,
        time_ms: u64,
        table_root: TableRoot,
        signature: &AccountSignature,
    ) -> Outcome {
        self.service_ref(service)?;
        let shown = self.block();
        if block >= shown {
            return Err(TransactionError::HeadEarly {
                block,
                expected: block.saturating_add(1),
            });
        }
        if let Some(known) = self.contradictions.get(&(service, block, table_root)) {
            return Err(TransactionError::HeadKnown { block: known.shown });
        }
        let head = Head {
            domain: self.domain(service),
            block,
            time_ms,
            table_root,
        };
        let key = signature
            .recover(&head.signing_hash())
            .map(Account)
            .ok()
            .filter(|key| self.head_keys.get(key).is_some_and(|of| of.signs(block)))
            .ok_or(TransactionError::HeadKey { block })?;
        let recorded = match self.table_at(service, block) {
            Ok(table) => Some(table.root()),
            // Nobody had stake. Whoever vouched for a table then vouched for a wrong one.
            Err(TableQueryError::Table(_)) => None,
            Err(TableQueryError::Future { .. } | TableQueryError::Service { .. }) => {
                return Err(inconsistent("a block that is over is to come"));
            }
            Err(TableQueryError::Inconsistent { .. }) => {
                return Err(inconsistent("a table cannot be made"));
            }
        };
        if recorded == Some(table_root) {
            return Err(TransactionError::HeadAgrees { block });
        }
        self.contradictions.insert(
            (service, block, table_root),
            Contradiction {
                key,
                time_ms,
                shown,
                signature: *signature,
            },
        );
        self.emit(Event::SourceContradicted {
            service,
            block,
            signed_root: table_root,
            key,
        });
        Ok(())
    }

    pub(super) fn rotate_head_key(
        &mut self,
        successor: Account,
        from_block: Block,
        signature: &AccountSignature,
    ) -> Outcome {
        let key = self.meta.head_key;
        // A key comes once, so that an old succession cannot be used a second time.
        if self.head_keys.contains(&successor) {
            return Err(TransactionError::HeadKeyUsed { key: successor });
        }
        let succession = HeadKeySuccession {
            network: self.meta.id,
            successor,
            from_block,
            signature: *signature,
        };
        succession
            .verify(&self.meta.id, &key)
            .map_err(|_| TransactionError::HeadSuccession { expected: key })?;
        // Blocks that are over may have been signed by the key itself.
        let open = self.block();
        let before = self
            .head_keys
            .edit(&key)
            .ok_or(inconsistent("the head key is not among the head keys"))?;
        let expected = before.from.saturating_add(1).max(open);
        if from_block < expected {
            return Err(TransactionError::HeadKeyBlock {
                got: from_block,
                expected,
            });
        }
        before.until = Some(from_block);
        let record = HeadKey {
            from: from_block,
            until: None,
            succession: Some(succession),
        };
        self.head_keys.insert(successor, record);
        self.meta.head_key = successor;
        self.emit(Event::HeadKeyRotated {
            successor,
            from_block,
        });
        Ok(())
    }
}
