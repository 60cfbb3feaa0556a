//! What happened to files, in order, and what a power cut would have left of it.
//!
//! The model takes from the device all that it need not have kept (POSIX; Pillai et al., "All File Systems Are Not Created Equal",
//! OSDI 2014): a write is certain only when its file was flushed behind it, a name only when its folder was. What is not certain may
//! be there or not, and a last write may be torn. Per folder, names come and go in order.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What happened to a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// The file was created, or emptied.
    Create,
    /// Bytes were written.
    Write {
        /// Position in the file.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The file was cut or extended.
    SetLen(u64),
    /// The file was flushed.
    Flush,
    /// The file has this name now.
    Rename(PathBuf),
    /// File or folder were removed.
    Remove,
    /// The folder was created.
    CreateFolder,
    /// The folder's names were flushed.
    FlushFolder,
}

/// Operations in order, each with the path that it was done to.
pub type Ops = Vec<(PathBuf, Op)>;

/// The root, and what happened below it.
static RECORDING: Mutex<Option<(PathBuf, Ops)>> = Mutex::new(None);

pub(super) fn note(path: &Path, op: impl FnOnce() -> Op) {
    let mut recording = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((root, ops)) = recording.as_mut()
        && let Ok(path) = path.strip_prefix(root)
    {
        ops.push((path.to_path_buf(), op()));
    }
}

/// Notes from now on what happens below `root`, an empty folder that is on the device.
pub fn start(root: &Path) {
    *RECORDING.lock().unwrap_or_else(PoisonError::into_inner) = Some((root.to_path_buf(), Vec::new()));
}

/// Number of operations noted so far.
pub fn position() -> usize {
    RECORDING.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |(_, ops)| ops.len())
}

/// Ends the recording: paths below the root, and what happened to them.
pub fn stop() -> Ops {
    RECORDING.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Vec::new(), |(_, ops)| ops)
}

/// What becomes of that which is not certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is lost.
    Lost,
    /// It is there.
    Kept,
    /// Names are kept, contents lost: what journaling file systems are known for.
    NamesOnly,
    /// By chance, from this seed.
    Chance(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File(usize),
    Folder(usize),
}

#[derive(Debug, Default)]
struct FileState {
    certain: Vec<u8>,
    pending: Vec<Op>,
}

/// A change of one folder: names that came, and names that went.
type Names = Vec<(String, Option<Node>)>;

#[derive(Debug, Default)]
struct FolderState {
    now: BTreeMap<String, Node>,
    certain: BTreeMap<String, Node>,
    pending: Vec<Names>,
}

/// Files and folders after some operations, with what is certain of them.
#[derive(Debug)]
pub struct Disk {
    files: Vec<FileState>,
    folders: Vec<FolderState>,
}

impl Disk {
    /// The state behind `ops`; where `ignored` says so, a flush has done nothing.
    pub fn after(ops: &[(PathBuf, Op)], ignored: impl Fn(&Path, &Op) -> bool) -> Disk {
        let mut disk = Disk { files: Vec::new(), folders: vec![FolderState::default()] };
        for (path, op) in ops.iter().filter(|(path, op)| !ignored(path, op)) {
            disk.apply(path, op);
        }
        disk
    }

    fn apply(&mut self, path: &Path, op: &Op) {
        match op {
            Op::Create => match self.find(path) {
                Some(Node::File(file)) => self.files[file].pending.push(Op::SetLen(0)),
                _ => {
                    self.files.push(FileState::default());
                    let node = Node::File(self.files.len() - 1);
                    self.rename(path, vec![(name(path), Some(node))]);
                }
            },
            Op::CreateFolder => {
                self.folders.push(FolderState::default());
                let node = Node::Folder(self.folders.len() - 1);
                self.rename(path, vec![(name(path), Some(node))]);
            }
            Op::Rename(to) => {
                let to = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let node = self.find(path);
                self.rename(path, vec![(name(path), None), (to, node)]);
            }
            Op::Remove => self.rename(path, vec![(name(path), None)]),
            Op::FlushFolder => {
                if let Some(Node::Folder(folder)) = self.find(path) {
                    let folder = &mut self.folders[folder];
                    folder.pending.clear();
                    folder.certain = folder.now.clone();
                }
            }
            Op::Flush => {
                if let Some(Node::File(file)) = self.find(path) {
                    let file = &mut self.files[file];
                    for op in std::mem::take(&mut file.pending) {
                        write(&mut file.certain, &op);
                    }
                }
            }
            Op::Write { .. } | Op::SetLen(_) => {
                if let Some(Node::File(file)) = self.find(path) {
                    self.files[file].pending.push(op.clone());
                }
            }
        }
    }

    fn find(&self, path: &Path) -> Option<Node> {
        path.iter().try_fold(Node::Folder(0), |at, name| match at {
            Node::Folder(folder) => self.folders[folder].now.get(&*name.to_string_lossy()).copied(),
            Node::File(_) => None,
        })
    }

    fn rename(&mut self, path: &Path, names: Names) {
        let Some(Node::Folder(folder)) = path.parent().and_then(|parent| self.find(parent)) else { return };
        let folder = &mut self.folders[folder];
        take(&mut folder.now, &names);
        folder.pending.push(names);
    }

    /// Writes what a power cut leaves into `target`.
    ///
    /// # Errors
    /// A file error.
    pub fn leave(&self, target: &Path, fate: Fate) -> io::Result<()> {
        let mut chance = Chance(match fate {
            Fate::Chance(seed) => seed | 1,
            _ => 1,
        });
        self.leave_folder(0, target, fate, &mut chance)
    }

    fn leave_folder(&self, folder: usize, target: &Path, fate: Fate, chance: &mut Chance) -> io::Result<()> {
        fs::create_dir_all(target)?;
        let folder = &self.folders[folder];
        let mut names = folder.certain.clone();
        let kept = match fate {
            Fate::Lost => 0,
            Fate::Kept | Fate::NamesOnly => folder.pending.len(),
            Fate::Chance(_) => chance.below(folder.pending.len() + 1),
        };
        folder.pending[..kept].iter().for_each(|change| take(&mut names, change));
        for (name, node) in names {
            match node {
                Node::Folder(folder) => self.leave_folder(folder, &target.join(name), fate, chance)?,
                Node::File(file) => fs::write(target.join(name), self.content(file, fate, chance))?,
            }
        }
        Ok(())
    }

    fn content(&self, file: usize, fate: Fate, chance: &mut Chance) -> Vec<u8> {
        let FileState { certain, pending } = &self.files[file];
        let mut content = certain.clone();
        for op in pending {
            match (fate, op) {
                (Fate::Lost | Fate::NamesOnly, _) => {}
                (Fate::Kept, op) => write(&mut content, op),
                (Fate::Chance(_), op) => match (chance.below(3), op) {
                    (0, _) => {}
                    (1, Op::Write { at, bytes }) => {
                        let torn = bytes[..chance.below(bytes.len() + 1)].to_vec();
                        write(&mut content, &Op::Write { at: *at, bytes: torn });
                    }
                    _ => write(&mut content, op),
                },
            }
        }
        content
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn take(names: &mut BTreeMap<String, Node>, change: &Names) {
    for (name, node) in change {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

fn write(content: &mut Vec<u8>, op: &Op) {
    match op {
        Op::SetLen(length) => content.resize(usize::try_from(*length).expect("test files are small"), 0),
        Op::Write { at, bytes } => {
            let at = usize::try_from(*at).expect("test files are small");
            content.resize(content.len().max(at + bytes.len()), 0);
            content[at..at + bytes.len()].copy_from_slice(bytes);
        }
        _ => {}
    }
}

/// A small generator: the same seed, the same fate.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops(list: &[(&str, Op)]) -> Ops {
        list.iter().map(|(path, op)| (PathBuf::from(path), op.clone())).collect()
    }

    fn left(list: &[(&str, Op)], fate: Fate) -> BTreeMap<String, String> {
        let target = tempfile::tempdir().unwrap();
        Disk::after(&ops(list), |_, _| false).leave(target.path(), fate).unwrap();
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(target.path()).unwrap().flatten() {
            let content = fs::read_to_string(entry.path()).unwrap_or_else(|_| "folder".into());
            found.insert(entry.file_name().to_string_lossy().into_owned(), content);
        }
        found
    }

    fn text(text: &str) -> Op {
        Op::Write { at: 0, bytes: text.into() }
    }

    #[test]
    fn names_and_contents_are_certain_only_when_flushed() {
        let list = [
            ("a", Op::Create),
            ("a", text("one")),
            ("a", Op::Flush),
            ("", Op::FlushFolder),
            ("a", text("two")),
            ("b", Op::Create),
            ("b", text("three")),
            ("b", Op::Flush),
        ];
        let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, content)| ((*name).into(), (*content).into())).collect()
        };
        assert_eq!(left(&list, Fate::Lost), pairs(&[("a", "one")]));
        assert_eq!(left(&list, Fate::NamesOnly), pairs(&[("a", "one"), ("b", "three")]));
        assert_eq!(left(&list, Fate::Kept), pairs(&[("a", "two"), ("b", "three")]));
    }

    #[test]
    fn a_rename_is_whole_or_not_there() {
        let list = [
            ("draft", Op::Create),
            ("draft", text("x")),
            ("draft", Op::Flush),
            ("", Op::FlushFolder),
            ("draft", Op::Rename("final".into())),
        ];
        assert_eq!(left(&list, Fate::Lost).into_keys().collect::<Vec<_>>(), ["draft"]);
        assert_eq!(left(&list, Fate::Kept).into_keys().collect::<Vec<_>>(), ["final"]);
        for seed in 0..50 {
            assert_eq!(left(&list, Fate::Chance(seed)).len(), 1);
        }
    }

    #[test]
    fn a_folder_is_there_when_the_one_above_says_so() {
        let list = [("f", Op::CreateFolder), ("f/a", Op::Create), ("f", Op::FlushFolder)];
        assert!(left(&list, Fate::Lost).is_empty());
        assert_eq!(left(&[&list[..], &[("", Op::FlushFolder)]].concat(), Fate::Lost).len(), 1);
    }
}
