//! A disk in memory that misbehaves as real ones do, from a seed.
//!
//! Written bytes are durable after `sync` of their file, names after `sync_dir` of their directory. [`SimDisk::crash`]
//! is a power loss: of what was not synced nothing, everything or any 512-byte sectors survive, files end anywhere
//! between their lengths, each directory operation is kept whole or lost, in any combination. [`SimDisk::kill`] is the
//! death of the process alone: the cache survives. Both make all open handles useless. Everything else goes wrong on
//! request: see [`SimDiskOptions`] and the methods. One lock a disk; the same calls on the same seed give the same disk.

mod file;
mod handle;
mod tree;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::disk::{Disk, DiskError, DiskErrorKind, DiskFile, OpenMode, Space, check_path, parent};
use crate::random::Random;
use file::Inode;
pub use file::SECTOR_BYTES;
use tree::{Entry, Tree};

/// What goes wrong by itself. The default is a disk that only ever loses what was not synced.
#[derive(Clone, Debug, Default)]
pub struct SimDiskOptions {
    /// Size of the volume; `None` is unlimited.
    pub capacity: Option<u64>,
    /// How often a read fails with an I/O error, in a million.
    pub read_errors_ppm: u64,
    /// How often a write or a directory operation does.
    pub write_errors_ppm: u64,
    /// How often a sync of a file or directory does.
    pub sync_errors_ppm: u64,
    /// A disk that answers syncs without performing them: a bug to plant, which the simulator must find.
    pub lying_sync: bool,
}

/// How many operations a disk performed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimDiskCounters {
    /// Reads of files.
    pub reads: u64,
    /// Writes and changes of length.
    pub writes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Syncs of files and directories.
    pub syncs: u64,
    /// Creations, renames, links, removals.
    pub directory_operations: u64,
    /// Operations that failed because a fault was injected.
    pub injected_failures: u64,
}

impl SimDiskCounters {
    /// Everything that changes the disk or makes it durable: the points at which a crash makes a difference.
    pub fn mutations(&self) -> u64 {
        self.writes + self.syncs + self.directory_operations
    }
}

/// A simulated disk. Share it by `Arc`: it outlives the node that uses it.
pub struct SimDisk {
    state: Mutex<State>,
    /// Itself, for handles.
    this: Weak<SimDisk>,
}

struct State {
    random: Random,
    options: SimDiskOptions,
    tree: Tree,
    inodes: BTreeMap<u64, Inode>,
    inode_next: u64,
    bytes_used: u64,
    /// Handles of an earlier generation are dead.
    generation: u64,
    power_lost: bool,
    /// Mutations left until the power fails.
    crash_in: Option<u64>,
    /// Substrings of paths whose next sync fails.
    failing_syncs: Vec<String>,
    counters: SimDiskCounters,
}

/// What an operation is, for counting it and for choosing its fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Look,
    Read,
    Write,
    Sync,
    Directory,
}

impl SimDisk {
    /// An empty disk whose misfortunes are drawn from the seed.
    pub fn new(seed: u64, options: SimDiskOptions) -> Arc<Self> {
        let state = State {
            random: Random::new(seed),
            options,
            tree: Tree::default(),
            inodes: BTreeMap::new(),
            inode_next: 1,
            bytes_used: 0,
            generation: 0,
            power_lost: false,
            crash_in: None,
            failing_syncs: Vec::new(),
            counters: SimDiskCounters::default(),
        };
        Arc::new_cyclic(|this| Self { state: Mutex::new(state), this: Weak::clone(this) })
    }

    /// Power loss and return: see the module's words. The disk works again afterwards.
    pub fn crash(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        // One crash in four loses all that was not synced. In the others names, and each file by itself, keep all,
        // nothing, or each part with one of three chances: a name may outlive its content and the other way round.
        let all_lost = state.random.chance(1, 4);
        let keep = |random: &mut Random| if all_lost { 0 } else { random.below(5) };
        state.tree.crash(keep(&mut state.random), &mut state.random);
        for inode in state.inodes.values_mut() {
            inode.crash(keep(&mut state.random), &mut state.random);
        }
        state.restart();
    }

    /// The process dies, the machine does not: writes survive, open handles do not.
    pub fn kill(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        if state.random.chance(1, 2) {
            state.inodes.values_mut().for_each(Inode::evict_ghosts);
        }
        state.restart();
    }

    /// After this many further mutations the power fails: the last of them may or may not still happen, it and all
    /// later operations fail with 'power lost' until [`SimDisk::crash`] or [`SimDisk::kill`].
    pub fn crash_after(&self, mutations: u64) {
        self.lock().crash_in = Some(mutations);
    }

    /// Takes [`SimDisk::crash_after`] back.
    pub fn crash_never(&self) {
        self.lock().crash_in = None;
    }

    /// Whether [`SimDisk::crash_after`] has struck.
    pub fn power_lost(&self) -> bool {
        self.lock().power_lost
    }

    /// The next sync of a file or directory whose path contains `pattern` fails and drops dirty pages.
    pub fn fail_next_sync(&self, pattern: &str) {
        self.lock().failing_syncs.push(pattern.to_owned());
    }

    /// Takes every [`SimDisk::fail_next_sync`] back that has not come to pass.
    pub fn fail_no_sync(&self) {
        self.lock().failing_syncs.clear();
    }

    /// Changes the volume's size; what is stored stays stored.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().options.capacity = bytes;
    }

    /// Changes what goes wrong by itself.
    pub fn set_options(&self, options: SimDiskOptions) {
        self.lock().options = options;
    }

    /// Flips one bit of a file on the medium; false if the file has no such byte.
    pub fn flip_bit(&self, path: &str, offset: u64, bit: u8) -> bool {
        let mut state = self.lock();
        match state.tree.get(path) {
            Some(Entry::File(number)) => state.inode(number).flip_bit(offset, bit),
            _ => false,
        }
    }

    /// Bit rot at rest: flips a random bit of a random synced file whose path contains `pattern`, and says where.
    pub fn rot(&self, pattern: &str) -> Option<(String, u64)> {
        let mut state = self.lock();
        let state = &mut *state;
        let synced = |number: &u64| state.inodes.get(number).is_some_and(|inode| inode.is_synced() && inode.len() > 0);
        let files = state.tree.files().filter(|(path, number)| path.contains(pattern) && synced(number));
        let files: Vec<(String, u64)> = files.map(|(path, number)| (path.to_owned(), number)).collect();
        let (path, number) = state.random.pick(&files)?.clone();
        let inode = state.inodes.get_mut(&number)?;
        let offset = state.random.below(inode.len());
        inode.flip_bit(offset, state.random.below(8) as u8);
        Some((path, offset))
    }

    /// A misdirected write at rest: a sector of one synced file whose path contains `pattern` has the content of another
    /// sector, of the same file or of another one. Says where; `None` if there are no two such sectors that differ.
    pub fn misplace(&self, pattern: &str) -> Option<(String, u64)> {
        let mut state = self.lock();
        let state = &mut *state;
        let whole = |number: &u64| {
            state.inodes.get(number).is_some_and(|inode| inode.is_synced() && inode.len() >= SECTOR_BYTES)
        };
        let files = state.tree.files().filter(|(path, number)| path.contains(pattern) && whole(number));
        let files: Vec<(String, u64)> = files.map(|(path, number)| (path.to_owned(), number)).collect();
        let mut sector = || -> Option<(String, u64, u64)> {
            let (path, number) = state.random.pick(&files)?.clone();
            let sectors = state.inodes.get(&number)?.len() / SECTOR_BYTES;
            Some((path, number, state.random.below(sectors) * SECTOR_BYTES))
        };
        let ((_, from, there), (path, to, here)) = (sector()?, sector()?);
        let bytes = state.inodes.get(&from)?.read(there, SECTOR_BYTES as usize)?.to_vec();
        let target = state.inodes.get_mut(&to)?;
        if target.read(here, SECTOR_BYTES as usize)? == bytes {
            return None;
        }
        target.scribble(here, &bytes).then_some((path, here))
    }

    /// What the disk did so far.
    pub fn counters(&self) -> SimDiskCounters {
        self.lock().counters
    }

    /// Every file with its length, sorted: for tests.
    pub fn snapshot_paths(&self) -> Vec<(String, u64)> {
        let state = self.lock();
        let len = |number| state.inodes.get(&number).map_or(0, Inode::len);
        state.tree.files().map(|(path, number)| (path.to_owned(), len(number))).collect()
    }

    /// A file's bytes as programs see them: for tests and checkers. Counts as no operation.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        match state.tree.get(path)? {
            Entry::File(number) => state.inodes.get(&number).map(|inode| inode.content().to_vec()),
            Entry::Directory => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a test's failed assertion elsewhere; the state is only ever changed whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one operation under faults.
    fn operate<T>(
        &self,
        kind: Kind,
        operation: &str,
        path: &str,
        body: impl FnOnce(&mut State) -> Result<T, DiskErrorKind>,
    ) -> Result<T, DiskError> {
        check_path(operation, path)?;
        let error = |kind| DiskError::new(operation, path, kind);
        let mut state = self.lock();
        let dies = state.admit(kind, path).map_err(error)?;
        if dies && state.random.chance(1, 2) {
            return Err(error(power_lost()));
        }
        let result = body(&mut state).map_err(error)?;
        if dies { Err(error(power_lost())) } else { Ok(result) }
    }
}

fn power_lost() -> DiskErrorKind {
    DiskErrorKind::Io("power lost".to_owned())
}

impl State {
    /// Counts an operation and draws its fault. True: the power fails at this very operation.
    fn admit(&mut self, kind: Kind, path: &str) -> Result<bool, DiskErrorKind> {
        if self.power_lost {
            return Err(power_lost());
        }
        let ppm = match kind {
            Kind::Look => return Ok(false),
            Kind::Read => self.options.read_errors_ppm,
            Kind::Write | Kind::Directory => self.options.write_errors_ppm,
            Kind::Sync => self.options.sync_errors_ppm,
        };
        let counters = &mut self.counters;
        match kind {
            Kind::Look => {}
            Kind::Read => counters.reads += 1,
            Kind::Write => counters.writes += 1,
            Kind::Sync => counters.syncs += 1,
            Kind::Directory => counters.directory_operations += 1,
        }
        if kind != Kind::Read
            && let Some(left) = &mut self.crash_in
        {
            *left = left.saturating_sub(1);
            self.power_lost = *left == 0;
        }
        if ppm > 0 && self.random.chance(ppm, 1_000_000) {
            self.counters.injected_failures += 1;
            if kind == Kind::Sync {
                self.drop_dirty_pages(path);
            }
            return Err(DiskErrorKind::Io("input/output error (injected)".to_owned()));
        }
        if kind == Kind::Sync
            && let Some(index) = self.failing_syncs.iter().position(|pattern| path.contains(pattern.as_str()))
        {
            self.failing_syncs.remove(index);
            self.counters.injected_failures += 1;
            self.drop_dirty_pages(path);
            return Err(DiskErrorKind::Io("input/output error (sync failed on request)".to_owned()));
        }
        Ok(self.power_lost)
    }

    fn drop_dirty_pages(&mut self, path: &str) {
        if let Some(Entry::File(number)) = self.tree.get(path)
            && let Some(inode) = self.inodes.get_mut(&number)
        {
            inode.fail_sync(&mut self.random);
        }
    }

    /// After a crash or kill: no handles, no operations waiting for their end.
    fn restart(&mut self) {
        self.generation += 1;
        self.power_lost = false;
        self.crash_in = None;
        for inode in self.inodes.values_mut() {
            inode.handles = 0;
            inode.names = 0;
        }
        let numbers: Vec<u64> = self.tree.files().map(|(_, number)| number).collect();
        for number in numbers {
            self.inode(number).names += 1;
        }
        self.collect();
        self.bytes_used = self.inodes.values().filter(|inode| inode.names > 0).map(Inode::len).sum();
    }

    /// Forgets files that no name, medium or handle refers to.
    fn collect(&mut self) {
        let referenced = self.tree.referenced();
        self.inodes.retain(|number, inode| inode.handles > 0 || referenced.contains(number));
    }

    fn inode(&mut self, number: u64) -> &mut Inode {
        // Every number in the tree and in a live handle was put into the map at creation; absence would be our own bug.
        self.inodes.entry(number).or_default()
    }

    fn file(&self, path: &str) -> Result<u64, DiskErrorKind> {
        match self.tree.get(path) {
            Some(Entry::File(number)) => Ok(number),
            Some(Entry::Directory) => Err(DiskErrorKind::Io("it is a directory".to_owned())),
            None => Err(DiskErrorKind::NotFound),
        }
    }

    fn directory(&self, path: &str) -> Result<(), DiskErrorKind> {
        match self.tree.get(path) {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(DiskErrorKind::Io("it is not a directory".to_owned())),
            None => Err(DiskErrorKind::NotFound),
        }
    }

    /// Takes room for a change of length, or refuses.
    fn resize(&mut self, number: u64, to: u64) -> Result<(), DiskErrorKind> {
        let inode = self.inode(number);
        if inode.names == 0 {
            return Ok(());
        }
        let from = inode.len();
        let used = self.bytes_used.saturating_sub(from).saturating_add(to);
        if to > from && self.options.capacity.is_some_and(|capacity| used > capacity) {
            return Err(DiskErrorKind::NoSpace);
        }
        self.bytes_used = used;
        Ok(())
    }

    fn add_name(&mut self, number: u64) {
        self.inode(number).names += 1;
    }

    fn drop_name(&mut self, number: u64) {
        let inode = self.inode(number);
        inode.names = inode.names.saturating_sub(1);
        if inode.names == 0 {
            let len = inode.len();
            self.bytes_used = self.bytes_used.saturating_sub(len);
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &str, mode: OpenMode) -> Result<Arc<dyn DiskFile>, DiskError> {
        let kind = if mode == OpenMode::CreateNew { Kind::Directory } else { Kind::Look };
        let (number, generation) = self.operate(kind, "open", path, |state| {
            let number = match mode {
                OpenMode::Read | OpenMode::ReadWrite => state.file(path)?,
                OpenMode::CreateNew => {
                    state.directory(parent(path))?;
                    if state.tree.get(path).is_some() {
                        return Err(DiskErrorKind::AlreadyExists);
                    }
                    let number = state.inode_next;
                    state.inode_next += 1;
                    state.tree.apply(vec![(path.to_owned(), Some(Entry::File(number)))]);
                    state.add_name(number);
                    number
                }
            };
            state.inode(number).handles += 1;
            Ok((number, state.generation))
        })?;
        let disk = Weak::clone(&self.this);
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(handle::SimFile { disk, path: path.to_owned(), number, generation, writable }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        check_path("rename", to)?;
        self.operate(Kind::Directory, "rename", from, |state| {
            let number = state.file(from)?;
            state.directory(parent(to))?;
            match state.tree.get(to) {
                Some(Entry::Directory) => return Err(DiskErrorKind::AlreadyExists),
                Some(Entry::File(same)) if same == number => return Ok(()),
                Some(Entry::File(replaced)) => state.drop_name(replaced),
                None => {}
            }
            state.tree.apply(vec![(from.to_owned(), None), (to.to_owned(), Some(Entry::File(number)))]);
            Ok(())
        })
    }

    fn hard_link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        check_path("link", to)?;
        self.operate(Kind::Directory, "link", from, |state| {
            let number = state.file(from)?;
            state.directory(parent(to))?;
            if state.tree.get(to).is_some() {
                return Err(DiskErrorKind::AlreadyExists);
            }
            state.tree.apply(vec![(to.to_owned(), Some(Entry::File(number)))]);
            state.add_name(number);
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.operate(Kind::Directory, "remove", path, |state| {
            let number = state.file(path)?;
            state.tree.apply(vec![(path.to_owned(), None)]);
            state.drop_name(number);
            Ok(())
        })
    }

    fn remove_dir(&self, path: &str) -> Result<(), DiskError> {
        self.operate(Kind::Directory, "remove directory", path, |state| {
            state.directory(path)?;
            if path.is_empty() || state.tree.children(path).next().is_some() {
                return Err(DiskErrorKind::Io("the directory is not empty".to_owned()));
            }
            state.tree.apply(vec![(path.to_owned(), None)]);
            Ok(())
        })
    }

    fn create_dir(&self, path: &str) -> Result<(), DiskError> {
        let kind = if self.lock().directory(path).is_ok() { Kind::Look } else { Kind::Directory };
        self.operate(kind, "create directory", path, |state| {
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            for directory in ends.filter_map(|end| path.get(..end)) {
                match state.directory(directory) {
                    Err(DiskErrorKind::NotFound) => {
                        state.tree.apply(vec![(directory.to_owned(), Some(Entry::Directory))]);
                    }
                    other => other?,
                }
            }
            Ok(())
        })
    }

    fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        self.operate(Kind::Look, "list", path, |state| {
            state.directory(path)?;
            let mut names: Vec<String> = state
                .tree
                .children(path)
                .map(|(child, entry)| {
                    let name = child.rsplit('/').next().unwrap_or(child);
                    if entry == Entry::Directory { format!("{name}/") } else { name.to_owned() }
                })
                .collect();
            names.sort();
            Ok(names)
        })
    }

    fn sync_dir(&self, path: &str) -> Result<(), DiskError> {
        self.operate(Kind::Sync, "sync directory", path, |state| {
            state.directory(path)?;
            if !state.options.lying_sync {
                state.tree.sync(path);
                state.collect();
            }
            Ok(())
        })
    }

    fn space(&self) -> Result<Space, DiskError> {
        self.operate(Kind::Look, "measure", "", |state| {
            let total = state.options.capacity.unwrap_or(1 << 40);
            Ok(Space { total, available: total.saturating_sub(state.bytes_used) })
        })
    }
}

#[cfg(test)]
mod tests;
