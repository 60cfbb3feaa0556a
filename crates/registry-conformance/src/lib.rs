//! What a Confluent-compatible schema registry must do, as checks over HTTP that run against any registry.
//!
//! [`CHECKS`] is the list. Each check uses subjects of its own, so a registry may be shared and checks may run at the
//! same time; the few that change a setting of all subjects are marked [`Check::exclusive`]. Confluent's documented
//! behaviour is the judge; where Apicurio 3.3 answers otherwise, [`Check::apicurio`] says how, and the runner
//! expects the check to fail there, so that a difference which goes away is noticed.
//!
//! # Checks
//! Those with a dash behind them differ on Apicurio 3.3, as it says there.
//!
//! ## Registering
//! * `the_same_schema_has_the_same_id_under_all_subjects`
//! * `registering_again_changes_nothing`
//! * `white_space_and_the_order_of_attributes_make_no_difference`
//! * `documentation_makes_another_schema` - the same id, and the text registered first
//! * `versions_count_from_1_in_each_subject`
//! * `latest_and_minus_1_are_the_newest_version`
//! * `a_version_tells_subject_id_version_and_schema`
//! * `the_bare_schema_is_served_by_version_and_by_id`
//! * `a_schema_is_found_by_its_id`
//! * `an_id_tells_its_versions_and_subjects`
//! * `a_schema_is_looked_up_under_its_subject`
//! * `subjects_are_listed`
//! * `subjects_are_listed_by_prefix` - subjectPrefix is ignored
//! * `subjects_with_slashes_and_spaces_work`
//! * `answers_have_the_registrys_content_type`
//! * `plain_json_is_taken_too`
//! * `avro_is_among_the_schema_types`
//! * `lists_are_served_in_pages`
//! * `schemas_are_listed_with_their_subjects` - subject, version and id are left out
//! * `an_id_is_asked_for_with_a_subject` - the subject is ignored
//! * `parameters_that_change_nothing_here_are_taken`
//! * `normalized_schemas_may_differ_in_the_order_of_their_own_attributes` - the order of own attributes counts
//! * `a_version_may_be_chosen_if_it_is_the_next` - any version is taken
//! * `what_was_deleted_is_looked_up_on_demand` - without the demand 40403
//! * `contexts_and_metadata_are_told` - 404
//! * `sixteen_clients_registering_one_schema_get_one_id`
//! * `sixteen_schemas_at_once_are_versions_1_to_16`
//!
//! ## Refusals
//! * `unknown_ids_subjects_and_versions_have_their_codes`
//! * `an_invalid_schema_is_42201`
//! * `an_unknown_schema_type_is_42201`
//! * `invalid_versions_are_42202` - 404 with 40402
//! * `a_body_that_is_no_json_is_400`
//! * `an_empty_body_is_422` - 500 with error_code 0
//! * `another_method_is_405`
//! * `reserved_names_are_42208` - they are subjects like any other
//! * `refusals_say_what_is_wrong` - the message does not name the missing type
//!
//! ## Compatibility
//! * `backward_is_the_default_level`
//! * `an_incompatible_schema_is_409_and_names_the_rule`
//! * `each_level_takes_and_refuses_what_it_must`
//! * `transitive_levels_look_at_every_version`
//! * `a_schema_is_tested_without_being_registered`
//! * `verbose_messages_name_the_field` - verbose has no messages
//! * `testing_against_an_unknown_version_is_40402`
//! * `anything_may_follow_nothing` - 40401 for the latest version of an unknown subject
//! * `a_schema_that_is_none_is_42201_or_told_in_the_messages` - 42201 although messages are asked for
//! * `messages_tell_path_reader_version_and_level` - verbose has no messages
//! * `none_takes_another_type_altogether`
//! * `the_rules_of_schema_resolution_decide`
//! * `widening_a_type_is_compatible_and_narrowing_is_not`
//! * `symbols_and_branches_may_be_added_for_backward`
//!
//! ## Config
//! * `a_subject_has_its_own_level_until_it_is_deleted` - after the deletion the level is NONE, not the global one
//! * `a_subject_without_a_level_is_40408` - 200 with NONE
//! * `an_unknown_level_is_42203`
//! * `the_global_level_is_read_and_set`
//! * `read_only_refuses_new_schemas_and_serves_old_ones` - modes are kept and not enforced
//! * `an_unknown_mode_is_42204` - 42201
//! * `read_only_closes_a_subjects_level_too` - modes are kept and not enforced
//! * `removing_what_is_not_set_is_40401` - 200 for a mode
//! * `removing_a_level_tells_it`
//! * `a_subject_without_a_mode_is_40409` - 200 with the mode of all
//! * `import_takes_ids_and_versions_as_they_are` - modes are kept and not enforced
//! * `import_is_for_empty_subjects_or_by_force` - modes are kept and not enforced
//!
//! ## Deletion
//! * `a_soft_deleted_version_is_hidden_and_its_id_still_works`
//! * `a_new_version_after_a_deletion_has_a_new_number`
//! * `permanent_deletion_comes_second`
//! * `deleting_a_version_permanently_before_softly_is_40407`
//! * `deleting_twice_has_its_codes`
//! * `deleted_subjects_are_listed_on_demand`
//! * `a_deleted_schema_that_comes_back_has_its_id_and_a_new_version` - the deleted version stays in the list
//! * `deleted_versions_alone_are_listed_on_demand` - 40401 when there are none
//! * `latest_is_never_a_deleted_version`
//! * `an_id_tells_its_deleted_versions_on_demand`
//! * `what_is_gone_for_good_is_40403` - the id still has its schema
//! * `a_subjects_level_goes_with_it` - 40401
//!
//! ## References
//! * `a_reference_by_full_name_is_registered_and_served`
//! * `a_missing_reference_is_42201`
//! * `a_referenced_version_stays`
//! * `an_incompatible_change_in_a_reference_is_refused` - what is referred to is not compared
//! * `references_go_over_namespaces_and_several_levels`
//! * `each_level_of_references_stays`
//! * `a_reference_to_minus_1_is_the_latest_version_of_then` - 42201
//! * `a_deleted_referrer_holds_back_permanent_deletion` - it holds back soft deletion too
//! * `a_reference_to_a_deleted_version_is_42201` - 200
//!
//! ## Client
//! * `the_rust_client_registers_writes_and_reads`
//! * `the_rust_client_reads_types_of_other_namespaces`
//! * `the_rust_client_tells_final_errors_from_retryable_ones`

mod checks;
mod context;

pub use checks::CHECKS;
pub use context::{Answer, Context, unanswered};

/// One thing that a registry must do.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// A sentence, in snake case.
    pub name: &'static str,
    /// Fails with what was answered instead.
    pub run: fn(&Context) -> anyhow::Result<()>,
    /// How Apicurio is known to differ, if it does.
    pub apicurio: Option<&'static str>,
    /// It changes what holds for all subjects: run it while no other check runs.
    pub exclusive: bool,
}

#[cfg(test)]
mod tests {
    use super::CHECKS;

    /// Name of each check and how Apicurio differs, as the documentation of this crate has them.
    fn documented() -> Vec<(&'static str, Option<&'static str>)> {
        let lines = include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//! * `"));
        lines
            .filter_map(|line| line.split_once('`'))
            .map(|(name, why)| (name, why.strip_prefix(" - ")))
            .collect()
    }

    #[test]
    fn the_documentation_lists_every_check() {
        let checks: Vec<_> = CHECKS.iter().map(|check| (check.name, check.apicurio)).collect();
        assert_eq!(documented(), checks);
    }
}
