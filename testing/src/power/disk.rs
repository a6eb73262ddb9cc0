//! What is on a disk, and what a power cut leaves of it. No IO: a file system shows it, tests drive it step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use fuser::Errno;

use crate::random::Random;

/// Names a file or folder for as long as it lives.
pub type Inode = u64;

/// The folder above all others.
pub const ROOT: Inode = 1;

type Entries = BTreeMap<OsString, Inode>;
type Result<T> = std::result::Result<T, Errno>;

/// Files and folders, each as programs see it and as it is on the disk.
#[derive(Debug)]
pub struct Disk {
    nodes: BTreeMap<Inode, Node>,
    next: Inode,
}

/// A file or a folder.
#[derive(Debug)]
pub struct Node {
    /// Which of them, with what is in it.
    pub kind: Kind,
    /// Permissions.
    pub mode: u16,
    /// When it was changed.
    pub modified: SystemTime,
    /// Names that programs see.
    pub links: u32,
    /// It lives on without a name as long as it is open.
    opened: u64,
}

/// A file or a folder.
#[derive(Debug)]
pub enum Kind {
    /// A file.
    File(File),
    /// A folder.
    Folder(Folder),
}

/// Bytes.
#[derive(Debug, Default)]
pub struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Write>,
}

/// A change of a file that was not synced.
#[derive(Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Len(usize),
}

/// Names.
#[derive(Debug, Default)]
pub struct Folder {
    now: Entries,
    durable: Entries,
    pending: Vec<Change>,
}

/// A change of a folder that was not synced, as a whole: a name and what it is from then on. A rename has two of them.
type Change = Vec<(OsString, Option<Inode>)>;

/// What was not synced when the power was cut.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Unsynced {
    /// Writes and changes of length.
    pub writes: usize,
    /// Creations, renames and removals.
    pub entries: usize,
}

impl Disk {
    /// An empty one.
    pub fn new() -> Self {
        let mut disk = Self {
            nodes: BTreeMap::new(),
            next: ROOT,
        };
        disk.add(Kind::Folder(Folder::default()), 0o755);
        disk
    }

    /// What is in a folder, all of it synced.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn load(folder: &Path) -> io::Result<Self> {
        let failed = |error: Errno| io::Error::from_raw_os_error(error.code());
        let mut disk = Self::new();
        let mut open = vec![(ROOT, folder.to_path_buf())];
        while let Some((parent, path)) = open.pop() {
            for entry in std::fs::read_dir(path)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                let kind = if metadata.is_dir() {
                    Kind::Folder(Folder::default())
                } else {
                    Kind::File(File::default())
                };
                let mode = (metadata.permissions().mode() & 0o7777) as u16;
                let name = entry.file_name();
                let inode = disk.create(parent, &name, kind, mode).map_err(failed)?;
                if metadata.is_dir() {
                    open.push((inode, entry.path()));
                } else {
                    let bytes = std::fs::read(entry.path())?;
                    disk.write(inode, 0, &bytes).map_err(failed)?;
                    disk.sync(inode).map_err(failed)?;
                }
            }
            disk.sync(parent).map_err(failed)?;
        }
        Ok(disk)
    }

    fn add(&mut self, kind: Kind, mode: u16) -> Inode {
        let inode = self.next;
        self.next += 1;
        let node = Node {
            links: if matches!(kind, Kind::Folder(_)) {
                2
            } else {
                0
            },
            kind,
            mode,
            modified: SystemTime::now(),
            opened: 0,
        };
        self.nodes.insert(inode, node);
        inode
    }

    /// What an inode is.
    ///
    /// # Errors
    /// Nothing.
    pub fn node(&self, inode: Inode) -> Result<&Node> {
        self.nodes.get(&inode).ok_or(Errno::ENOENT)
    }

    /// The same, to change its permissions.
    ///
    /// # Errors
    /// It is nothing.
    pub fn node_mut(&mut self, inode: Inode) -> Result<&mut Node> {
        self.nodes.get_mut(&inode).ok_or(Errno::ENOENT)
    }

    fn folder_mut(&mut self, inode: Inode) -> Result<&mut Folder> {
        match &mut self.node_mut(inode)?.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn file_mut(&mut self, inode: Inode) -> Result<&mut File> {
        let node = self.node_mut(inode)?;
        node.modified = SystemTime::now();
        match &mut node.kind {
            Kind::File(file) => Ok(file),
            Kind::Folder(_) => Err(Errno::EISDIR),
        }
    }

    /// The names in a folder.
    ///
    /// # Errors
    /// It is none.
    pub fn entries(&self, folder: Inode) -> Result<&Entries> {
        match &self.node(folder)?.kind {
            Kind::Folder(folder) => Ok(&folder.now),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    /// What a name is.
    ///
    /// # Errors
    /// There is no such name.
    pub fn lookup(&self, folder: Inode, name: &OsStr) -> Result<Inode> {
        self.entries(folder)?
            .get(name)
            .copied()
            .ok_or(Errno::ENOENT)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// It is none.
    pub fn bytes(&self, file: Inode) -> Result<&[u8]> {
        match &self.node(file)?.kind {
            Kind::File(file) => Ok(&file.now),
            Kind::Folder(_) => Err(Errno::EISDIR),
        }
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        let kinds = self.nodes.values().map(|node| &node.kind);
        let bytes = kinds.map(|kind| match kind {
            Kind::File(file) => file.now.len() as u64,
            Kind::Folder(_) => 0,
        });
        bytes.sum()
    }

    /// Changes a folder, and counts the names of what it is about.
    fn change(&mut self, folder: Inode, change: Change) -> Result<()> {
        for (name, inode) in &change {
            let entries = &mut self.folder_mut(folder)?.now;
            let before = match inode {
                Some(inode) => entries.insert(name.clone(), *inode),
                None => entries.remove(name),
            };
            if let Some(inode) = inode {
                self.node_mut(*inode)?.links += 1;
            }
            if let Some(before) = before {
                self.node_mut(before)?.links -= 1;
            }
        }
        self.node_mut(folder)?.modified = SystemTime::now();
        self.folder_mut(folder)?.pending.push(change);
        Ok(())
    }

    /// Makes an empty file or folder.
    ///
    /// # Errors
    /// There is one of that name.
    pub fn create(&mut self, folder: Inode, name: &OsStr, kind: Kind, mode: u16) -> Result<Inode> {
        if self.entries(folder)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let inode = self.add(kind, mode);
        self.change(folder, vec![(name.to_owned(), Some(inode))])?;
        Ok(inode)
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// It is none, or there is one of that name.
    pub fn link(&mut self, file: Inode, folder: Inode, name: &OsStr) -> Result<()> {
        self.bytes(file)?;
        if self.entries(folder)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.change(folder, vec![(name.to_owned(), Some(file))])
    }

    /// Takes a name away.
    ///
    /// # Errors
    /// There is none, or it is that of a folder with something in it.
    pub fn remove(&mut self, folder: Inode, name: &OsStr) -> Result<()> {
        let inode = self.lookup(folder, name)?;
        if self.entries(inode).is_ok_and(|entries| !entries.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.change(folder, vec![(name.to_owned(), None)])
    }

    /// Gives another name within a folder, in place of what has it; between folders nobody promises that a cut leaves one of the
    /// two names, so it is refused.
    ///
    /// # Errors
    /// There is no such name, or the new one is that of a folder with something in it.
    pub fn rename(&mut self, folder: Inode, from: &OsStr, to: &OsStr) -> Result<()> {
        let inode = self.lookup(folder, from)?;
        if let Ok(replaced) = self.lookup(folder, to) {
            if replaced == inode {
                return Ok(());
            }
            if self
                .entries(replaced)
                .is_ok_and(|entries| !entries.is_empty())
            {
                return Err(Errno::ENOTEMPTY);
            }
        }
        let change = vec![(to.to_owned(), Some(inode)), (from.to_owned(), None)];
        self.change(folder, change)
    }

    /// Writes bytes; zeros between the end and them.
    ///
    /// # Errors
    /// It is no file.
    pub fn write(&mut self, file: Inode, at: usize, bytes: &[u8]) -> Result<()> {
        let file = self.file_mut(file)?;
        put(&mut file.now, at, bytes);
        file.pending.push(Write::Bytes(at, bytes.to_vec()));
        Ok(())
    }

    /// Cuts a file off, or fills it up with zeros.
    ///
    /// # Errors
    /// It is no file.
    pub fn set_len(&mut self, file: Inode, len: usize) -> Result<()> {
        let file = self.file_mut(file)?;
        file.now.resize(len, 0);
        file.pending.push(Write::Len(len));
        Ok(())
    }

    /// Makes durable what was written to a file, or the names in a folder.
    ///
    /// # Errors
    /// It is neither.
    pub fn sync(&mut self, inode: Inode) -> Result<()> {
        match &mut self.node_mut(inode)?.kind {
            Kind::File(file) => {
                for write in std::mem::take(&mut file.pending) {
                    write.apply(&mut file.durable);
                }
            }
            Kind::Folder(folder) => {
                folder.durable.clone_from(&folder.now);
                folder.pending.clear();
                self.sweep();
            }
        }
        Ok(())
    }

    /// A program opens a file, and later closes it.
    ///
    /// # Errors
    /// There is none.
    pub fn open(&mut self, file: Inode) -> Result<()> {
        self.node_mut(file)?.opened += 1;
        Ok(())
    }

    /// See [`open`](Self::open).
    ///
    /// # Errors
    /// There is none.
    pub fn close(&mut self, file: Inode) -> Result<()> {
        self.node_mut(file)?.opened -= 1;
        Ok(())
    }

    /// Forgets what has no name any more, not even after a cut.
    fn sweep(&mut self) {
        let open = self.nodes.iter().filter(|(_, node)| node.opened > 0);
        let mut found: Vec<Inode> = open.map(|(inode, _)| *inode).chain([ROOT]).collect();
        let mut kept = BTreeSet::new();
        while let Some(inode) = found.pop() {
            if !kept.insert(inode) {
                continue;
            }
            if let Some(Kind::Folder(folder)) = self.nodes.get(&inode).map(|node| &node.kind) {
                found.extend(folder.now.values().chain(folder.durable.values()));
                found.extend(folder.pending.iter().flatten().filter_map(|(_, i)| *i));
            }
        }
        self.nodes.retain(|inode, _| kept.contains(inode));
    }

    /// The power is cut: what is on the disk is all that is left.
    pub fn cut(&mut self, random: &mut Random) -> Unsynced {
        let mut unsynced = Unsynced::default();
        for node in self.nodes.values_mut() {
            node.opened = 0;
            match &mut node.kind {
                Kind::File(file) => {
                    unsynced.writes += file.pending.len();
                    file.cut(random);
                    node.links = 0;
                }
                Kind::Folder(folder) => {
                    unsynced.entries += folder.pending.len();
                    folder.cut(random);
                }
            }
        }
        self.sweep();
        let folders = self.nodes.values().filter_map(|node| match &node.kind {
            Kind::Folder(folder) => Some(folder),
            Kind::File(_) => None,
        });
        let named: Vec<Inode> = folders.flat_map(|f| f.now.values().copied()).collect();
        for inode in named {
            if let Some(node) = self.nodes.get_mut(&inode)
                && matches!(node.kind, Kind::File(_))
            {
                node.links += 1;
            }
        }
        unsynced
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

fn put(to: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[at..end].copy_from_slice(bytes);
}

impl Write {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Bytes(at, bytes) => put(to, *at, bytes),
            Self::Len(len) => to.resize(*len, 0),
        }
    }
}

/// What becomes of what was not synced in a file or folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// None of it came to the disk, or all of it did: the system had time to write it.
    Nothing,
    All,
    /// What came first did; the last write of that is torn.
    Prefix,
    /// Any part did, in pieces of so many bytes; the last write is torn.
    Pieces(usize),
}

impl Fate {
    fn draw(random: &mut Random) -> Self {
        match random.below(5) {
            0 => Self::Nothing,
            1 => Self::All,
            2 => Self::Prefix,
            3 => Self::Pieces(512),
            _ => Self::Pieces(4096),
        }
    }

    /// How many of so many changes came to the disk, at most.
    fn reach(self, changes: usize, random: &mut Random) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Prefix => random.below(changes as u64 + 1) as usize,
            Self::All | Self::Pieces(_) => changes,
        }
    }

    /// Whether one of those did.
    fn keeps(self, random: &mut Random) -> bool {
        !matches!(self, Self::Pieces(_)) || random.coin()
    }
}

impl File {
    fn cut(&mut self, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            let fate = Fate::draw(random);
            let mut lengths = vec![self.durable.len()];
            for write in &pending {
                let len = *lengths.last().unwrap_or(&0);
                lengths.push(match write {
                    Write::Bytes(at, bytes) => len.max(at + bytes.len()),
                    Write::Len(len) => *len,
                });
            }
            let reach = fate.reach(pending.len(), random);
            for (left, write) in (0..reach).rev().zip(&pending) {
                self.keep(write, fate, left == 0, random);
            }
            // The length comes to the disk apart from the bytes: where only the length did, there are zeros.
            if fate != Fate::All && random.coin() {
                let len = lengths[random.below(lengths.len() as u64) as usize];
                self.durable.resize(len, 0);
            }
        }
        self.now.clone_from(&self.durable);
    }

    fn keep(&mut self, write: &Write, fate: Fate, is_last: bool, random: &mut Random) {
        let Write::Bytes(at, bytes) = write else {
            if fate.keeps(random) {
                write.apply(&mut self.durable);
            }
            return;
        };
        let mut end = bytes.len();
        if is_last && fate != Fate::All {
            end = random.below(end as u64 + 1) as usize;
        }
        let mut start = 0;
        while start < end {
            let stop = match fate {
                // Pieces begin at multiples of their length in the file.
                Fate::Pieces(piece) => end.min(start + piece - (at + start) % piece),
                _ => end,
            };
            if fate.keeps(random) {
                put(&mut self.durable, at + start, &bytes[start..stop]);
            }
            start = stop;
        }
    }
}

impl Folder {
    fn cut(&mut self, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        let fate = Fate::draw(random);
        let reach = fate.reach(pending.len(), random);
        for change in pending.into_iter().take(reach) {
            if fate.keeps(random) {
                for (name, inode) in change {
                    match inode {
                        Some(inode) => self.durable.insert(name, inode),
                        None => self.durable.remove(&name),
                    };
                }
            }
        }
        self.now.clone_from(&self.durable);
    }
}
