//! What every Kafka-protocol broker under Quadrille must do, checked over the wire with a real client (librdkafka), and with
//! requests by hand where it does not offer them or would never send them. [`CHECKS`] lists them all.
//!
//! The same checks run against the embedded broker and against Apache Kafka, so the embedded one never judges itself. A check
//! makes topics, groups and transactional IDs of its own, waits for conditions with deadlines, and fails when the broker
//! behaves otherwise. Checks may run side by side.
//!
//! Apache Kafka is the judge. Where 4.3 does otherwise than a check says, [`Check::apache_kafka`] says how and why the check
//! stands all the same; the runner expects the check to fail there, so that a difference which goes away is noticed.
//! At present there is none: every check passes on both.
//!
//! The broker under test needs: no topic creation on the side, a smallest session time-out of 6 s, an initial rebalance delay
//! of 0, requests of 100 MiB at most, and expired transactions and offsets, retention and compaction looked for at least once a
//! second. What needs a broker that is killed and started again is no check of this crate: see `round_trip` in `tests/it`.

mod admin;
mod batches;
mod client;
mod compaction;
mod ends;
mod fencing;
mod fetch;
mod forget;
mod groups;
mod inspect;
mod lookups;
mod members;
mod offsets;
mod produce;
mod protocol;
mod raw;
mod retention;
mod script;
mod statics;
mod topics;
mod transactions;
mod wait;

/// Where and how checks run.
#[derive(Debug, Clone)]
pub struct Context {
    /// `bootstrap.servers` of the broker under test.
    pub bootstrap: String,
}

/// One thing that must hold.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Area and sentence, for example `fetch::an_empty_partition_has_an_end`.
    pub name: &'static str,
    /// Fails with the reason when it does not hold.
    pub run: fn(&Context) -> anyhow::Result<()>,
    /// How Apache Kafka 4.3 is known to differ, if it does.
    pub apache_kafka: Option<&'static str>,
}

macro_rules! checks {
    ($($area:ident: $($name:ident $(differs $why:literal)?),+ $(,)?;)+) => {
        /// Every check, by area:
        ///
        $($(#[doc = concat!("- `", stringify!($area), "::", stringify!($name), "`")])+)+
        pub const CHECKS: &[Check] = &[$($(
            Check {
                name: concat!(stringify!($area), "::", stringify!($name)),
                run: |context| raw::once_settled(context, $area::$name),
                apache_kafka: checks!(@why $($why)?),
            },
        )+)+];
    };
    (@why) => { None };
    (@why $why:literal) => { Some($why) };
}

checks! {
    topics:
        a_created_topic_is_listed_with_its_partitions,
        a_topic_is_created_once,
        an_unknown_topic_is_reported,
        impossible_topics_are_refused,
        settings_are_described_with_defaults,
        settings_can_be_changed,
        partitions_can_be_added_but_not_taken_away,
        a_deleted_topic_comes_back_empty;
    produce:
        keys_values_headers_and_times_arrive_unchanged,
        append_time_replaces_the_producers_time,
        every_codec_arrives,
        a_record_too_large_is_refused,
        a_record_from_the_future_is_refused,
        an_old_record_is_accepted,
        an_idempotent_producer_keeps_order_without_gaps,
        every_level_of_acknowledgement_works,
        an_unknown_partition_is_refused,
        a_compacted_topic_wants_keys;
    fetch:
        an_offset_above_the_end_is_out_of_range,
        an_empty_partition_has_an_end,
        a_waiting_fetch_is_woken_by_an_append,
        small_fetches_get_everything_in_order,
        many_partitions_are_fetched_together,
        watermarks_enclose_the_records,
        offsets_are_found_by_time,
        deleted_records_are_gone_and_the_rest_stays;
    retention:
        old_records_go_and_offsets_go_on,
        a_reader_of_records_that_went_is_told,
        without_retention_records_stay,
        a_log_is_kept_to_its_size,
        retention_does_not_wait_for_a_transaction;
    compaction:
        the_newest_record_of_each_key_stays_at_its_offset,
        a_reader_at_a_record_that_went_gets_the_next_one,
        the_active_segment_is_left_alone,
        a_tombstone_takes_its_key_and_goes_later,
        a_tombstone_is_seen_while_it_stays,
        compressed_records_are_compacted,
        aborted_records_go_and_hide_nothing,
        nothing_behind_an_open_transaction_is_compacted,
        young_records_are_left_alone,
        a_topic_may_be_compacted_and_deleted_from;
    groups:
        two_members_share_the_partitions_of_all_topics_alike,
        cooperative_members_share_the_partitions,
        a_member_that_leaves_hands_over,
        a_group_is_listed_and_described,
        a_group_with_members_cannot_be_deleted,
        a_deleted_group_has_no_offsets,
        groups_do_not_disturb_each_other,
        round_robin_deals_the_partitions_out,
        cooperative_members_keep_what_they_can,
        new_partitions_are_shared_too,
        a_pattern_finds_topics_that_come_later;
    members:
        a_killed_member_is_replaced_after_its_session,
        impossible_joins_are_refused,
        a_new_member_comes_back_with_its_id_since_version_4,
        members_have_to_share_a_protocol,
        the_protocol_that_all_support_is_chosen,
        heartbeats_tell_a_member_where_it_stands,
        syncs_are_held_against_the_generation,
        a_repeated_join_of_a_follower_disturbs_nobody,
        who_does_not_join_again_is_out_after_the_rebalance_time_out,
        a_leader_that_never_assigns_is_replaced,
        several_members_leave_at_once,
        a_replaced_instance_is_told_so,
        groups_are_listed_by_state,
        an_unknown_group_is_described_as_dead;
    forget:
        an_offset_is_kept_as_long_as_its_commit_says,
        an_empty_group_goes_with_its_last_offset,
        offsets_are_deleted_topic_by_topic,
        offsets_of_topics_that_are_read_stay,
        impossible_commits_are_refused,
        all_offsets_of_several_groups_are_fetched_at_once;
    statics:
        a_restarted_static_member_keeps_its_partitions,
        a_second_member_with_the_same_instance_fences_the_first,
        a_dead_member_is_replaced_after_its_session;
    offsets:
        a_committed_offset_is_where_the_group_goes_on,
        metadata_of_an_offset_is_kept,
        an_empty_group_takes_first_positions,
        no_outsider_commits_for_a_group_with_members,
        an_uncommitted_partition_has_no_offset,
        a_pending_offset_is_unstable_until_its_transaction_ends,
        of_two_pending_offsets_the_one_sent_last_wins;
    transactions:
        a_committed_transaction_is_seen_whole,
        an_open_transaction_is_hidden_and_holds_what_follows,
        an_aborted_transaction_is_never_seen_by_committed_readers,
        markers_take_offsets,
        offsets_and_records_end_together,
        one_transaction_commits_offsets_of_two_groups,
        two_sends_of_offsets_both_count,
        a_second_producer_fences_the_first,
        a_crashed_producers_transaction_is_aborted_by_its_successor,
        a_transaction_that_takes_too_long_is_aborted_and_fenced,
        a_transaction_without_records_can_end,
        interleaved_transactions_are_told_apart,
        a_refused_record_leaves_the_transaction_to_be_aborted,
        many_small_transactions_stay_in_order;
    ends:
        an_end_may_be_repeated_but_not_changed,
        a_transaction_begins_behind_the_markers_of_the_one_before,
        a_late_copy_of_an_end_ends_the_next_transaction,
        a_late_copy_of_a_predecessors_end_is_refused,
        a_record_outside_of_its_transaction_is_refused,
        an_end_without_a_beginning_is_refused,
        an_end_by_somebody_else_is_refused;
    fencing:
        metadata_of_nobody_is_not_fenced,
        metadata_of_nobody_is_accepted_by_an_empty_group,
        an_instance_that_is_not_in_the_group_is_fenced,
        a_stale_generation_is_fenced,
        a_member_that_left_is_fenced,
        a_member_may_commit_what_another_owns,
        one_stale_group_spoils_the_whole_transaction,
        a_rebalance_between_offsets_and_commit_does_not_stop_the_commit;
    inspect:
        a_transaction_is_described,
        transactions_are_listed_by_state_and_producer,
        transactions_are_listed_by_how_long_they_run,
        producers_of_a_partition_are_described,
        an_unknown_partition_spoils_what_is_added_with_it,
        impossible_time_outs_are_refused;
    batches:
        damaged_and_forged_batches_are_refused,
        impossible_acknowledgements_are_refused,
        a_repeated_batch_has_its_old_offset_and_a_gap_is_refused;
    lookups:
        special_times_name_ends_and_the_newest_record,
        times_that_the_version_does_not_know_are_refused,
        the_end_is_another_for_committed_readers,
        who_knows_a_later_leader_is_told_to_wait,
        the_running_epoch_ends_at_the_end,
        a_fetch_says_where_the_log_stands,
        an_error_does_not_wait,
        a_batch_larger_than_the_fetch_comes_whole,
        an_unknown_fetch_session_is_refused;
    admin:
        the_cluster_is_described_as_in_metadata,
        coordinators_are_found_together,
        metadata_tells_all_from_none,
        a_topic_is_known_by_its_id,
        names_that_cannot_be_are_no_topics,
        a_created_topic_is_told_what_it_got,
        a_topic_named_twice_is_not_created,
        asking_whether_it_could_be_changes_nothing,
        settings_change_one_by_one,
        impossible_changes_of_settings_are_refused,
        settings_are_described_by_name,
        records_are_deleted_up_to_the_end;
    protocol:
        a_newer_client_learns_what_it_may_ask,
        a_client_has_to_have_a_proper_name,
        listed_versions_of_harmless_requests_are_taken,
        what_clients_need_is_listed,
        a_version_that_is_not_listed_closes_the_connection,
        an_unknown_request_closes_the_connection,
        a_request_cut_short_closes_the_connection,
        frames_that_cannot_be_close_the_connection,
        tags_that_nobody_knows_are_skipped,
        requests_of_a_connection_are_answered_in_order;
}
