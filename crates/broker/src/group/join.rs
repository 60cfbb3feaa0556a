//! JoinGroup: who becomes a member, who comes back, who takes over a static member's place.

use kafka_protocol::error::ResponseError;

use super::{Group, JoinRequest, Joined, Member, Refused, Reply, Status, Token};

impl Group {
    /// Handles a join; its answer comes now or by a later call.
    pub(crate) fn join(&mut self, now_ms: i64, request: JoinRequest, token: Token, out: &mut Vec<Reply>) {
        let result = if !self.supports(&request) {
            Err(ResponseError::InconsistentGroupProtocol)
        } else if request.member_id.is_empty() {
            return self.join_unknown(now_ms, request, token, out);
        } else {
            self.join_known(now_ms, &request, token, out)
        };
        if let Err(error) = result {
            out.push(Reply::Join(token, Err(Refused { error, member_id: request.member_id })));
        }
    }

    /// Whether the request shares a protocol with all members.
    fn supports(&self, request: &JoinRequest) -> bool {
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        self.protocol_type.as_deref() == Some(&request.protocol_type)
            && request.protocols.iter().any(|(name, _)| self.all_support(name))
    }

    pub(super) fn all_support(&self, protocol: &str) -> bool {
        self.members.values().all(|m| m.protocols.iter().any(|(name, _)| name == protocol))
    }

    fn join_unknown(&mut self, now_ms: i64, request: JoinRequest, token: Token, out: &mut Vec<Reply>) {
        let fresh_id = request.fresh_id.clone();
        match request.instance_id.as_ref().and_then(|i| self.instances.get(i)).cloned() {
            Some(old_id) => self.replace(now_ms, &old_id, request, token, out),
            None if request.instance_id.is_none() && request.needs_member_id => {
                self.promised.insert(fresh_id.clone(), now_ms + request.session_timeout_ms);
                let refused = Refused { error: ResponseError::MemberIdRequired, member_id: fresh_id };
                out.push(Reply::Join(token, Err(refused)));
            }
            None => self.add(now_ms, fresh_id, &request, token, out),
        }
    }

    fn join_known(
        &mut self,
        now_ms: i64,
        request: &JoinRequest,
        token: Token,
        out: &mut Vec<Reply>,
    ) -> Result<(), ResponseError> {
        let id = &request.member_id;
        if self.promised.remove(id).is_some() {
            self.add(now_ms, id.clone(), request, token, out);
            return Ok(());
        }
        self.validate_member(id, request.instance_id.as_deref())?;
        let changed = self.members.get(id).is_some_and(|m| m.protocols != request.protocols);
        let leads = self.leader.as_deref() == Some(id);
        match self.status {
            Status::Empty => return Err(ResponseError::UnknownMemberId),
            Status::Completing if !changed => self.repeat_join(now_ms, id, token, out),
            Status::Stable if !changed && !leads => self.repeat_join(now_ms, id, token, out),
            Status::Preparing | Status::Completing | Status::Stable => {
                self.update(now_ms, id, request, token, out);
                self.rebalance(now_ms, out);
            }
        }
        Ok(())
    }

    /// The answer to a join was lost, or a member asks again: it gets the running generation.
    fn repeat_join(&mut self, now_ms: i64, id: &str, token: Token, out: &mut Vec<Reply>) {
        self.touch(now_ms, id);
        out.push(Reply::Join(token, Ok(self.joined(id))));
    }

    fn update(&mut self, now_ms: i64, id: &str, request: &JoinRequest, token: Token, out: &mut Vec<Reply>) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.protocols.clone_from(&request.protocols);
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.client_id.clone_from(&request.client_id);
        member.client_host.clone_from(&request.client_host);
        member.expires_ms = now_ms + request.session_timeout_ms;
        let before = member.joining.replace(token);
        answer_superseded(before, id, ResponseError::RebalanceInProgress, out);
    }

    fn add(&mut self, now_ms: i64, id: String, request: &JoinRequest, token: Token, out: &mut Vec<Reply>) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
            self.protocol = None;
        }
        self.leader.get_or_insert_with(|| id.clone());
        if let Some(instance) = &request.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, member(now_ms, request, token));
        self.rebalance(now_ms, out);
    }

    /// A static member starts again: it takes over the place, and the one before is fenced.
    fn replace(
        &mut self,
        now_ms: i64,
        old_id: &str,
        request: JoinRequest,
        token: Token,
        out: &mut Vec<Reply>,
    ) {
        let id = request.fresh_id.clone();
        let Some(old) = self.members.remove(old_id) else {
            return self.add(now_ms, id, &request, token, out);
        };
        answer_superseded(old.joining, old_id, ResponseError::FencedInstanceId, out);
        if let Some(sync) = old.syncing {
            out.push(Reply::Sync(sync, Err(ResponseError::FencedInstanceId)));
        }
        if let Some(instance) = &request.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        let led = self.leader.as_deref() == Some(old_id);
        if led {
            self.leader = Some(id.clone());
        }
        let unchanged = old.protocols == request.protocols;
        let assignment = old.assignment;
        self.members.insert(id.clone(), Member { assignment, ..member(now_ms, &request, token) });
        if self.status == Status::Stable && unchanged {
            let mut joined = self.joined(&id);
            // The one who takes over must not assign anew: it is shown the leader before, and no members.
            if led {
                joined.leader = old_id.to_string();
                joined.members.clear();
            }
            self.answer_join(now_ms, &id, Ok(joined), out);
            out.push(Reply::Store);
        } else {
            self.rebalance(now_ms, out);
        }
    }

    pub(super) fn joined(&self, id: &str) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let leader = self.leader.clone().unwrap_or_default();
        let everyone =
            self.members.iter().map(|(id, m)| (id.clone(), m.instance_id.clone(), m.metadata(&protocol)));
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: if leader == id { everyone.collect() } else { Vec::new() },
            protocol,
            leader,
            member_id: id.to_string(),
        }
    }

    pub(super) fn answer_join(
        &mut self,
        now_ms: i64,
        id: &str,
        answer: Result<Joined, Refused>,
        out: &mut Vec<Reply>,
    ) {
        self.touch(now_ms, id);
        if let Some(token) = self.members.get_mut(id).and_then(|m| m.joining.take()) {
            out.push(Reply::Join(token, answer));
        }
    }
}

fn member(now_ms: i64, request: &JoinRequest, token: Token) -> Member {
    Member {
        instance_id: request.instance_id.clone(),
        client_id: request.client_id.clone(),
        client_host: request.client_host.clone(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocols: request.protocols.clone(),
        assignment: bytes::Bytes::new(),
        joining: Some(token),
        syncing: None,
        expires_ms: now_ms + request.session_timeout_ms,
    }
}

fn answer_superseded(token: Option<Token>, id: &str, error: ResponseError, out: &mut Vec<Reply>) {
    if let Some(token) = token {
        out.push(Reply::Join(token, Err(Refused { error, member_id: id.to_string() })));
    }
}
