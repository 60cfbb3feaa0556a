//! A group's membership as the journal keeps it, so that members go on over a restart of the broker.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use super::{Group, Member, Status};

/// Membership of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct GroupImage {
    #[n(0)]
    generation: i32,
    #[n(1)]
    protocol_type: Option<String>,
    #[n(2)]
    protocol: Option<String>,
    #[n(3)]
    leader: Option<String>,
    #[n(4)]
    members: Vec<MemberImage>,
    #[n(5)]
    empty_since_ms: Option<i64>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MemberImage {
    #[n(0)]
    id: String,
    #[n(1)]
    instance_id: Option<String>,
    #[n(2)]
    client_id: String,
    #[n(3)]
    client_host: String,
    #[n(4)]
    session_timeout_ms: i64,
    #[n(5)]
    rebalance_timeout_ms: i64,
    #[n(6)]
    protocols: Vec<ProtocolImage>,
    #[cbor(n(7), with = "minicbor::bytes")]
    assignment: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct ProtocolImage {
    #[n(0)]
    name: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    metadata: Vec<u8>,
}

impl Group {
    /// What has to be stored. In the middle of a rebalance there are no members yet that a restart could keep.
    pub(crate) fn image(&self) -> GroupImage {
        let settled = self.status == Status::Stable;
        GroupImage {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone().filter(|_| settled),
            leader: self.leader.clone().filter(|_| settled),
            empty_since_ms: self.empty_since_ms,
            members: self.members.iter().filter(|_| settled).map(|(id, m)| image_of(id, m)).collect(),
        }
    }

    /// The group as stored; its members have one session time-out from now to be heard of.
    pub(crate) fn restore(image: &GroupImage, now_ms: i64, initial_delay_ms: i64) -> Group {
        let mut group = Group::new(initial_delay_ms);
        group.generation = image.generation;
        group.protocol_type.clone_from(&image.protocol_type);
        group.protocol.clone_from(&image.protocol);
        group.leader.clone_from(&image.leader);
        group.empty_since_ms = image.empty_since_ms;
        for member in &image.members {
            if let Some(instance) = &member.instance_id {
                group.instances.insert(instance.clone(), member.id.clone());
            }
            group.members.insert(member.id.clone(), member_of(member, now_ms));
        }
        if !group.members.is_empty() {
            group.status = Status::Stable;
        }
        group
    }
}

fn image_of(id: &str, member: &Member) -> MemberImage {
    let protocol = |(name, metadata): &(String, Bytes)| ProtocolImage {
        name: name.clone(),
        metadata: metadata.to_vec(),
    };
    MemberImage {
        id: id.to_string(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        protocols: member.protocols.iter().map(protocol).collect(),
        assignment: member.assignment.to_vec(),
    }
}

fn member_of(image: &MemberImage, now_ms: i64) -> Member {
    let protocol = |p: &ProtocolImage| (p.name.clone(), Bytes::from(p.metadata.clone()));
    Member {
        instance_id: image.instance_id.clone(),
        client_id: image.client_id.clone(),
        client_host: image.client_host.clone(),
        session_timeout_ms: image.session_timeout_ms,
        rebalance_timeout_ms: image.rebalance_timeout_ms,
        protocols: image.protocols.iter().map(protocol).collect(),
        assignment: Bytes::from(image.assignment.clone()),
        joining: None,
        syncing: None,
        expires_ms: now_ms + image.session_timeout_ms,
    }
}
