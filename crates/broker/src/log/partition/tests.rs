use super::super::batch::{check, marker, stamped, tests::batch, tests::keyed};
use super::*;

fn put(log: &mut Partition, producer: (i64, i16, i32), ms: i64, values: &[&[u8]], transactional: bool) {
    let bytes = stamped(&batch(producer, ms, values, transactional), log.end_offset, None);
    log.append(check(&bytes).unwrap(), bytes);
    log.raise(log.end_offset);
}

fn up_to(bytes: u64) -> SegmentLimits {
    SegmentLimits { bytes, ms: i64::MAX }
}

fn offsets(bytes: &Bytes) -> Vec<i64> {
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let header = check(&bytes[at..]).unwrap();
        found.push(header.base_offset);
        at += header.size;
    }
    found
}

fn read(log: &Partition, offset: i64, limit: i64, max_bytes: usize) -> Vec<i64> {
    offsets(&log.plan(offset, limit).run(max_bytes, true).unwrap().0)
}

#[test]
fn batches_are_found_in_the_tail_and_in_files_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Partition::new(folder.path());
    for i in 0..300 {
        put(&mut log, (-1, -1, -1), 1_000 + i, &[&[1; 500], &[2; 500]], false);
    }
    let in_memory: Vec<_> = (0..600).map(|o| read(&log, o, 600, 3_000)).collect();
    log.spill(up_to(100_000)).unwrap();
    assert!(log.segments.len() > 2 && log.tail.is_empty());
    for (offset, expected) in in_memory.iter().enumerate() {
        let found = read(&log, offset as i64, 600, 3_000);
        assert_eq!(found[0], expected[0], "offset {offset}");
        assert!(found.len() <= 2 && expected.starts_with(&found));
    }
    assert_eq!(read(&log, 10, 600, 1), [10], "one batch even if it is larger than asked for");
    assert_eq!(read(&log, 10, 12, 100_000), [10], "nothing from the limit on");
}

#[test]
fn a_batch_longer_than_the_window_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Partition::new(folder.path());
    put(&mut log, (-1, -1, -1), 1, &[&[1; 10]], false);
    put(&mut log, (-1, -1, -1), 1, &[&[2; 200_000]], false);
    put(&mut log, (-1, -1, -1), 1, &[&[3; 10]], false);
    log.spill(up_to(u64::MAX)).unwrap();
    assert_eq!(read(&log, 0, 3, 10), [0]);
    assert_eq!(read(&log, 1, 3, 10), [1]);
    assert_eq!(read(&log, 2, 3, 10), [2]);
    assert_eq!(read(&log, 0, 3, 1_000_000), [0, 1, 2]);
}

#[test]
fn a_partition_restored_from_its_image_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Partition::new(folder.path());
    put(&mut log, (4, 0, 0), 5, &[b"a"], true);
    put(&mut log, (5, 0, 0), 6, &[b"b", b"c"], true);
    let end = marker(4, 0, false, log.end_offset, 7);
    log.append(check(&end).unwrap(), end);
    log.raise(log.end_offset);
    log.spill(up_to(u64::MAX)).unwrap();
    let image = log.image();
    let mut again = Partition::new(folder.path());
    again.restore(image.clone()).unwrap();
    assert_eq!(again.image(), image);
    assert_eq!((again.high_watermark, again.last_stable_offset()), (4, 1));
    assert_eq!(again.aborted(0, 10).len(), 1);
}

#[test]
fn a_time_is_found_in_files_and_tail() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Partition::new(folder.path());
    for i in 0..200 {
        put(&mut log, (-1, -1, -1), i * 10, &[&[1; 500]], false);
        if i == 150 {
            log.spill(up_to(30_000)).unwrap();
        }
    }
    for (ms, expected) in [(0, 0), (5, 1), (990, 99), (1_501, 151), (1_990, 199)] {
        assert_eq!(log.search(ms, 200).run().unwrap(), Some((expected, expected * 10)), "time {ms}");
    }
    assert_eq!(log.search(1_991, 200).run().unwrap(), None);
    assert_eq!(log.search(1_990, 199).run().unwrap(), None, "not visible");
}

#[test]
fn deleted_records_free_whole_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Partition::new(folder.path());
    for _ in 0..100 {
        put(&mut log, (-1, -1, -1), 1, &[&[1; 500]], false);
    }
    log.spill(up_to(10_000)).unwrap();
    let before = log.segments.len();
    let gone = log.delete_before(50);
    assert_eq!(gone.len(), (before - log.segments.len()) * 2);
    assert!(!gone.is_empty() && log.segments[0].base_offset <= 50);
    assert_eq!(read(&log, 50, 100, 1), [50]);
}

const RULES: CompactionRules = CompactionRules {
    min_dirty_ratio: 0.1,
    min_lag_ms: 0,
    max_lag_ms: i64::MAX,
    delete_retention_ms: 1_000,
    segment_bytes: 4_000,
    key_bytes: usize::MAX,
};

/// 300 records of 7 keys in small segments, the last one active, all known to a checkpoint.
fn with_old_versions(folder: &Path) -> Partition {
    let mut log = Partition::new(folder);
    for i in 0..300i64 {
        let (key, value) = (format!("key-{}", i % 7), format!("{i:0>100}"));
        let bytes =
            stamped(&keyed((-1, -1, -1), 1_000, &[(&key, Some(&value))], false), log.end_offset, None);
        log.append(check(&bytes).unwrap(), bytes);
        log.raise(log.end_offset);
        if i % 10 == 9 {
            log.spill(up_to(RULES.segment_bytes)).unwrap();
        }
    }
    log.take_dirty();
    log
}

fn clean(log: &mut Partition) -> Vec<PathBuf> {
    let Cleanable::Now(job) = log.cleanable(&RULES, 5_000) else { panic!("nothing to compact") };
    let cleaned = job.run().unwrap();
    log.take(&cleaned).unwrap()
}

#[test]
fn compaction_leaves_the_newest_of_each_key_and_every_offset_finds_what_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = with_old_versions(folder.path());
    let (all, segments) = (read(&log, 0, 300, usize::MAX / 4), log.segments.len());
    assert!(segments > 5 && all.len() > 10);
    let active = log.segments.last().unwrap().base_offset;
    clean(&mut log);
    assert_eq!(log.segments.len(), 2, "what is left of the old segments is one");
    let mut expected: Vec<i64> = (active - 7..300).collect();
    assert_eq!(read_on(&log, 0), expected);
    for offset in 0..300 {
        expected.retain(|o| *o >= offset);
        assert_eq!(read_on(&log, offset), expected, "from {offset}");
    }
    assert!(matches!(log.cleanable(&RULES, 5_000), Cleanable::Nothing), "a second run has nothing to do");
}

/// Offsets of all batches from `offset` on, read as a consumer does: each answer's end is the next question.
fn read_on(log: &Partition, mut offset: i64) -> Vec<i64> {
    let mut found = Vec::new();
    while offset < log.high_watermark {
        let (bytes, next) = log.plan(offset, log.high_watermark).run(1_000, true).unwrap();
        assert!(next > offset, "stuck at {offset}");
        found.extend(offsets(&bytes));
        offset = next;
    }
    found
}

#[test]
fn a_compacted_partition_restored_from_its_image_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = with_old_versions(folder.path());
    let before = log.image();
    let doomed = clean(&mut log);
    let logs = || doomed.iter().filter(|path| path.extension().is_some_and(|e| e == "log"));
    assert!(logs().count() > 5 && logs().all(|path| path.exists()), "the checkpoint in force names them");
    let mut again = Partition::new(folder.path());
    again.restore(log.image()).unwrap();
    assert_eq!((again.image(), read_on(&again, 0)), (log.image(), read_on(&log, 0)));
    let mut old = Partition::new(folder.path());
    old.restore(before).unwrap();
    assert_eq!(read_on(&old, 0).len(), 300, "a crash before the next checkpoint finds the old segments");
    let unknown = again.unknown_files();
    assert!(!unknown.is_empty() && unknown.iter().all(|path| doomed.contains(path)));
}

#[test]
fn a_compaction_whose_segments_have_gone_meanwhile_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = with_old_versions(folder.path());
    let Cleanable::Now(job) = log.cleanable(&RULES, 5_000) else { panic!("nothing to compact") };
    let cleaned = job.run().unwrap();
    log.delete_before(150);
    assert!(!log.can_take(&cleaned) && log.take(&cleaned).is_err());
    assert!(log.files_of(&cleaned).iter().any(|path| path.exists()));
}

fn put_key(log: &mut Partition, key: &str) -> Bytes {
    let bytes = stamped(&keyed((-1, -1, -1), 1_000, &[(key, Some("1"))], false), log.end_offset, None);
    log.append(check(&bytes).unwrap(), bytes.clone());
    log.raise(log.end_offset);
    bytes
}

/// A record that began a segment, and two compactions of all that lay before it, are in the journal and in no checkpoint.
/// In replay that record is still in memory at the first of them, and on the disk at the second, or at both.
#[test]
fn replay_of_compactions_keeps_what_came_before_them_and_was_not_compacted() {
    for on_disk_at_first in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut log = with_old_versions(folder.path());
        put_key(&mut log, "another");
        put_key(&mut log, "yet another");
        log.spill(up_to(RULES.segment_bytes)).unwrap();
        log.take_dirty();
        let checkpoint = log.image();
        let record = put_key(&mut log, "new");
        log.spill(up_to(1)).unwrap();
        let seven_keys = CompactionRules { key_bytes: 7 * 53 + 1, ..RULES };
        let compactions = [seven_keys, RULES].map(|rules| {
            let Cleanable::Now(job) = log.cleanable(&rules, 5_000) else { panic!("nothing to compact") };
            let cleaned = job.run().unwrap();
            log.take(&cleaned).unwrap();
            cleaned
        });
        assert_eq!(compactions.each_ref().map(|cleaned| cleaned.until), [301, 302]);
        let expected = read_on(&log, 0);
        assert_eq!(expected.last(), Some(&302));

        let mut again = Partition::new(folder.path());
        again.restore(checkpoint).unwrap();
        again.append(check(&record).unwrap(), record);
        again.raise(303);
        for (cleaned, on_disk) in compactions.iter().zip([on_disk_at_first, true]) {
            if on_disk {
                again.spill(up_to(RULES.segment_bytes)).unwrap();
            }
            again.take(cleaned).unwrap();
        }
        assert_eq!(read_on(&again, 0), expected);
    }
}

#[test]
fn what_is_open_young_or_not_in_a_checkpoint_is_not_compacted() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = with_old_versions(folder.path());
    let young = CompactionRules { min_lag_ms: 4_500, ..RULES };
    assert!(matches!(log.cleanable(&young, 5_000), Cleanable::Nothing));
    assert!(matches!(log.cleanable(&young, 5_500), Cleanable::Now(_)));
    let mut open = log.stability.clone();
    open.data(9, 25);
    std::mem::swap(&mut log.stability, &mut open);
    let Cleanable::Now(job) = log.cleanable(&RULES, 5_000) else { panic!("nothing to compact") };
    assert!(job.run().unwrap().until <= 25, "nothing undecided is compacted");
    std::mem::swap(&mut log.stability, &mut open);
    put(&mut log, (-1, -1, -1), 1, &[&[1; 4_000]], false);
    put(&mut log, (-1, -1, -1), 1, &[&[1; 4_000]], false);
    log.spill(up_to(RULES.segment_bytes)).unwrap();
    let Cleanable::Now(job) = log.cleanable(&RULES, 5_000) else { panic!("the others do not wait for it") };
    assert!(job.segments.iter().all(|old| old.image.base_offset < 300), "what the checkpoint does not know");
    log.take(&job.run().unwrap()).unwrap();
    put(&mut log, (-1, -1, -1), 1, &[&[1; 4_000]], false);
    log.spill(up_to(RULES.segment_bytes)).unwrap();
    assert!(matches!(log.cleanable(&RULES, 5_000), Cleanable::AfterCheckpoint));
    log.take_dirty();
    assert!(matches!(log.cleanable(&RULES, 5_000), Cleanable::Now(_)));
}

#[test]
fn a_record_long_after_a_segments_first_one_begins_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Partition::new(folder.path());
    let limits = SegmentLimits { bytes: u64::MAX, ms: 100 };
    for ms in [1_000, 1_100, 900] {
        put(&mut log, (-1, -1, -1), ms, &[b"a"], false);
    }
    log.roll_if_due(limits).unwrap();
    assert!(log.segments.is_empty(), "nothing ends the segment yet");
    for ms in [1_101, 1_200, 1_300] {
        put(&mut log, (-1, -1, -1), ms, &[b"a"], false);
    }
    log.roll_if_due(limits).unwrap();
    let bases = |log: &Partition| log.segments.iter().map(|s| s.base_offset).collect::<Vec<_>>();
    assert_eq!(bases(&log), [0, 3, 5]);
    for ms in [1_400, 1_401] {
        put(&mut log, (-1, -1, -1), ms, &[b"a"], false);
    }
    log.spill(limits).unwrap();
    assert_eq!(bases(&log), [0, 3, 5, 7]);
    let mut again = Partition::new(folder.path());
    again.restore(log.image()).unwrap();
    put(&mut again, (-1, -1, -1), 1_402, &[b"a"], false);
    again.spill(limits).unwrap();
    assert_eq!(bases(&again), [0, 3, 5, 7, 8], "nothing is written behind what was found");
}

#[test]
fn retention_of_everything_leaves_an_empty_log_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Partition::new(folder.path());
    for _ in 0..20 {
        put(&mut log, (-1, -1, -1), 1, &[&[1; 500]], false);
    }
    log.spill(up_to(3_000)).unwrap();
    put(&mut log, (-1, -1, -1), 1, &[b"in the tail"], false);
    let limits = super::super::retention::Limits { ms: 10, bytes: -1 };
    let before = super::super::retention::delete_before(&log.pieces(), limits, log.last_stable_offset(), 12);
    assert_eq!(before, Some(21));
    assert!(!log.delete_before(21).is_empty());
    assert!(log.segments.is_empty() && log.tail.is_empty() && log.tail_size == 0);
    put(&mut log, (-1, -1, -1), 1, &[b"next"], false);
    assert_eq!(read(&log, 21, 22, 1_000), [21]);
    log.spill(up_to(3_000)).unwrap();
    assert_eq!(read(&log, 21, 22, 1_000), [21]);
}

#[test]
fn producers_that_have_not_written_for_long_are_forgotten_unless_their_transaction_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Partition::new(folder.path());
    put(&mut log, (4, 0, 0), 5, &[b"a"], false);
    put(&mut log, (5, 0, 0), 6, &[b"b"], true);
    put(&mut log, (6, 0, 0), 9, &[b"c"], false);
    log.forget_producers(7);
    assert_eq!(log.image().producers.keys().copied().collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn nothing_begins_behind_what_was_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Partition::new(folder.path());
    let header = |epoch, sequence| check(&batch((4, epoch, sequence), 5, &[b"a"], true)).unwrap();
    log.attempt(&header(1, 3)).unwrap();
    let gap = Err(ResponseError::OutOfOrderSequenceNumber);
    assert_eq!(log.judge(&header(1, 4)), gap);
    assert_eq!(log.judge(&header(1, 3)), Ok(Verdict::Append));
    log.attempt(&header(2, 7)).unwrap();
    assert_eq!(log.judge(&header(2, 7)), Ok(Verdict::Append), "a newer epoch begins anew");
}
