//! ListGroups, DescribeGroups and DeleteGroups.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Context, NO_OPERATIONS, code, text};
use crate::group::Group;

/// The type of every group here, since there are no others.
const CLASSIC: &str = "Classic";

pub(crate) fn list(context: &Context<'_>, request: &ListGroupsRequest) -> ListGroupsResponse {
    let fits = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let wanted = |state| fits(&request.states_filter, state) && fits(&request.types_filter, CLASSIC);
    let groups = context.with(|core| {
        let listed =
            core.tables.groups.iter().filter(|(_, g)| wanted(g.members.status.name())).map(|(name, g)| {
                ListedGroup::default()
                    .with_group_id(GroupId(text(name.clone())))
                    .with_protocol_type(text(g.members.protocol_type.clone().unwrap_or_default()))
                    .with_group_state(text(g.members.status.name()))
                    .with_group_type(text(CLASSIC))
            });
        listed.collect()
    });
    ListGroupsResponse::default().with_groups(groups)
}

pub(crate) fn describe(context: &Context<'_>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = context.with(|core| {
        let described = request.groups.into_iter().map(|id| {
            let known = core.tables.groups.get(id.as_str()).map(|g| described(context.version, &g.members));
            known
                .unwrap_or_else(|| unknown(context.version, &id))
                .with_group_id(id)
                .with_authorized_operations(NO_OPERATIONS)
        });
        described.collect()
    });
    DescribeGroupsResponse::default().with_groups(groups)
}

/// An unknown group is no error before version 6: it is dead.
fn unknown(version: i16, id: &str) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(text("Dead"));
    if version < 6 {
        return dead;
    }
    dead.with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(text(format!("Group {id} not found."))))
}

fn described(version: i16, group: &Group) -> DescribedGroup {
    let protocol = group.protocol.clone().unwrap_or_default();
    let members = group.members.iter().map(|(id, member)| {
        DescribedGroupMember::default()
            .with_member_id(text(id.clone()))
            .with_group_instance_id(member.instance_id.clone().filter(|_| version >= 4).map(text))
            .with_client_id(text(member.client_id.clone()))
            .with_client_host(text(member.client_host.clone()))
            .with_member_metadata(member.metadata(&protocol))
            .with_member_assignment(member.assignment.clone())
    });
    DescribedGroup::default()
        .with_group_state(text(group.status.name()))
        .with_protocol_type(text(group.protocol_type.clone().unwrap_or_default()))
        .with_members(members.collect())
        .with_protocol_data(text(protocol))
}

pub(crate) fn delete(context: &Context<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = context.with(|core| {
        let results = request.groups_names.into_iter().map(|id| {
            let result = core.delete_group(id.as_str());
            DeletableGroupResult::default().with_error_code(code(&result)).with_group_id(id)
        });
        results.collect()
    });
    DeleteGroupsResponse::default().with_results(results)
}
