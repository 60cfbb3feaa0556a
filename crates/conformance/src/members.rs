//! Membership as the protocol has it, request by request: what librdkafka's groups stand on, and what it never sends.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use crate::Context;
use crate::client::unique;
use crate::groups::{member, settle};
use crate::raw::{Raw, group_id, text};
use crate::wait::until;

/// Metadata of a consumer, version 0: topics, no user data.
pub(crate) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}

/// How one asks to join: what most checks leave as it is.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) group: String,
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) session_ms: i32,
    pub(crate) rebalance_ms: i32,
    pub(crate) kind: &'static str,
    pub(crate) protocols: Vec<(&'static str, Bytes)>,
    pub(crate) version: i16,
}

impl Ask {
    pub(crate) fn to(group: &str) -> Ask {
        Ask {
            group: group.into(),
            member: String::new(),
            instance: None,
            session_ms: 30_000,
            rebalance_ms: 30_000,
            kind: "consumer",
            protocols: vec![("range", subscription(&["topic"]))],
            version: 5,
        }
    }

    pub(crate) fn put(&self, raw: &mut Raw) -> Result<()> {
        let protocols = self.protocols.iter().map(|(name, metadata)| {
            join_group_request::JoinGroupRequestProtocol::default()
                .with_name(text(name))
                .with_metadata(metadata.clone())
        });
        let mut request = JoinGroupRequest::default()
            .with_group_id(group_id(&self.group))
            .with_session_timeout_ms(self.session_ms)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(text(self.kind))
            .with_protocols(protocols.collect());
        if self.version > 0 {
            request.rebalance_timeout_ms = self.rebalance_ms;
        }
        raw.put(ApiKey::JoinGroup, self.version, &request)
    }

    pub(crate) fn get(&self, raw: &mut Raw) -> Result<JoinGroupResponse> {
        raw.get(ApiKey::JoinGroup, self.version)
    }

    pub(crate) fn ask(&self, raw: &mut Raw) -> Result<JoinGroupResponse> {
        self.put(raw)?;
        self.get(raw)
    }

    /// Joins as a client does: where a member ID is required, it comes back with the one it got.
    pub(crate) fn begin(&mut self, raw: &mut Raw) -> Result<()> {
        if self.version >= 4 && self.member.is_empty() && self.instance.is_none() {
            let first = self.ask(raw)?;
            ensure!(first.error_code == E::MemberIdRequired.code(), "{first:?}");
            self.member = first.member_id.to_string();
        }
        self.put(raw)
    }

    pub(crate) fn join(&mut self, raw: &mut Raw) -> Result<JoinGroupResponse> {
        self.begin(raw)?;
        let joined = self.get(raw)?;
        ensure!(joined.error_code == 0, "{joined:?}");
        self.member = joined.member_id.to_string();
        Ok(joined)
    }
}

fn heartbeat(raw: &mut Raw, group: &str, member: &str, generation: i32) -> Result<i16> {
    let request = HeartbeatRequest::default()
        .with_group_id(group_id(group))
        .with_member_id(text(member))
        .with_generation_id(generation);
    Ok(raw.ask::<_, HeartbeatResponse>(ApiKey::Heartbeat, 3, &request)?.error_code)
}

fn sync_request(
    group: &str,
    member: &str,
    generation: i32,
    parts: &[(&str, &'static [u8])],
) -> SyncGroupRequest {
    let parts = parts.iter().map(|(member, assignment)| {
        sync_group_request::SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(Bytes::from_static(assignment))
    });
    SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_member_id(text(member))
        .with_generation_id(generation)
        .with_assignments(parts.collect())
}

fn sync(raw: &mut Raw, request: &SyncGroupRequest) -> Result<SyncGroupResponse> {
    raw.ask(ApiKey::SyncGroup, 3, request)
}

fn leave(raw: &mut Raw, group: &str, members: &[(&str, Option<&str>)]) -> Result<LeaveGroupResponse> {
    let members = members.iter().map(|(member, instance)| {
        leave_group_request::MemberIdentity::default()
            .with_member_id(text(member))
            .with_group_instance_id(instance.map(text))
    });
    let request = LeaveGroupRequest::default().with_group_id(group_id(group)).with_members(members.collect());
    raw.ask(ApiKey::LeaveGroup, 3, &request)
}

/// A stable group of one, which leads it.
fn alone(raw: &mut Raw, ask: &mut Ask) -> Result<i32> {
    let generation = ask.join(raw)?.generation_id;
    let done = sync(raw, &sync_request(&ask.group, &ask.member, generation, &[(&ask.member, b"own")]))?;
    ensure!(done.error_code == 0 && done.assignment.as_ref() == b"own", "{done:?}");
    Ok(generation)
}

pub(crate) fn a_killed_member_is_replaced_after_its_session(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(4)?, unique("group"));
    let survivor = member(context, &group, &[&topic], &[])?;
    settle(&[&survivor], &[4])?;
    let mut raw = context.raw()?;
    let protocols = vec![("range", subscription(&[&topic]))];
    let mut ask = Ask { session_ms: 6_000, protocols, ..Ask::to(&group) };
    let started = Instant::now();
    ask.begin(&mut raw)?;
    settle(&[&survivor], &[2])?; // it leads, and gives the other half to the newcomer
    let joined = ask.get(&mut raw)?;
    ensure!(joined.error_code == 0, "{joined:?}");
    drop(raw); // no word of farewell, as after kill -9
    settle(&[&survivor], &[4])?;
    let took = started.elapsed();
    ensure!(took > Duration::from_millis(5_500), "replaced after {took:?}, before its session had ended");
    Ok(())
}

pub(crate) fn impossible_joins_are_refused(context: &Context) -> Result<()> {
    let mut raw = context.raw()?;
    let ask = || Ask { version: 3, ..Ask::to(&unique("group")) };
    let table = [
        ("no group", Ask { group: String::new(), ..ask() }, E::InvalidGroupId),
        ("a session too short", Ask { session_ms: 5_999, ..ask() }, E::InvalidSessionTimeout),
        ("a session too long", Ask { session_ms: 1_800_001, ..ask() }, E::InvalidSessionTimeout),
        ("no protocol", Ask { protocols: Vec::new(), ..ask() }, E::InconsistentGroupProtocol),
        ("no protocol type", Ask { kind: "", ..ask() }, E::InconsistentGroupProtocol),
        ("a member that nobody knows", Ask { member: "somebody".into(), ..ask() }, E::UnknownMemberId),
    ];
    for (name, ask, expected) in table {
        let answer = ask.ask(&mut raw)?;
        ensure!(answer.error_code == expected.code(), "{name}: {}, expected {expected:?}", answer.error_code);
    }
    Ok(())
}

pub(crate) fn a_new_member_comes_back_with_its_id_since_version_4(context: &Context) -> Result<()> {
    for version in [0, 3, 4, 5] {
        let mut raw = context.raw()?;
        let mut ask = Ask { version, ..Ask::to(&unique("group")) };
        let first = ask.ask(&mut raw)?;
        if version < 4 {
            ensure!(first.error_code == 0 && first.generation_id == 1, "v{version}: {first:?}");
            continue;
        }
        ensure!(first.error_code == E::MemberIdRequired.code(), "v{version}: {first:?}");
        ensure!(!first.member_id.is_empty(), "v{version}: without an ID");
        ask.member = first.member_id.to_string();
        let second = ask.ask(&mut raw)?;
        ensure!(second.error_code == 0 && second.member_id == first.member_id, "v{version}: {second:?}");
        ensure!(second.leader == second.member_id && second.members.len() == 1, "v{version}: {second:?}");
    }
    Ok(())
}

pub(crate) fn members_have_to_share_a_protocol(context: &Context) -> Result<()> {
    let group = unique("group");
    let mut raw = context.raw()?;
    alone(&mut raw, &mut Ask::to(&group))?;
    let mut second = context.raw()?;
    let base = Ask { version: 3, ..Ask::to(&group) };
    let other = Ask { protocols: vec![("sticky", Bytes::new())], ..base.clone() };
    for ask in [other, Ask { kind: "connect", ..base }] {
        let answer = ask.ask(&mut second)?;
        ensure!(answer.error_code == E::InconsistentGroupProtocol.code(), "{answer:?}");
    }
    Ok(())
}

pub(crate) fn the_protocol_that_all_support_is_chosen(context: &Context) -> Result<()> {
    let group = unique("group");
    let (mut one, mut two) = (context.raw()?, context.raw()?);
    let of = |names: &[&'static str]| names.iter().map(|n| (*n, Bytes::from_static(b"m"))).collect();
    let mut first = Ask { protocols: of(&["mine", "both"]), ..Ask::to(&group) };
    alone(&mut one, &mut first)?;
    let mut second = Ask { protocols: of(&["yours", "both"]), ..Ask::to(&group) };
    second.begin(&mut two)?;
    let again = first.join(&mut one)?;
    let joined = second.get(&mut two)?;
    for answer in [&again, &joined] {
        let name = answer.protocol_name.as_deref();
        ensure!(name == Some("both") && answer.generation_id == 2, "{answer:?}");
    }
    ensure!(again.members.len() + joined.members.len() == 2, "the members are for the leader alone");
    Ok(())
}

pub(crate) fn heartbeats_tell_a_member_where_it_stands(context: &Context) -> Result<()> {
    let group = unique("group");
    let (mut raw, mut second) = (context.raw()?, context.raw()?);
    let mut ask = Ask::to(&group);
    let generation = alone(&mut raw, &mut ask)?;
    let own = ask.member.clone();
    ensure!(heartbeat(&mut raw, &group, &own, generation)? == 0, "the member");
    let stale = heartbeat(&mut raw, &group, &own, generation - 1)?;
    ensure!(stale == E::IllegalGeneration.code(), "an older generation: {stale}");
    let nobody = heartbeat(&mut raw, &group, "nobody", generation)?;
    ensure!(nobody == E::UnknownMemberId.code(), "somebody else: {nobody}");
    let nowhere = heartbeat(&mut raw, &unique("group"), &own, generation)?;
    ensure!(nowhere == E::UnknownMemberId.code(), "another group: {nowhere}");
    let mut newcomer = Ask::to(&group);
    newcomer.begin(&mut second)?;
    until("word of the rebalance", || {
        let code = heartbeat(&mut raw, &group, &own, generation)?;
        ensure!(code == 0 || code == E::RebalanceInProgress.code(), "{code}");
        Ok((code != 0).then_some(()))
    })?;
    ask.join(&mut raw)?;
    newcomer.get(&mut second)?;
    Ok(())
}

pub(crate) fn syncs_are_held_against_the_generation(context: &Context) -> Result<()> {
    let group = unique("group");
    let mut raw = context.raw()?;
    let mut ask = Ask::to(&group);
    let generation = ask.join(&mut raw)?.generation_id;
    let own = ask.member.clone();
    let table = [
        ("older generation", sync_request(&group, &own, generation - 1, &[]), E::IllegalGeneration),
        ("another member", sync_request(&group, "nobody", generation, &[]), E::UnknownMemberId),
        ("another group", sync_request(&unique("group"), &own, generation, &[]), E::UnknownMemberId),
    ];
    for (name, request, expected) in table {
        let answer = sync(&mut raw, &request)?;
        ensure!(answer.error_code == expected.code(), "{name}: {}", answer.error_code);
    }
    let named = |kind: &str, name: &str| {
        sync_request(&group, &own, generation, &[(&own, b"x")])
            .with_protocol_type(Some(text(kind)))
            .with_protocol_name(Some(text(name)))
    };
    for request in [named("connect", "range"), named("consumer", "sticky")] {
        let answer: SyncGroupResponse = raw.ask(ApiKey::SyncGroup, 5, &request)?;
        ensure!(answer.error_code == E::InconsistentGroupProtocol.code(), "{answer:?}");
    }
    let answer: SyncGroupResponse = raw.ask(ApiKey::SyncGroup, 5, &named("consumer", "range"))?;
    ensure!(answer.error_code == 0 && answer.assignment.as_ref() == b"x", "{answer:?}");
    ensure!(answer.protocol_name.as_deref() == Some("range"), "{answer:?}");
    // Whoever lost the answer asks again, and gets the same.
    let again = sync(&mut raw, &sync_request(&group, &own, generation, &[]))?;
    ensure!(again.assignment.as_ref() == b"x", "{again:?}");
    Ok(())
}

pub(crate) fn a_repeated_join_of_a_follower_disturbs_nobody(context: &Context) -> Result<()> {
    let group = unique("group");
    let (mut one, mut two) = (context.raw()?, context.raw()?);
    let mut asks = [Ask::to(&group), Ask::to(&group)];
    alone(&mut one, &mut asks[0])?;
    asks[1].begin(&mut two)?;
    let first = asks[0].join(&mut one)?;
    let second = asks[1].get(&mut two)?;
    let generation = first.generation_id;
    let (leads, leader, follower) =
        if first.leader == first.member_id { (0, &first, &second) } else { (1, &second, &first) };
    let (leading, following) = if leads == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
    let parts = [(leader.member_id.as_str(), &b"l"[..]), (follower.member_id.as_str(), &b"f"[..])];
    let done = sync(leading, &sync_request(&group, &leader.member_id, generation, &parts))?;
    ensure!(done.assignment.as_ref() == b"l", "{done:?}");
    let done = sync(following, &sync_request(&group, &follower.member_id, generation, &[]))?;
    ensure!(done.assignment.as_ref() == b"f", "{done:?}");
    let again = asks[1 - leads].join(following)?;
    ensure!(again.generation_id == generation, "{again:?}");
    ensure!(heartbeat(leading, &group, &leader.member_id, generation)? == 0, "the leader was disturbed");
    Ok(())
}

pub(crate) fn who_does_not_join_again_is_out_after_the_rebalance_time_out(context: &Context) -> Result<()> {
    let group = unique("group");
    let (mut one, mut two) = (context.raw()?, context.raw()?);
    let mut slow = Ask { rebalance_ms: 1_500, ..Ask::to(&group) };
    let generation = alone(&mut one, &mut slow)?;
    let mut newcomer = Ask { rebalance_ms: 1_500, ..Ask::to(&group) };
    newcomer.begin(&mut two)?;
    let joined = newcomer.get(&mut two)?;
    ensure!(joined.error_code == 0 && joined.generation_id == generation + 1, "{joined:?}");
    ensure!(joined.members.len() == 1, "the one that did not come is still there: {joined:?}");
    let code = heartbeat(&mut one, &group, &slow.member, generation)?;
    ensure!(code == E::UnknownMemberId.code(), "{code}");
    Ok(())
}

pub(crate) fn a_leader_that_never_assigns_is_replaced(context: &Context) -> Result<()> {
    let group = unique("group");
    let (mut one, mut two) = (context.raw()?, context.raw()?);
    // Time enough for both to come, on any machine.
    let mut asks = [5_000, 5_000].map(|rebalance_ms| Ask { rebalance_ms, ..Ask::to(&group) });
    alone(&mut one, &mut asks[0])?;
    asks[1].begin(&mut two)?;
    let first = asks[0].join(&mut one)?;
    let second = asks[1].get(&mut two)?;
    let leads = usize::from(first.leader != first.member_id);
    let follower = if leads == 0 { &second } else { &first };
    let following = if leads == 0 { &mut two } else { &mut one };
    // The follower waits for an assignment that never comes.
    let waited = sync(following, &sync_request(&group, &follower.member_id, follower.generation_id, &[]))?;
    ensure!(waited.error_code == E::RebalanceInProgress.code(), "{waited:?}");
    let again = asks[1 - leads].join(following)?;
    ensure!(again.leader == again.member_id && again.members.len() == 1, "{again:?}");
    Ok(())
}

pub(crate) fn several_members_leave_at_once(context: &Context) -> Result<()> {
    let group = unique("group");
    let mut raw = context.raw()?;
    let mut ask = Ask { instance: Some("one".into()), ..Ask::to(&group) };
    alone(&mut raw, &mut ask)?;
    let member = ask.member.clone();
    let wrong = [("nobody", None), ("", Some("other")), ("nobody", Some("one"))];
    let answer = leave(&mut raw, &group, &wrong)?;
    let codes: Vec<i16> = answer.members.iter().map(|m| m.error_code).collect();
    let expected = [E::UnknownMemberId, E::UnknownMemberId, E::FencedInstanceId].map(|e| e.code());
    ensure!(answer.error_code == 0 && codes == expected, "{answer:?}");
    let answer = leave(&mut raw, &group, &[("", Some("one")), (&member, Some("one"))])?;
    let codes: Vec<i16> = answer.members.iter().map(|m| m.error_code).collect();
    ensure!(codes == [0, E::UnknownMemberId.code()], "an instance leaves by its name: {answer:?}");
    let code = heartbeat(&mut raw, &group, &member, 1)?;
    ensure!(code == E::UnknownMemberId.code(), "{code}");
    Ok(())
}

pub(crate) fn a_replaced_instance_is_told_so(context: &Context) -> Result<()> {
    let group = unique("group");
    let (mut one, mut two) = (context.raw()?, context.raw()?);
    let named = || Ask { instance: Some("one".into()), ..Ask::to(&group) };
    let (mut old, mut new) = (named(), named());
    let generation = alone(&mut one, &mut old)?;
    let joined = new.join(&mut two)?;
    ensure!(joined.generation_id == generation && joined.member_id.as_str() != old.member, "{joined:?}");
    let as_instance = |member: &str| {
        HeartbeatRequest::default()
            .with_group_id(group_id(&group))
            .with_member_id(text(member))
            .with_group_instance_id(Some(StrBytes::from_static_str("one")))
            .with_generation_id(generation)
    };
    let answer: HeartbeatResponse = one.ask(ApiKey::Heartbeat, 3, &as_instance(&old.member))?;
    ensure!(answer.error_code == E::FencedInstanceId.code(), "{answer:?}");
    let kept = sync(&mut two, &sync_request(&group, &new.member, generation, &[]))?;
    ensure!(kept.error_code == 0 && kept.assignment.as_ref() == b"own", "{kept:?}");
    let answer: HeartbeatResponse = two.ask(ApiKey::Heartbeat, 3, &as_instance(&new.member))?;
    ensure!(answer.error_code == 0, "{answer:?}");
    Ok(())
}

pub(crate) fn groups_are_listed_by_state(context: &Context) -> Result<()> {
    let (stable, empty) = (unique("group"), unique("group"));
    let mut raw = context.raw()?;
    alone(&mut raw, &mut Ask::to(&stable))?;
    let mut gone = Ask::to(&empty);
    alone(&mut raw, &mut gone)?;
    let topic = context.topic(1)?;
    // An empty group stays listed for as long as it has offsets.
    let reader = context.reader(&empty, &[])?;
    leave(&mut raw, &empty, &[(&gone.member, None)])?;
    use rdkafka::consumer::Consumer;
    let list = crate::client::at(&topic, 0, rdkafka::Offset::Offset(1))?;
    reader.commit(&list, rdkafka::consumer::CommitMode::Sync)?;
    let mut names = |states: &[&str]| -> Result<Vec<(String, String)>> {
        let request =
            ListGroupsRequest::default().with_states_filter(states.iter().map(|s| text(s)).collect());
        let answer: ListGroupsResponse = raw.ask(ApiKey::ListGroups, 4, &request)?;
        ensure!(answer.error_code == 0, "{answer:?}");
        let own = answer.groups.iter().filter(|g| *g.group_id.0 == *stable || *g.group_id.0 == *empty);
        Ok(own.map(|g| (g.group_id.to_string(), g.group_state.to_string())).collect())
    };
    let (is_stable, is_empty) =
        ((stable.clone(), "Stable".to_string()), (empty.clone(), "Empty".to_string()));
    let all = names(&[])?;
    ensure!(all.contains(&is_stable) && all.contains(&is_empty), "{all:?}");
    ensure!(names(&["Stable"])? == [is_stable.clone()], "stable ones");
    ensure!(names(&["empty"])? == [is_empty], "states are known in any spelling");
    ensure!(names(&["Dead", "NoSuchState"])?.is_empty(), "of no state");
    Ok(())
}

pub(crate) fn an_unknown_group_is_described_as_dead(context: &Context) -> Result<()> {
    let mut raw = context.raw()?;
    let unknown = unique("group");
    let request = DescribeGroupsRequest::default().with_groups(vec![group_id(&unknown)]);
    for version in [0, 4, 5] {
        let answer: DescribeGroupsResponse = raw.ask(ApiKey::DescribeGroups, version, &request)?;
        let found = answer.groups.first().context("no answer")?;
        ensure!(found.error_code == 0 && found.group_state.as_str() == "Dead", "v{version}: {found:?}");
    }
    let answer: DescribeGroupsResponse = raw.ask(ApiKey::DescribeGroups, 6, &request)?;
    let found = answer.groups.first().context("no answer")?;
    ensure!(found.error_code == E::GroupIdNotFound.code(), "v6: {found:?}");
    Ok(())
}
