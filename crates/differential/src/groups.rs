//! Groups of one member at most, and their offsets.

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use crate::plan::{Group, Place, Topic, Who};
use crate::settle::{error, settled};
use crate::side::{ANCHOR, Member, Side};

/// No session ends within a sequence.
const SESSION_MS: i32 = 1_000_000;
const ASSIGNMENT: &[u8] = b"everything";

impl Side {
    pub(crate) fn as_whom(&self, group: Group, who: Who) -> Member {
        let nobody = Member { id: StrBytes::default(), generation: -1 };
        let member = self.members[usize::from(group)].clone();
        match who {
            Who::Nobody => nobody,
            Who::Member => member.unwrap_or(nobody),
            Who::Stale => {
                member.map_or(nobody, |member| Member { generation: member.generation - 1, ..member })
            }
            Who::Stranger => Member { id: StrBytes::from_static_str("stranger"), generation: 1 },
        }
    }

    /// Joins, as the member if there is one, and takes the assignment that it makes as the leader.
    pub(crate) fn join(&mut self, group: Group) -> Result<String> {
        let known =
            self.members[usize::from(group)].as_ref().map(|member| member.id.clone()).unwrap_or_default();
        let (mut code, mut answer) = self.join_as(group, known)?;
        let mut asked_for = "";
        if code == E::MemberIdRequired.code() {
            asked_for = "with an ID, ";
            (code, answer) = self.join_as(group, answer.member_id.clone())?;
        }
        if code != 0 {
            self.members[usize::from(group)] = None;
            return Ok(format!("{asked_for}{}", error(code)));
        }
        let member = Member { id: answer.member_id.clone(), generation: answer.generation_id };
        self.members[usize::from(group)] = Some(member.clone());
        let leads = answer.leader == answer.member_id;
        let (protocol, others) = (answer.protocol_name.unwrap_or_default(), answer.members.len());
        let synced = self.sync(group, member)?;
        Ok(format!(
            "{asked_for}generation {}, {}, leads {leads}, {others} members, {synced}",
            answer.generation_id, &*protocol
        ))
    }

    fn join_as(&mut self, group: Group, member: StrBytes) -> Result<(i16, JoinGroupResponse)> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(self.subscription());
        let request = JoinGroupRequest::default()
            .with_group_id(self.group(group))
            .with_session_timeout_ms(SESSION_MS)
            .with_rebalance_timeout_ms(SESSION_MS)
            .with_member_id(member)
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        settled(|| {
            let answer: JoinGroupResponse = self.client.ask(ApiKey::JoinGroup, 5, &request)?;
            Ok((answer.error_code, answer))
        })
    }

    /// ConsumerProtocolSubscription 0: two of the topics, no user data. With bytes that are none, Apache Kafka 4.3 fails to
    /// complete the group's generation and never answers.
    fn subscription(&self) -> Bytes {
        let topics = [0, 1].map(|topic| self.topic(topic).0);
        let mut bytes = BytesMut::new();
        bytes.put_i16(0);
        bytes.put_i32(2);
        for topic in topics {
            bytes.put_u16(u16::try_from(topic.len()).expect("names are short"));
            bytes.put_slice(topic.as_bytes());
        }
        bytes.put_i32(-1);
        bytes.freeze()
    }

    fn sync(&mut self, group: Group, member: Member) -> Result<String> {
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(member.id.clone())
            .with_assignment(Bytes::from_static(ASSIGNMENT));
        let request = SyncGroupRequest::default()
            .with_group_id(self.group(group))
            .with_generation_id(member.generation)
            .with_member_id(member.id)
            .with_assignments(vec![assignment]);
        let answer: SyncGroupResponse = self.client.ask(ApiKey::SyncGroup, 3, &request)?;
        Ok(format!("assigned {}: {:?}", error(answer.error_code), answer.assignment))
    }

    pub(crate) fn heartbeat(&mut self, group: Group, who: Who) -> Result<String> {
        let member = self.as_whom(group, who);
        let request = HeartbeatRequest::default()
            .with_group_id(self.group(group))
            .with_generation_id(member.generation)
            .with_member_id(member.id);
        let (code, ()) = settled(|| {
            let answer: HeartbeatResponse = self.client.ask(ApiKey::Heartbeat, 3, &request)?;
            Ok((answer.error_code, ()))
        })?;
        Ok(error(code))
    }

    pub(crate) fn leave(&mut self, group: Group) -> Result<String> {
        let member = self.members[usize::from(group)].take();
        let id = member.map_or(StrBytes::from_static_str("stranger"), |member| member.id);
        let request = LeaveGroupRequest::default()
            .with_group_id(self.group(group))
            .with_members(vec![MemberIdentity::default().with_member_id(id)]);
        let (code, members) = settled(|| {
            let answer: LeaveGroupResponse = self.client.ask(ApiKey::LeaveGroup, 3, &request)?;
            Ok((answer.error_code, answer.members))
        })?;
        let members: Vec<String> = members.iter().map(|member| error(member.error_code)).collect();
        Ok(format!("{}: {}", error(code), members.join(", ")))
    }

    pub(crate) fn commit_offset(
        &mut self,
        group: Group,
        who: Who,
        place: Place,
        offset: i64,
    ) -> Result<String> {
        let member = self.as_whom(group, who);
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(place.partition)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(StrBytes::from_string(format!("at {offset}"))));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(self.topic(place.topic))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group(group))
            .with_generation_id_or_member_epoch(member.generation)
            .with_member_id(member.id)
            .with_topics(vec![topic]);
        let (code, ()) = settled(|| {
            let answer: OffsetCommitResponse = self.client.ask(ApiKey::OffsetCommit, 7, &request)?;
            let topic = answer.topics.first().context("no topic in the answer")?;
            Ok((topic.partitions.first().context("no partition in the answer")?.error_code, ()))
        })?;
        Ok(error(code))
    }

    pub(crate) fn fetch_offset(&mut self, group: Group, place: Place, stable: bool) -> Result<String> {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(self.topic(place.topic))
            .with_partition_indexes(vec![place.partition]);
        let answer = self.offsets(group, Some(vec![topic]), stable)?;
        Ok(format!("{}: {}", error(answer.error_code), shown(&answer).join(", ")))
    }

    /// Every offset of a group, stable or not.
    pub(crate) fn all_offsets(&mut self, group: Group) -> Result<Vec<String>> {
        let mut offsets = shown(&self.offsets(group, None, false)?);
        offsets.sort();
        Ok(offsets)
    }

    pub(crate) fn no_offsets_of(&mut self, topic: Topic) -> Result<bool> {
        let name = self.topic(topic);
        let mut found = false;
        for group in [0, 1] {
            found |= self.offsets(group, None, false)?.topics.iter().any(|topic| topic.name == name);
        }
        Ok(!found)
    }

    fn offsets(
        &mut self,
        group: Group,
        topics: Option<Vec<OffsetFetchRequestTopic>>,
        stable: bool,
    ) -> Result<OffsetFetchResponse> {
        let request = OffsetFetchRequest::default()
            .with_group_id(self.group(group))
            .with_topics(topics)
            .with_require_stable(stable);
        let (_, answer) = settled(|| {
            let answer: OffsetFetchResponse = self.client.ask(ApiKey::OffsetFetch, 7, &request)?;
            Ok((answer.error_code, answer))
        })?;
        Ok(answer)
    }

    pub(crate) fn delete_offset(&mut self, group: Group, place: Place) -> Result<String> {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(place.partition);
        let mut topic = OffsetDeleteRequestTopic::default().with_partitions(vec![partition]);
        topic.name = self.topic(place.topic);
        let request =
            OffsetDeleteRequest::default().with_group_id(self.group(group)).with_topics(vec![topic]);
        let (code, topics) = settled(|| {
            let answer: OffsetDeleteResponse = self.client.ask(ApiKey::OffsetDelete, 0, &request)?;
            Ok((answer.error_code, answer.topics))
        })?;
        let partitions = topics.iter().flat_map(|topic| &topic.partitions);
        let partitions: Vec<String> = partitions.map(|partition| error(partition.error_code)).collect();
        Ok(format!("{}: {}", error(code), partitions.join(", ")))
    }

    pub(crate) fn delete_group(&mut self, group: Group) -> Result<String> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![self.group(group)]);
        let (code, ()) = settled(|| {
            let answer: DeleteGroupsResponse = self.client.ask(ApiKey::DeleteGroups, 1, &request)?;
            Ok((answer.results.first().context("no group in the answer")?.error_code, ()))
        })?;
        if code == 0 {
            self.commit_offset(group, Who::Nobody, ANCHOR, 1)?;
        }
        Ok(error(code))
    }

    pub(crate) fn describe_group(&mut self, group: Group) -> Result<String> {
        let request = DescribeGroupsRequest::default().with_groups(vec![self.group(group)]);
        let (code, described) = settled(|| {
            let answer: DescribeGroupsResponse = self.client.ask(ApiKey::DescribeGroups, 4, &request)?;
            let group = answer.groups.into_iter().next().context("no group in the answer")?;
            Ok((group.error_code, group))
        })?;
        let (state, kind, protocol) =
            (&*described.group_state, &*described.protocol_type, &*described.protocol_data);
        Ok(format!("{}: {state}, {kind:?}, {protocol:?}, {} members", error(code), described.members.len()))
    }
}

/// Topics by the end of their names, which is the same on both brokers.
fn shown(answer: &OffsetFetchResponse) -> Vec<String> {
    let partitions = answer
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)));
    let show = |(topic, partition): (
        &offset_fetch_response::OffsetFetchResponseTopic,
        &offset_fetch_response::OffsetFetchResponsePartition,
    )| {
        let (index, offset, metadata) =
            (partition.partition_index, partition.committed_offset, partition.metadata.as_deref());
        format!("{}-{index} {}: {offset} {metadata:?}", &**topic.name, error(partition.error_code))
    };
    partitions.map(show).collect()
}
