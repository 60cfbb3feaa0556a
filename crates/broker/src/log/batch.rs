//! The record batch header, version 2: parsed, checked, and stamped with what the broker assigns.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of a batch before its records.
pub(crate) const HEADER: usize = 61;
/// Bytes before what `batch_length` counts.
const PREFIX: usize = 12;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const RECORDS_AT: usize = 57;

/// No log gets there; with more, sums of offsets could overflow. No checksum covers the offset.
const HIGHEST_OFFSET: i64 = i64::MAX >> 1;

const CODEC: i16 = 0x07;
const TIMESTAMP_TYPE: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// The header's fields, without the ones that nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    /// Bytes of the whole batch, header included.
    pub(crate) size: usize,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) records: i32,
}

/// Why bytes are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("batch is shorter than its header or its length says")]
    Short,
    #[error("record format version {0} is not supported")]
    Magic(i8),
    #[error("checksum does not match")]
    Crc,
    #[error("header contradicts itself")]
    Fields,
}

impl BatchHeader {
    /// Reads a header; the bytes may go on behind the batch, or end within its records.
    pub(crate) fn parse(mut bytes: &[u8]) -> Result<Self, BatchError> {
        if bytes.len() < HEADER {
            return Err(BatchError::Short);
        }
        let base_offset = bytes.get_i64();
        let length = bytes.get_i32();
        let _leader_epoch = bytes.get_i32();
        let magic = bytes.get_i8();
        let _crc = bytes.get_u32();
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let size = usize::try_from(length).map_err(|_| BatchError::Short)? + PREFIX;
        if size < HEADER {
            return Err(BatchError::Short);
        }
        if !(0..=HIGHEST_OFFSET).contains(&base_offset) {
            return Err(BatchError::Fields);
        }
        Ok(BatchHeader {
            base_offset,
            size,
            attributes: bytes.get_i16(),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            records: bytes.get_i32(),
        })
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// The compression's number; 0 for none.
    pub(crate) fn codec(&self) -> i16 {
        self.attributes & CODEC
    }

    /// When tombstones and markers of this batch may go; compaction sets it where it first meets them, in the place of the base
    /// timestamp (KIP-534).
    pub(crate) fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    pub(crate) fn has_append_time(&self) -> bool {
        self.attributes & TIMESTAMP_TYPE != 0
    }

    /// Sequence number of the last record; sequences wrap to 0 behind `i32::MAX`.
    pub(crate) fn last_sequence(&self) -> i32 {
        let last = (i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) % (1 << 31);
        i32::try_from(last).unwrap_or(0)
    }
}

/// Parses one whole batch and checks length, checksum and the fields that must agree.
pub(crate) fn check(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    if bytes.len() < header.size {
        return Err(BatchError::Short);
    }
    if crc(&bytes[..header.size]) != crc32c::crc32c(&bytes[ATTRIBUTES_AT..header.size]) {
        return Err(BatchError::Crc);
    }
    // An empty batch (compaction leaves such) has no records but still spans offsets.
    if header.last_offset_delta < 0 || header.records < 0 {
        return Err(BatchError::Fields);
    }
    Ok(header)
}

fn crc(batch: &[u8]) -> u32 {
    (&batch[CRC_AT..]).get_u32()
}

/// Copies a batch and writes the broker's part into the copy: its offset, leader epoch 0, and the append time if asked for.
pub(crate) fn stamped(batch: &[u8], base_offset: i64, append_time_ms: Option<i64>) -> Bytes {
    let mut copy = BytesMut::from(batch);
    (&mut copy[0..8]).put_i64(base_offset);
    (&mut copy[12..16]).put_i32(0);
    if let Some(now) = append_time_ms {
        let attributes = (&copy[ATTRIBUTES_AT..]).get_i16() | TIMESTAMP_TYPE;
        (&mut copy[ATTRIBUTES_AT..]).put_i16(attributes);
        (&mut copy[MAX_TIMESTAMP_AT..]).put_i64(now);
        seal(&mut copy);
    }
    copy.freeze()
}

fn seal(batch: &mut [u8]) {
    let sum = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    (&mut batch[CRC_AT..]).put_u32(sum);
}

/// The batch of `header` with these records instead: same offsets and producer, not compressed; with a delete horizon in the
/// place of the base timestamp if one is given.
pub(crate) fn rewritten(batch: &[u8], records: &[u8], count: i32, horizon_ms: Option<i64>) -> Bytes {
    let mut copy = BytesMut::with_capacity(HEADER + records.len());
    copy.put_slice(&batch[..HEADER]);
    copy.put_slice(records);
    let length = i32::try_from(copy.len() - PREFIX).expect("records unpack to far less than 2 GiB");
    (&mut copy[8..12]).put_i32(length);
    let mut attributes = (&copy[ATTRIBUTES_AT..]).get_i16() & !CODEC;
    if let Some(horizon_ms) = horizon_ms {
        attributes |= DELETE_HORIZON;
        (&mut copy[BASE_TIMESTAMP_AT..]).put_i64(horizon_ms);
    }
    (&mut copy[ATTRIBUTES_AT..]).put_i16(attributes);
    (&mut copy[RECORDS_AT..]).put_i32(count);
    seal(&mut copy);
    copy.freeze()
}

/// The control batch that ends a transaction in one partition.
pub(crate) fn marker(
    producer_id: i64,
    producer_epoch: i16,
    committed: bool,
    base_offset: i64,
    now_ms: i64,
) -> Bytes {
    let mut record = BytesMut::with_capacity(16);
    record.put_slice(&[0, 0, 0, 8]); // attributes, timestamp delta, offset delta, key length 4 (zigzag)
    record.put_i16(0);
    record.put_i16(i16::from(committed));
    record.put_slice(&[12]); // value length 6 (zigzag)
    record.put_i16(0);
    record.put_i32(0); // coordinator epoch
    record.put_u8(0); // no headers
    let length = u8::try_from(record.len()).expect("a marker record is 16 bytes long") << 1;

    let mut batch = BytesMut::with_capacity(HEADER + 1 + record.len());
    batch.put_i64(base_offset);
    batch.put_i32(i32::try_from(HEADER - PREFIX + 1 + record.len()).expect("a marker batch is short"));
    batch.put_i32(0);
    batch.put_i8(2);
    batch.put_u32(0);
    batch.put_i16(TRANSACTIONAL | CONTROL);
    batch.put_i32(0);
    batch.put_i64(now_ms);
    batch.put_i64(now_ms);
    batch.put_i64(producer_id);
    batch.put_i16(producer_epoch);
    batch.put_i32(-1);
    batch.put_i32(1);
    batch.put_u8(length);
    batch.put_slice(&record);
    seal(&mut batch);
    batch.freeze()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A batch of `values`, each at `timestamp`, for tests of everything above.
    pub(crate) fn batch(
        producer: (i64, i16, i32),
        timestamp: i64,
        values: &[&[u8]],
        transactional: bool,
    ) -> Bytes {
        let records: Vec<_> = values.iter().map(|value| (None, Some(*value))).collect();
        of(producer, timestamp, &records, transactional)
    }

    /// The same with keys, and `None` for a tombstone.
    pub(crate) fn keyed(
        producer: (i64, i16, i32),
        timestamp: i64,
        pairs: &[(&str, Option<&str>)],
        transactional: bool,
    ) -> Bytes {
        let records: Vec<_> =
            pairs.iter().map(|(key, value)| (Some(key.as_bytes()), value.map(str::as_bytes))).collect();
        of(producer, timestamp, &records, transactional)
    }

    /// The same batch, its records packed with gzip.
    pub(crate) fn packed(batch: &[u8]) -> Bytes {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut gzip, &batch[HEADER..]).unwrap();
        let records = gzip.finish().unwrap();
        let count = BatchHeader::parse(batch).unwrap().records;
        let mut out = BytesMut::from(&*rewritten(batch, &records, count, None));
        let attributes = (&out[ATTRIBUTES_AT..]).get_i16() | 1;
        (&mut out[ATTRIBUTES_AT..]).put_i16(attributes);
        seal(&mut out);
        out.freeze()
    }

    type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

    fn of(producer: (i64, i16, i32), timestamp: i64, records: &[KeyValue<'_>], transactional: bool) -> Bytes {
        let mut body = BytesMut::new();
        for (i, (key, value)) in records.iter().enumerate() {
            let mut record = BytesMut::new();
            record.put_u8(0);
            record.put_u8(0);
            put_varint(&mut record, i as i64);
            for part in [key, value] {
                put_varint(&mut record, part.map_or(-1, |p| p.len() as i64));
                record.put_slice(part.unwrap_or_default());
            }
            record.put_u8(0);
            put_varint(&mut body, record.len() as i64);
            body.put_slice(&record);
        }
        let mut out = BytesMut::new();
        out.put_i64(0);
        out.put_i32((HEADER - PREFIX + body.len()) as i32);
        out.put_i32(-1);
        out.put_i8(2);
        out.put_u32(0);
        out.put_i16(if transactional { TRANSACTIONAL } else { 0 });
        out.put_i32(records.len() as i32 - 1);
        out.put_i64(timestamp);
        out.put_i64(timestamp);
        out.put_i64(producer.0);
        out.put_i16(producer.1);
        out.put_i32(producer.2);
        out.put_i32(records.len() as i32);
        out.put_slice(&body);
        seal(&mut out);
        out.freeze()
    }

    fn put_varint(out: &mut BytesMut, value: i64) {
        let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
        while zigzag >= 0x80 {
            out.put_u8((zigzag as u8) | 0x80);
            zigzag >>= 7;
        }
        out.put_u8(zigzag as u8);
    }

    #[test]
    fn a_good_batch_is_read_back() {
        let bytes = batch((7, 1, 5), 1_000, &[b"a", b"bb"], true);
        let header = check(&bytes).unwrap();
        assert_eq!((header.size, header.records, header.last_offset_delta), (bytes.len(), 2, 1));
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 1, 5));
        assert!(header.is_transactional() && !header.is_control() && header.codec() == 0);
    }

    #[test]
    fn every_damaged_byte_behind_the_broker_fields_is_noticed() {
        let good = batch((7, 1, 5), 1_000, &[b"a", b"bb"], true);
        for at in 16..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 0x40;
            assert!(check(&bad).is_err(), "byte {at}");
        }
        for cut in 0..good.len() {
            assert_eq!(check(&good[..cut]), Err(BatchError::Short));
        }
    }

    #[test]
    fn a_stamp_changes_the_offset_and_leaves_the_checksum_valid() {
        let stamped_batch = stamped(&batch((-1, -1, -1), 1_000, &[b"a"], false), 42, None);
        let header = check(&stamped_batch).unwrap();
        assert_eq!((header.base_offset, header.last_offset(), header.max_timestamp), (42, 42, 1_000));
        let at_append = check(&stamped(&stamped_batch, 43, Some(2_000))).unwrap();
        assert_eq!(
            (at_append.base_offset, at_append.max_timestamp, at_append.has_append_time()),
            (43, 2_000, true)
        );
    }

    #[test]
    fn a_marker_is_a_valid_control_batch() {
        for committed in [true, false] {
            let bytes = marker(9, 3, committed, 17, 5);
            let header = check(&bytes).unwrap();
            assert!(header.is_control() && header.is_transactional());
            assert_eq!(super::super::record::marker_commits(&bytes), Some(committed));
        }
    }

    #[test]
    fn sequences_wrap_behind_the_largest_number() {
        let mut header = check(&batch((1, 0, i32::MAX), 0, &[b"a", b"b"], false)).unwrap();
        assert_eq!(header.last_sequence(), 0);
        header.last_offset_delta = 0;
        assert_eq!(header.last_sequence(), i32::MAX);
    }
}
