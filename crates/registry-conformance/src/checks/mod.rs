//! The checks, by theme.

mod client;
mod compatibility;
mod config;
mod deletion;
mod references;
mod refusals;
mod registering;

use crate::Check;

macro_rules! checks {
    ($($module:ident :: $name:ident $(differs $why:literal)? $(exclusive $exclusive:literal)?,)*) => {
        /// Every check, and behind the dash how Apicurio 3.3 differs, where it does:
        ///
        $(#[doc = concat!("- `", stringify!($module), "::", stringify!($name), "`" $(, " - ", $why)?)])*
        pub const CHECKS: &[Check] = &[$(Check {
            name: stringify!($name),
            run: $module::$name,
            apicurio: checks!(@why $($why)?),
            exclusive: checks!(@exclusive $($exclusive)?),
        }),*];
    };
    (@why) => { None };
    (@why $why:literal) => { Some($why) };
    (@exclusive) => { false };
    (@exclusive $exclusive:literal) => { $exclusive };
}

checks! {
    registering::the_same_schema_has_the_same_id_under_all_subjects,
    registering::registering_again_changes_nothing,
    registering::white_space_and_the_order_of_attributes_make_no_difference,
    registering::documentation_makes_another_schema differs "the same id, and the text registered first",
    registering::versions_count_from_1_in_each_subject,
    registering::latest_and_minus_1_are_the_newest_version,
    registering::a_version_tells_subject_id_version_and_schema,
    registering::the_bare_schema_is_served_by_version_and_by_id,
    registering::a_schema_is_found_by_its_id,
    registering::an_id_tells_its_versions_and_subjects,
    registering::a_schema_is_looked_up_under_its_subject,
    registering::subjects_are_listed,
    registering::subjects_are_listed_by_prefix differs "subjectPrefix is ignored",
    registering::subjects_with_slashes_and_spaces_work,
    registering::answers_have_the_registrys_content_type,
    registering::plain_json_is_taken_too,
    registering::avro_is_among_the_schema_types,
    registering::lists_are_served_in_pages,
    registering::schemas_are_listed_with_their_subjects differs "subject, version and id are left out",
    registering::an_id_is_asked_for_with_a_subject differs "the subject is ignored",
    registering::parameters_that_change_nothing_here_are_taken,
    registering::normalized_schemas_may_differ_in_the_order_of_their_own_attributes differs "the order of own attributes counts",
    registering::a_version_may_be_chosen_if_it_is_the_next differs "any version is taken",
    registering::what_was_deleted_is_looked_up_on_demand differs "without the demand 40403",
    registering::contexts_and_metadata_are_told differs "404",
    registering::sixteen_clients_registering_one_schema_get_one_id,
    registering::sixteen_schemas_at_once_are_versions_1_to_16,
    refusals::unknown_ids_subjects_and_versions_have_their_codes,
    refusals::an_invalid_schema_is_42201,
    refusals::an_unknown_schema_type_is_42201,
    refusals::invalid_versions_are_42202 differs "404 with 40402",
    refusals::a_body_that_is_no_json_is_400,
    refusals::an_empty_body_is_422 differs "500 with error_code 0",
    refusals::another_method_is_405,
    refusals::reserved_names_are_42208 differs "they are subjects like any other",
    refusals::refusals_say_what_is_wrong differs "the message does not name the missing type",
    compatibility::backward_is_the_default_level,
    compatibility::an_incompatible_schema_is_409_and_names_the_rule,
    compatibility::each_level_takes_and_refuses_what_it_must,
    compatibility::transitive_levels_look_at_every_version,
    compatibility::a_schema_is_tested_without_being_registered,
    compatibility::verbose_messages_name_the_field differs "verbose has no messages",
    compatibility::testing_against_an_unknown_version_is_40402,
    compatibility::anything_may_follow_nothing differs "40401 for the latest version of an unknown subject",
    compatibility::a_schema_that_is_none_is_42201_or_told_in_the_messages differs "42201 although messages are asked for",
    compatibility::messages_tell_path_reader_version_and_level differs "verbose has no messages",
    compatibility::none_takes_another_type_altogether,
    compatibility::the_rules_of_schema_resolution_decide,
    compatibility::widening_a_type_is_compatible_and_narrowing_is_not,
    compatibility::symbols_and_branches_may_be_added_for_backward,
    config::a_subject_has_its_own_level_until_it_is_deleted differs "after the deletion the level is NONE, not the global one",
    config::a_subject_without_a_level_is_40408 differs "200 with NONE",
    config::an_unknown_level_is_42203,
    config::the_global_level_is_read_and_set exclusive true,
    config::read_only_refuses_new_schemas_and_serves_old_ones differs "modes are kept and not enforced",
    config::an_unknown_mode_is_42204 differs "42201",
    config::read_only_closes_a_subjects_level_too differs "modes are kept and not enforced",
    config::removing_what_is_not_set_is_40401 differs "200 for a mode",
    config::removing_a_level_tells_it,
    config::a_subject_without_a_mode_is_40409 differs "200 with the mode of all",
    config::import_takes_ids_and_versions_as_they_are differs "modes are kept and not enforced",
    config::import_is_for_empty_subjects_or_by_force differs "modes are kept and not enforced",
    deletion::a_soft_deleted_version_is_hidden_and_its_id_still_works,
    deletion::a_new_version_after_a_deletion_has_a_new_number,
    deletion::permanent_deletion_comes_second,
    deletion::deleting_a_version_permanently_before_softly_is_40407,
    deletion::deleting_twice_has_its_codes,
    deletion::deleted_subjects_are_listed_on_demand,
    deletion::a_deleted_schema_that_comes_back_has_its_id_and_a_new_version differs "the deleted version stays in the list",
    deletion::deleted_versions_alone_are_listed_on_demand differs "40401 when there are none",
    deletion::latest_is_never_a_deleted_version,
    deletion::an_id_tells_its_deleted_versions_on_demand,
    deletion::what_is_gone_for_good_is_40403 differs "the id still has its schema",
    deletion::a_subjects_level_goes_with_it differs "40401",
    references::a_reference_by_full_name_is_registered_and_served,
    references::a_missing_reference_is_42201,
    references::a_referenced_version_stays,
    references::an_incompatible_change_in_a_reference_is_refused differs "what is referred to is not compared",
    references::references_go_over_namespaces_and_several_levels,
    references::each_level_of_references_stays,
    references::a_reference_to_minus_1_is_the_latest_version_of_then differs "42201",
    references::a_deleted_referrer_holds_back_permanent_deletion differs "it holds back soft deletion too",
    references::a_reference_to_a_deleted_version_is_42201 differs "200",
    client::the_rust_client_registers_writes_and_reads,
    client::the_rust_client_reads_types_of_other_namespaces,
    client::the_rust_client_tells_final_errors_from_retryable_ones,
}
