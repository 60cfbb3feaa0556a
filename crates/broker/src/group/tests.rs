//! The group machine, driven by hand.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::{Caller, Group, JoinRequest, Reply, Status};

const SESSION_MS: i64 = 10_000;
const REBALANCE_MS: i64 = 60_000;

fn request(member: &str, instance: Option<&str>) -> JoinRequest {
    JoinRequest {
        member_id: String::new(),
        instance_id: instance.map(Into::into),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"m"))],
        needs_member_id: false,
        fresh_id: member.into(),
    }
}

fn again(member: &str) -> JoinRequest {
    JoinRequest { member_id: member.into(), ..request("unused", None) }
}

fn caller(member: &str, generation: i32) -> Caller {
    Caller { member_id: member.into(), instance_id: None, generation }
}

struct Run {
    group: Group,
    out: Vec<Reply>,
}

impl Run {
    fn new() -> Self {
        Run { group: Group::new(0), out: Vec::new() }
    }

    fn join(&mut self, now: i64, request: JoinRequest, token: u64) -> Vec<Reply> {
        self.group.join(now, request, token, &mut self.out);
        std::mem::take(&mut self.out)
    }

    fn sync(&mut self, now: i64, member: &str, generation: i32, assign: &[&str], token: u64) -> Vec<Reply> {
        let parts: BTreeMap<_, _> =
            assign.iter().map(|m| (m.to_string(), Bytes::from(m.to_string()))).collect();
        self.group.sync(now, &caller(member, generation), (None, None), parts, (token, &mut self.out));
        std::mem::take(&mut self.out)
    }

    fn tick(&mut self, now: i64) -> Vec<Reply> {
        self.group.tick(now, &mut self.out);
        std::mem::take(&mut self.out)
    }

    /// A stable group of one dynamic member `a`, generation 1.
    fn with_one() -> Self {
        let mut run = Run::new();
        run.join(0, request("a", None), 1);
        run.sync(0, "a", 1, &["a"], 2);
        assert_eq!(run.group.status, Status::Stable);
        run
    }

    /// A stable group of `a` (leader) and `b`, generation 2.
    fn with_two() -> Self {
        let mut run = Run::with_one();
        run.join(0, request("b", None), 3);
        run.join(0, again("a"), 4);
        run.sync(0, "b", 2, &[], 5);
        run.sync(0, "a", 2, &["a", "b"], 6);
        assert_eq!(run.group.status, Status::Stable);
        run
    }
}

type Answer<T> = (u64, Result<T, ResponseError>);

fn joins(replies: &[Reply]) -> Vec<Answer<(i32, String)>> {
    let pick = |reply: &Reply| match reply {
        Reply::Join(token, Ok(joined)) => Some((*token, Ok((joined.generation, joined.leader.clone())))),
        Reply::Join(token, Err(refused)) => Some((*token, Err(refused.error))),
        _ => None,
    };
    replies.iter().filter_map(pick).collect()
}

fn syncs(replies: &[Reply]) -> Vec<Answer<Vec<u8>>> {
    let pick = |reply: &Reply| match reply {
        Reply::Sync(token, result) => Some((*token, result.clone().map(|s| s.assignment.to_vec()))),
        _ => None,
    };
    replies.iter().filter_map(pick).collect()
}

#[test]
fn the_first_member_leads_a_group_of_one() {
    let mut run = Run::new();
    assert_eq!(joins(&run.join(0, request("a", None), 1)), [(1, Ok((1, "a".into())))]);
    let replies = run.sync(0, "a", 1, &["a"], 2);
    assert_eq!(syncs(&replies), [(2, Ok(b"a".to_vec()))]);
    assert!(replies.contains(&Reply::Store));
}

#[test]
fn a_second_member_waits_until_the_first_has_joined_again() {
    let mut run = Run::with_one();
    assert_eq!(run.join(10, request("b", None), 3), []);
    assert_eq!(run.group.heartbeat(20, &caller("a", 1)), Err(ResponseError::RebalanceInProgress));
    let replies = joins(&run.join(30, again("a"), 4));
    assert_eq!(replies.len(), 2);
    assert!(replies.contains(&(4, Ok((2, "a".into())))) && replies.contains(&(3, Ok((2, "a".into())))));
    assert_eq!(run.sync(40, "b", 2, &[], 5), [], "the follower waits for the leader");
    let replies = syncs(&run.sync(50, "a", 2, &["a", "b"], 6));
    assert_eq!(replies, [(6, Ok(b"a".to_vec())), (5, Ok(b"b".to_vec()))]);
}

#[test]
fn a_new_dynamic_member_has_to_come_back_with_its_id() {
    let mut run = Run::new();
    let first = JoinRequest { needs_member_id: true, ..request("a", None) };
    let replies = run.join(0, first, 1);
    assert!(
        matches!(&replies[..], [Reply::Join(1, Err(r))] if r.error == ResponseError::MemberIdRequired && r.member_id == "a")
    );
    let second = JoinRequest { member_id: "a".into(), needs_member_id: true, ..request("other", None) };
    assert_eq!(joins(&run.join(1, second, 2)), [(2, Ok((1, "a".into())))]);
}

#[test]
fn a_promised_id_that_never_comes_back_does_not_hold_the_group() {
    let mut run = Run::with_one();
    run.join(0, JoinRequest { needs_member_id: true, ..request("b", None) }, 3);
    run.join(1, request("c", None), 4);
    assert_eq!(run.join(2, again("a"), 5), [], "b may still come");
    run.group.touch(SESSION_MS, "c");
    assert_eq!(joins(&run.tick(SESSION_MS)).len(), 2);
}

#[test]
fn a_silent_member_loses_its_place_after_its_session() {
    let mut run = Run::with_two();
    run.group.heartbeat(SESSION_MS - 1, &caller("a", 2)).unwrap();
    assert_eq!(run.tick(SESSION_MS - 1), []);
    run.tick(SESSION_MS);
    assert_eq!(run.group.status, Status::Preparing);
    assert_eq!(joins(&run.join(SESSION_MS + 1, again("a"), 7)), [(7, Ok((3, "a".into())))]);
}

#[test]
fn who_does_not_join_again_is_out_when_the_rebalance_times_out() {
    let mut run = Run::with_two();
    run.join(1, request("c", None), 7);
    run.join(2, again("a"), 8);
    for at in (1_000..REBALANCE_MS).step_by(5_000) {
        assert_eq!(run.group.heartbeat(at, &caller("b", 2)), Err(ResponseError::RebalanceInProgress));
        assert_eq!(run.tick(at), []);
    }
    let replies = joins(&run.tick(REBALANCE_MS + 1));
    assert_eq!(replies.len(), 2);
    assert_eq!(run.group.heartbeat(REBALANCE_MS + 2, &caller("b", 2)), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_leader_that_does_not_assign_is_out_when_the_rebalance_times_out() {
    let mut run = Run::new();
    run.join(0, request("a", None), 1);
    run.group.heartbeat(REBALANCE_MS - 1, &caller("a", 1)).unwrap();
    run.tick(REBALANCE_MS);
    assert_eq!((run.group.status, run.group.members.len()), (Status::Empty, 0));
}

#[test]
fn a_member_that_leaves_makes_the_others_share() {
    let mut run = Run::with_two();
    run.group.leave(1, "a", None, &mut Vec::new()).unwrap();
    assert_eq!(joins(&run.join(2, again("b"), 7)), [(7, Ok((3, "b".into())))]);
    run.sync(2, "b", 3, &["b"], 8);
    run.group.leave(3, "b", None, &mut Vec::new()).unwrap();
    assert_eq!((run.group.status, run.group.generation), (Status::Empty, 4));
    assert_eq!(run.group.leave(4, "b", None, &mut Vec::new()), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_restarted_static_member_keeps_its_assignment_and_fences_the_one_before() {
    let mut run = Run::new();
    run.join(0, request("a", Some("i")), 1);
    run.sync(0, "a", 1, &["a"], 2);
    let replies = run.join(1, request("b", Some("i")), 3);
    assert_eq!(joins(&replies), [(3, Ok((1, "a".into())))], "same generation, and not asked to assign");
    assert!(replies.contains(&Reply::Store));
    let as_instance = |id: &str| Caller { instance_id: Some("i".into()), ..caller(id, 1) };
    assert_eq!(run.group.heartbeat(2, &as_instance("a")), Err(ResponseError::FencedInstanceId));
    assert_eq!(run.group.heartbeat(2, &as_instance("b")), Ok(()));
    assert_eq!(syncs(&run.sync(2, "b", 1, &[], 4)), [(4, Ok(b"a".to_vec()))], "the assignment stays");
}

#[test]
fn a_static_member_that_is_down_keeps_its_place_until_its_session_ends() {
    let mut run = Run::new();
    run.join(0, request("a", Some("i")), 1);
    run.sync(0, "a", 1, &["a"], 2);
    assert_eq!(run.tick(SESSION_MS - 1), []);
    run.tick(SESSION_MS);
    assert_eq!(run.group.status, Status::Empty);
}

#[test]
fn a_waiting_join_of_a_replaced_instance_is_fenced() {
    let mut run = Run::with_one();
    run.join(0, request("s1", Some("i")), 3);
    let replies = joins(&run.join(1, request("s2", Some("i")), 4));
    assert_eq!(replies, [(3, Err(ResponseError::FencedInstanceId))]);
}

#[test]
fn members_must_share_a_protocol() {
    let mut run = Run::with_one();
    let other = JoinRequest { protocols: vec![("sticky".into(), Bytes::new())], ..request("b", None) };
    assert_eq!(joins(&run.join(0, other, 3)), [(3, Err(ResponseError::InconsistentGroupProtocol))]);
    let both = vec![("sticky".into(), Bytes::new()), ("range".into(), Bytes::new())];
    run.join(0, JoinRequest { protocols: both, ..request("b", None) }, 4);
    run.join(0, again("a"), 5);
    assert_eq!(run.group.protocol.as_deref(), Some("range"));
}

#[test]
fn a_repeated_join_without_news_disturbs_nobody() {
    let mut run = Run::with_two();
    assert_eq!(joins(&run.join(1, again("b"), 7)), [(7, Ok((2, "a".into())))]);
    assert_eq!(run.group.status, Status::Stable);
    assert_eq!(run.join(2, again("a"), 8), [], "but the leader may want to assign anew");
    assert_eq!(run.group.status, Status::Preparing);
}

#[test]
fn offset_commits_are_fenced_by_the_table() {
    use ResponseError::{FencedInstanceId, IllegalGeneration, RebalanceInProgress, UnknownMemberId};
    let stable = Run::with_one().group;
    let empty = Group::new(0);
    let mut statics = Run::new();
    statics.join(0, request("s", Some("i")), 1);
    let completing = Run { group: statics.group, out: vec![] };
    let of = |member: &str, instance: Option<&str>, generation| Caller {
        member_id: member.into(),
        instance_id: instance.map(Into::into),
        generation,
    };
    // group, caller, answer to a transactional commit, answer to a plain one
    let table = [
        ("nobody, group with members", &stable, of("", None, -1), Ok(()), Err(UnknownMemberId)),
        ("nobody, empty group", &empty, of("", None, -1), Ok(()), Ok(())),
        ("unknown instance", &stable, of("", Some("x"), -1), Err(UnknownMemberId), Err(UnknownMemberId)),
        ("the member", &stable, of("a", None, 1), Ok(()), Ok(())),
        ("stale generation", &stable, of("a", None, 0), Err(IllegalGeneration), Err(IllegalGeneration)),
        ("gone member", &stable, of("z", None, 1), Err(UnknownMemberId), Err(UnknownMemberId)),
        (
            "generation of an empty group",
            &empty,
            of("a", None, 1),
            Err(UnknownMemberId),
            Err(UnknownMemberId),
        ),
        (
            "replaced instance",
            &completing.group,
            of("old", Some("i"), 1),
            Err(FencedInstanceId),
            Err(FencedInstanceId),
        ),
        ("before the assignment", &completing.group, of("s", Some("i"), 1), Ok(()), Err(RebalanceInProgress)),
    ];
    for (name, group, caller, transactional, plain) in table {
        assert_eq!(group.validate_offset_commit(&caller, true), transactional, "transactional: {name}");
        assert_eq!(group.validate_offset_commit(&caller, false), plain, "plain: {name}");
    }
}

#[test]
fn a_restored_group_goes_on() {
    let run = Run::with_two();
    let mut group = Group::restore(&run.group.image(), 1_000, 0);
    assert_eq!(group.image(), run.group.image());
    assert_eq!(group.heartbeat(1_001, &caller("b", 2)), Ok(()));
    assert_eq!(group.next_deadline(), Some(1_000 + SESSION_MS));
}
