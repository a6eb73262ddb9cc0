//! A file system whose power can be cut. It holds all in memory and is mounted with FUSE over a folder, so that a real program
//! with a real database works on it.
//!
//! What survives a cut is what POSIX promises and no more:
//!
//! * Bytes and length of a file: when `fsync` or `fdatasync` of it has returned. Anything that was written later may be there
//!   or not, in pieces, torn at any byte, or as zeros where only the length came to the disk.
//! * A name: when `fsync` of the folder that it is in has returned. Syncing a file does not make its name durable (ext4 and XFS
//!   do that, POSIX does not), nor does syncing a folder make durable its own name in the folder above. Names that were made,
//!   renamed or removed later come to the disk or not, one by one; a rename does as a whole.
//!
//! It can also fail with the power on: see [`Failure`]. And it can hang ([`Mounted::hang`]): nothing is answered, and nothing fails; what the
//! kernel has in memory it still reads.
//!
//! Only root can mount it, and only where there is `/dev/fuse`: see [`unavailable`].

mod disk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};
use nix::mount::{MntFlags, umount2};

pub use disk::{Disk, Inode, Kind, Node, ROOT, Unsynced};

use crate::random::Random;

/// Nobody but the kernel changes anything, so it may remember names and attributes.
const TTL: Duration = Duration::from_secs(60);
/// A process that was killed is given so long to let go.
const PATIENCE: Duration = Duration::from_secs(20);
const BLOCK: u64 = 4096;
/// Bytes that it says to have room for.
const SIZE: u64 = 64 << 30;

/// Why it cannot be mounted here; `None` if it can. Says so on standard error, past the test harness.
pub fn unavailable(test: &str) -> Option<String> {
    let why = if !nix::unistd::geteuid().is_root() {
        "only root can mount a file system".to_owned()
    } else {
        let device = File::options().read(true).write(true).open("/dev/fuse");
        format!("/dev/fuse: {}", device.err()?)
    };
    let _ = writeln!(io::stderr(), "{test}: SKIPPED, {why}");
    Some(why)
}

/// How a disk fails. What is on it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing can be changed or synced.
    Broken,
    /// There is no room: nothing can be added.
    Full,
}

struct State {
    disk: Disk,
    failure: Option<Failure>,
    /// The power is cut.
    off: bool,
    /// Nothing is answered.
    hangs: bool,
    /// Steps until it is.
    cut_after: Option<(u64, Random)>,
    unsynced: Unsynced,
    /// What was in folders when they were opened: names that go meanwhile move no others.
    listings: BTreeMap<u64, Vec<(Inode, OsString)>>,
    opened: u64,
}

impl State {
    fn cut(&mut self, random: &mut Random) {
        self.off = true;
        self.unsynced = self.disk.cut(random);
    }

    /// There is room for something more.
    fn room(&self) -> Result<(), Errno> {
        match self.failure {
            Some(Failure::Full) => Err(Errno::ENOSPC),
            _ => Ok(()),
        }
    }

    /// Something can be changed or synced.
    fn works(&self) -> Result<(), Errno> {
        match self.failure {
            Some(Failure::Broken) => Err(Errno::EIO),
            _ => Ok(()),
        }
    }

    /// A change or a sync is done. With [`Mounted::cut_after`] the power is cut at one of them.
    fn step(&mut self) -> Result<(), Errno> {
        match &mut self.cut_after {
            Some((0, random)) => {
                let mut random = random.clone();
                self.cut(&mut random);
                Err(Errno::EIO)
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn attributes(&self, inode: Inode) -> Result<FileAttr, Errno> {
        let node = self.disk.node(inode)?;
        let (kind, size) = match &node.kind {
            Kind::File(_) => (FileType::RegularFile, self.disk.bytes(inode)?.len() as u64),
            Kind::Folder(_) => (FileType::Directory, BLOCK),
        };
        Ok(FileAttr {
            ino: INodeNo(inode),
            size,
            blocks: size.div_ceil(512),
            atime: node.modified,
            mtime: node.modified,
            ctime: node.modified,
            crtime: node.modified,
            kind,
            perm: node.mode,
            nlink: node.links,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK as u32,
            flags: 0,
        })
    }
}

#[derive(Clone)]
struct Served {
    state: Arc<Mutex<State>>,
    /// It does not answer any more; told when it does again.
    answers: Arc<Condvar>,
}

impl Served {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang(&self, hangs: bool) {
        self.lock().hangs = hangs;
        self.answers.notify_all();
    }

    /// What changes nothing.
    fn look<T>(&self, look: impl FnOnce(&mut State) -> Result<T, Errno>) -> Result<T, Errno> {
        let waits = |state: &mut State| state.hangs;
        let state = self.answers.wait_while(self.lock(), waits);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.off {
            return Err(Errno::EIO);
        }
        look(&mut state)
    }

    /// A change: it is in memory when the power is cut at it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Errno>) -> Result<T, Errno> {
        self.look(|state| {
            state.works()?;
            let done = change(state)?;
            state.step()?;
            Ok(done)
        })
    }

    /// When the power is cut at a sync, it was still to be done.
    fn sync(&self, inode: INodeNo, reply: ReplyEmpty) {
        let done = self.look(|state| {
            state.works()?;
            state.step()?;
            state.disk.sync(inode.0)
        });
        answer(done, reply);
    }
}

fn answer(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn answer_entry(done: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match done {
        Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn answer_attributes(done: Result<FileAttr, Errno>, reply: ReplyAttr) {
    match done {
        Ok(attributes) => reply.attr(&TTL, &attributes),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.look(|state| {
            let inode = state.disk.lookup(parent.0, name)?;
            state.attributes(inode)
        });
        answer_entry(found, reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer_attributes(self.look(|state| state.attributes(ino.0)), reply);
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = self.change(|state| {
            if let Some(mode) = mode {
                state.disk.node_mut(ino.0)?.mode = (mode & 0o7777) as u16;
            }
            if let Some(size) = size {
                state.disk.set_len(ino.0, size as usize)?;
            }
            state.attributes(ino.0)
        });
        answer_attributes(done, reply);
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let mode = (mode & !umask & 0o7777) as u16;
        let made = self.change(|state| {
            state.room()?;
            let kind = Kind::Folder(Default::default());
            let inode = state.disk.create(parent.0, name, kind, mode)?;
            state.attributes(inode)
        });
        answer_entry(made, reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mode = (mode & !umask & 0o7777) as u16;
        let made = self.change(|state| {
            state.room()?;
            let kind = Kind::File(Default::default());
            let inode = state.disk.create(parent.0, name, kind, mode)?;
            state.disk.open(inode)?;
            state.attributes(inode)
        });
        match made {
            Ok(attributes) => reply.created(
                &TTL,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::empty(),
            ),
            Err(error) => reply.error(error),
        }
    }

    fn link(
        &self,
        _: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        let done = self.change(|state| {
            state.disk.link(ino.0, newparent.0, newname)?;
            state.attributes(ino.0)
        });
        answer_entry(done, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(
            self.change(|state| state.disk.remove(parent.0, name)),
            reply,
        );
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(
            self.change(|state| state.disk.remove(parent.0, name)),
            reply,
        );
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let done = if parent != newparent {
            Err(Errno::EXDEV)
        } else if !flags.is_empty() {
            Err(Errno::EINVAL)
        } else {
            self.change(|state| state.disk.rename(parent.0, name, newname))
        };
        answer(done, reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.look(|state| state.disk.open(ino.0)) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        answer(self.look(|state| state.disk.close(ino.0)), reply);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.look(|state| {
            let bytes = state.disk.bytes(ino.0)?;
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            Ok(rest[..rest.len().min(size as usize)].to_vec())
        });
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.change(|state| {
            state.room()?;
            state.disk.write(ino.0, offset as usize, data)
        });
        match written {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _offset: u64,
        _length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        // Room that no length shows: there always is some. All else a program has to do without.
        const KEEP_SIZE: i32 = 1;
        let done = self.look(|state| match mode {
            _ if state.failure.is_some() => state.room().and(state.works()),
            KEEP_SIZE => state.disk.bytes(ino.0).map(|_| ()),
            _ => Err(Errno::EOPNOTSUPP),
        });
        answer(done, reply);
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(ino, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(ino, reply);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.look(|state| {
            let entries = state.disk.entries(ino.0)?.iter();
            let listing = entries
                .map(|(name, inode)| (*inode, name.clone()))
                .collect();
            state.opened += 1;
            state.listings.insert(state.opened, listing);
            Ok(state.opened)
        });
        match opened {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.look(|state| {
            let listing = state.listings.get(&fh.0).ok_or(Errno::EBADF)?;
            for (next, (inode, name)) in (1..).zip(listing).skip(offset as usize) {
                let kind = match state.disk.node(*inode).map(|node| &node.kind) {
                    Ok(Kind::Folder(_)) => FileType::Directory,
                    _ => FileType::RegularFile,
                };
                if reply.add(INodeNo(*inode), next, kind, name) {
                    break;
                }
            }
            Ok(())
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.lock().listings.remove(&fh.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let free = self.look(|state| match state.failure {
            Some(Failure::Full) => Ok(0),
            _ => Ok(SIZE.saturating_sub(state.disk.used()) / BLOCK),
        });
        match free {
            Ok(free) => reply.statfs(
                SIZE / BLOCK,
                free,
                free,
                1 << 20,
                1 << 20,
                BLOCK as u32,
                255,
                BLOCK as u32,
            ),
            Err(error) => reply.error(error),
        }
    }
}

/// The file system, mounted over a folder until this is dropped. Then what was in the folder before shows again.
pub struct Mounted {
    folder: PathBuf,
    served: Served,
    session: Option<BackgroundSession>,
}

impl Mounted {
    /// Mounts it over a folder, with all that is in the folder, synced.
    ///
    /// # Errors
    /// The folder cannot be read, or the file system not mounted.
    pub fn over(folder: &Path) -> io::Result<Self> {
        Self::mount(folder, Disk::load(folder)?)
    }

    fn mount(folder: &Path, disk: Disk) -> io::Result<Self> {
        let served = Served {
            state: Arc::new(Mutex::new(State {
                disk,
                failure: None,
                off: false,
                hangs: false,
                cut_after: None,
                unsynced: Unsynced::default(),
                listings: BTreeMap::new(),
                opened: 0,
            })),
            answers: Arc::default(),
        };
        let session = fuser::spawn_mount(served.clone(), folder, &Config::default())?;
        Ok(Self {
            folder: folder.to_path_buf(),
            served,
            session: Some(session),
        })
    }

    /// Cuts the power at a change or a sync: the first one, or after so many more. A sync at which it is cut is not done. From
    /// then on all fails.
    pub fn cut_after(&self, steps: u64, seed: u64) {
        self.served.lock().cut_after = Some((steps, Random::new(seed)));
    }

    /// Cuts the power now, if it is on.
    pub fn cut(&self, seed: u64) {
        let mut state = self.served.lock();
        if !state.off {
            state.cut(&mut Random::new(seed));
        }
    }

    /// It fails from now on, or works again.
    pub fn fail(&self, failure: Option<Failure>) {
        self.served.lock().failure = failure;
    }

    /// From now on nothing is answered, without an error; with `false` what waits goes on.
    pub fn hang(&self, hangs: bool) {
        self.served.hang(hangs);
    }

    /// Whether the power is cut.
    pub fn is_off(&self) -> bool {
        self.served.lock().off
    }

    /// Mounts again what a cut left. Nobody may have a file open any more. Returns what was not synced at the cut.
    ///
    /// # Errors
    /// It is still in use, was not cut, or cannot be mounted.
    pub fn power_on(&mut self) -> io::Result<Unsynced> {
        if !self.is_off() {
            return Err(io::Error::other("the power is on"));
        }
        self.unmount()?;
        let mut state = self.served.lock();
        let (disk, unsynced) = (std::mem::take(&mut state.disk), state.unsynced);
        drop(state);
        *self = Self::mount(&self.folder.clone(), disk)?;
        Ok(unsynced)
    }

    fn unmount(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = umount2(&self.folder, MntFlags::empty()) {
            if error != nix::errno::Errno::EBUSY || Instant::now() > deadline {
                return Err(error.into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // It tries to unmount once more, in vain, before anything else may be mounted there.
        drop(self.session.take());
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.served.lock().off = true;
        self.served.hang(false);
        let Some(session) = self.session.take() else {
            return;
        };
        // Whoever has something open may keep it, and gets errors.
        if let Err(error) = umount2(&self.folder, MntFlags::MNT_DETACH) {
            let _ = writeln!(io::stderr(), "{}: {error}", self.folder.display());
        }
        drop(session);
    }
}
