//! Space and speed of a folder of the database.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ashlar_node::NodeConfig;
use ashlar_service::disk::free_bytes;

use super::{Report, existing};
use crate::ui;

/// A sync takes less on a disk that a node can live on.
const SLOW_SYNC: Duration = Duration::from_millis(100);
/// Pieces that are written and synced one by one.
const PIECES: usize = 48;
const PIECE: usize = 256 << 10;
/// What was measured until then counts.
const LONGEST: Duration = Duration::from_secs(5);
const DAY: u64 = 24 * 3600;

/// How fast a folder is.
struct Speed {
    /// 99 of 100 syncs are as fast.
    sync: Duration,
    bytes_per_sec: u64,
}

/// Looks at one folder. `rate` is what the node stores, in bytes a second, if that is known.
pub(super) fn look(report: &mut Report, config: &NodeConfig, folder: &Path, rate: Option<u64>) {
    let folder = existing(folder);
    space(report, config, folder, rate);
    let place = folder.display();
    match measure(folder) {
        Ok(Speed {
            sync,
            bytes_per_sec,
        }) => {
            let says = format!(
                "{place}: 99 of 100 syncs take {} at most, {} a second",
                ui::millis(u64::try_from(sync.as_millis()).unwrap_or(u64::MAX)),
                ui::bytes(bytes_per_sec)
            );
            let next = "every batch waits for a sync: is it a local disk, and does nothing else keep it busy?";
            match sync > SLOW_SYNC {
                true => report.warn("disk speed", says, next),
                false => report.ok("disk speed", says),
            }
        }
        Err(error) => {
            let says = format!("{place} cannot be written: {error}");
            let next = "run this as the user that the node runs as";
            report.warn("disk speed", says, next);
        }
    }
}

fn space(report: &mut Report, config: &NodeConfig, folder: &Path, rate: Option<u64>) {
    const CHECK: &str = "disk space";
    let place = folder.display();
    let free = match free_bytes(folder) {
        Ok(free) => free,
        Err(error) => return report.warn(CHECK, format!("{place}: {error}"), "look at the disk"),
    };
    let least = config.store.min_free_bytes;
    let room = free.saturating_sub(least);
    let says = format!("{place}: {} free", ui::bytes(free));
    if free < least {
        let says = format!(
            "{says}, store.min_free_bytes is {}: nothing is signed",
            ui::bytes(least)
        );
        return report.fail(
            CHECK,
            says,
            "make room, or enlarge the disk; never delete files of the database",
        );
    }
    let Some(rate) = rate.filter(|rate| *rate > 0) else {
        return report.ok(CHECK, says);
    };
    // Each drive of several has a part of what is stored.
    let drives = config.data_folders().len() as u64;
    let data = drives.saturating_sub(config.store.parity.into()).max(1);
    let a_day = rate.saturating_mul(DAY) / data;
    let says = format!(
        "{says}, {} a day at the rate since the start",
        ui::bytes(a_day)
    );
    let days = room / a_day.max(1);
    let kept = ashlar_proto::version(ashlar_proto::DEFAULT_VERSION);
    let kept_days = kept.map_or(u64::MAX, |version| version.retention_secs / DAY + 1);
    // What is over is dropped after that many days: from then on it needs no more.
    if days >= kept_days {
        return report.ok(CHECK, says);
    }
    let says = format!("{says}: full in {days} days, unless data expires before");
    match days {
        0..2 => report.fail(CHECK, says, "enlarge the disk, or lower store.daily_bytes"),
        _ => report.warn(CHECK, says, "enlarge the disk, or lower store.daily_bytes"),
    }
}

/// A file that goes when it is dropped.
struct Trial(PathBuf);

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn measure(folder: &Path) -> io::Result<Speed> {
    let path = folder.join(format!("doctor.{}.part", std::process::id()));
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    let _trial = Trial(path);
    let piece = vec![0x5a; PIECE];
    let began = Instant::now();
    let mut syncs = Vec::with_capacity(PIECES);
    while syncs.len() < PIECES && began.elapsed() < LONGEST {
        file.write_all(&piece)?;
        let started = Instant::now();
        file.sync_data()?;
        syncs.push(started.elapsed());
    }
    let bytes = (syncs.len() * PIECE) as f64;
    syncs.sort_unstable();
    // Of so few, that is the slowest.
    let at = (syncs.len() * 99 / 100).min(syncs.len().saturating_sub(1));
    Ok(Speed {
        sync: syncs.get(at).copied().unwrap_or_default(),
        bytes_per_sec: (bytes / began.elapsed().as_secs_f64().max(1e-9)) as u64,
    })
}
