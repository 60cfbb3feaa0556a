//! Whose a request is: the few fields that rules look at, read without decoding the rest.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::Decodable;

use crate::server::shapes;

/// A coordinator's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Group,
    Transaction,
}

/// What rules know of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) key: ApiKey,
    pub(crate) client_id: String,
    pub(crate) transactional_id: Option<String>,
    pub(crate) group: Option<String>,
}

impl Request {
    /// `None`: no request that this broker would carry out.
    pub(crate) fn read(frame: &Bytes) -> Option<Request> {
        let mut body = frame.clone();
        let mut start = frame.get(..4)?;
        let (code, version) = (start.get_i16(), start.get_i16());
        let shape = shapes::find(code).filter(|s| (s.min..=s.max).contains(&version))?;
        let key = shape.key;
        let header = RequestHeader::decode(&mut body, key.request_header_version(version)).ok()?;
        let mut fields = Fields { rest: &body, compact: version >= shape.flexible_from };
        let (transactional_id, group) = ids(key, version, &mut fields).unwrap_or_default();
        let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
        Some(Request { key, client_id, transactional_id, group })
    }

    /// The group or transactional ID whose coordinator is spoken to, or looked for.
    pub(crate) fn coordinated(&self) -> Option<(Kind, &str)> {
        let group = self.group.as_deref().map(|id| (Kind::Group, id));
        let transaction = self.transactional_id.as_deref().map(|id| (Kind::Transaction, id));
        match self.key {
            ApiKey::AddOffsetsToTxn => transaction,
            _ => group.or(transaction),
        }
    }
}

type Ids = (Option<String>, Option<String>);

fn ids(key: ApiKey, version: i16, fields: &mut Fields<'_>) -> Option<Ids> {
    Some(match key {
        ApiKey::Produce | ApiKey::InitProducerId | ApiKey::AddPartitionsToTxn | ApiKey::EndTxn => {
            (fields.string()?, None)
        }
        ApiKey::TxnOffsetCommit => (fields.string()?, fields.string()?),
        ApiKey::AddOffsetsToTxn => {
            let id = fields.string()?;
            fields.skip(8 + 2)?;
            (id, fields.string()?)
        }
        ApiKey::OffsetFetch if version >= 8 => {
            fields.count()?;
            (None, fields.string()?)
        }
        ApiKey::JoinGroup
        | ApiKey::SyncGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::OffsetCommit
        | ApiKey::OffsetFetch => (None, fields.string()?),
        ApiKey::FindCoordinator => {
            let (kind, id) = looked_for(version, fields)?;
            if kind == 1 { (id, None) } else { (None, id) }
        }
        _ => (None, None),
    })
}

fn looked_for(version: i16, fields: &mut Fields<'_>) -> Option<(u8, Option<String>)> {
    if version >= 4 {
        let kind = fields.byte()?;
        fields.count()?;
        return Some((kind, fields.string()?));
    }
    let id = fields.string()?;
    Some((if version >= 1 { fields.byte()? } else { 0 }, id))
}

struct Fields<'a> {
    rest: &'a [u8],
    compact: bool,
}

impl Fields<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    /// The length of a compact array; its value does not matter here.
    fn count(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in (0..28).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A string; `Some(None)` is null.
    fn string(&mut self) -> Option<Option<String>> {
        let length = if self.compact {
            usize::try_from(self.count()?).ok()?.checked_sub(1)
        } else {
            let (head, rest) = self.rest.split_first_chunk::<2>()?;
            self.rest = rest;
            usize::try_from(i16::from_be_bytes(*head)).ok()
        };
        let Some(length) = length else { return Some(None) };
        let text = std::str::from_utf8(self.rest.get(..length)?).ok()?.to_owned();
        self.skip(length)?;
        Some(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::*;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::*;

    fn read<R: Encodable>(key: ApiKey, version: i16, request: &R) -> Request {
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str("me")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, key.request_header_version(version)).unwrap();
        request.encode(&mut frame, version).unwrap();
        Request::read(&frame.freeze()).unwrap()
    }

    #[test]
    fn ids_are_found_in_old_and_new_versions() {
        let text = StrBytes::from_static_str;
        for version in [1, 3] {
            let end = EndTxnRequest::default().with_transactional_id(TransactionalId(text("t")));
            let found = read(ApiKey::EndTxn, version, &end);
            assert_eq!(
                (found.client_id.as_str(), found.coordinated()),
                ("me", Some((Kind::Transaction, "t")))
            );
            let offsets = TxnOffsetCommitRequest::default()
                .with_transactional_id(TransactionalId(text("t")))
                .with_group_id(GroupId(text("g")));
            let found = read(ApiKey::TxnOffsetCommit, version, &offsets);
            assert_eq!(
                (found.transactional_id.as_deref(), found.coordinated()),
                (Some("t"), Some((Kind::Group, "g")))
            );
            let adds = AddOffsetsToTxnRequest::default()
                .with_transactional_id(TransactionalId(text("t")))
                .with_group_id(GroupId(text("g")));
            let found = read(ApiKey::AddOffsetsToTxn, version, &adds);
            assert_eq!(
                (found.group.as_deref(), found.coordinated()),
                (Some("g"), Some((Kind::Transaction, "t")))
            );
            let key = FindCoordinatorRequest::default().with_key(text("t")).with_key_type(1);
            assert_eq!(
                read(ApiKey::FindCoordinator, version, &key).coordinated(),
                Some((Kind::Transaction, "t"))
            );
        }
        let keys = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
        assert_eq!(read(ApiKey::FindCoordinator, 4, &keys).coordinated(), Some((Kind::Group, "g")));
        let group =
            offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g")));
        let fetch = OffsetFetchRequest::default().with_groups(vec![group]);
        assert_eq!(read(ApiKey::OffsetFetch, 8, &fetch).coordinated(), Some((Kind::Group, "g")));
        assert_eq!(read(ApiKey::Metadata, 9, &MetadataRequest::default()).coordinated(), None);
    }

    #[test]
    fn garbage_is_nobodys() {
        assert_eq!(Request::read(&Bytes::from_static(&[0, 99, 0, 0, 0, 0, 0, 1])), None);
        assert_eq!(Request::read(&Bytes::from_static(&[0])), None);
        // EndTxn v1 with a string that ends behind its frame.
        let cut = Bytes::from_static(&[0, 26, 0, 1, 0, 0, 0, 1, 255, 255, 0, 9, b't']);
        assert_eq!(Request::read(&cut).unwrap().transactional_id, None);
    }
}
