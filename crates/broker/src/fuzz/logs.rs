//! What lies on the disk: the journal, segments and their indexes.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use super::driver::{Target, corpus};
use crate::journal::change::Change;
use crate::journal::frame::{FILE_HEADER, FRAME_HEADER, Kind};
use crate::journal::reader::{read_checkpoint, read_journal};
use crate::log::batch::{self, stamped};
use crate::log::index::Index;
use crate::log::read::{ReadPlan, Source, TimeSearch};
use crate::log::segment::{Segment, SegmentImage};

/// Checksums and positions of the header and of all frames that can be told apart are made right.
fn seal(input: &mut [u8]) {
    if input.len() < FILE_HEADER {
        return;
    }
    let sum = crc32c::crc32c(&input[..16]);
    input[16..20].copy_from_slice(&sum.to_be_bytes());
    let first = u64::from_be_bytes(input[8..16].try_into().unwrap());
    let mut at = FILE_HEADER;
    while let Some(head) = input.get(at..at + FRAME_HEADER) {
        let size = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize + FRAME_HEADER - 1;
        if size < FRAME_HEADER || at + size > input.len() {
            return;
        }
        let position = first.wrapping_add((at - FILE_HEADER) as u64);
        input[at + 8..at + 16].copy_from_slice(&position.to_be_bytes());
        let sum = crc32c::crc32c(&input[at + 8..at + size]);
        input[at + 4..at + 8].copy_from_slice(&sum.to_be_bytes());
        at += size;
    }
}

#[test]
fn journals_of_any_bytes_are_read_cut_or_refused() {
    let target = Target { name: "journals", rounds: 3_000, seal, most_held: |size| 64 * 1024 + size * 64 };
    target.run(|input, _| {
        let path = Path::new("journal");
        let mut frames = 0;
        let ending = read_journal(path, input, |frame| {
            frames += 1;
            match frame.kind {
                Kind::Batch => drop(batch::check(frame.payload.get(12..).unwrap_or_default())),
                Kind::Change => drop(minicbor::decode::<Change>(frame.payload)),
                Kind::End => {}
            }
            Ok(())
        });
        if let Ok(ending) = ending {
            assert_eq!(ending.length + ending.torn, input.len() as u64);
            assert!(frames <= input.len() / FRAME_HEADER);
        }
        let _ = read_checkpoint(path, input, |_| Ok(()));
    });
}

#[test]
fn the_stored_journal_is_whole() {
    for journal in corpus("journals") {
        let mut changes = 0;
        let ending = read_journal(Path::new("journal"), &journal, |frame| {
            if frame.kind == Kind::Change {
                minicbor::decode::<Change>(frame.payload).unwrap();
                changes += 1;
            }
            Ok(())
        });
        assert!(ending.unwrap().torn == 0 && changes > 5);
    }
}

/// Batches of a segment as it lies on the disk: the damaged one in the middle, sound ones around it.
fn segment_of(input: &[u8]) -> Vec<u8> {
    let mut offset = 0;
    let mut bytes = Vec::new();
    for (index, sound) in corpus("batches").iter().enumerate().take(6) {
        if index == 3 {
            bytes.extend_from_slice(input);
        }
        let header = batch::check(sound).unwrap();
        bytes.extend_from_slice(&stamped(sound, offset, None));
        offset += i64::from(header.last_offset_delta) + 1;
    }
    bytes
}

#[test]
fn segments_with_any_bytes_in_them_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{:020}.log", 0));
    let index_path = path.with_extension("index");
    let target = Target {
        name: "batches",
        rounds: 800,
        seal: super::batches::seal,
        most_held: |size| (32 << 20) + size * 4000,
    };
    target.run(|input, rng| {
        let bytes = segment_of(input);
        fs::write(&path, &bytes).unwrap();
        let length = bytes.len() as u64;
        let index: Vec<u8> = (0..rng.usize(..60)).map(|_| rng.u8(..)).collect();
        let claimed = Index::decode(&index);
        assert!(claimed.is_none(), "a checksum by chance");
        fs::write(&index_path, &index).unwrap();

        let image = SegmentImage::of(0, length);
        if let Ok(segment) = Segment::open(folder.path(), image) {
            assert_eq!(segment.length(), length);
        }
        let file = Arc::new(File::open(&path).unwrap());
        let source = || Source::File { file: file.clone(), position: 0, end: length };
        let (offset, most) = (rng.i64(0..40), rng.usize(..4096));
        let plan = ReadPlan { offset, limit: i64::MAX, source: source() };
        if let Ok((read, _)) = plan.run(most, rng.bool()) {
            assert!(read.len() <= most.max(bytes.len()));
        }
        let search = TimeSearch { ms: rng.i64(..), limit: i64::MAX, start: 0, sources: vec![source()] };
        let _ = search.run();
    });
}
