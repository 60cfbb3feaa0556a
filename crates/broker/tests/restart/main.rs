//! Brokers that die: everything acknowledged is there afterwards, nothing aborted is seen.
//!
//! The test binary starts itself again as the broker process, so that it can be killed.

mod child;
mod clients;
mod crashes;
mod folders;
mod load;

use libtest_mimic::{Arguments, Failed, Trial};
use quadrille_broker::Flush;

fn main() -> anyhow::Result<()> {
    if let Some(result) = child::run_if_asked() {
        return result;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let trial = |name: &str, run: fn() -> anyhow::Result<()>| {
        Trial::test(name, move || run().map_err(|error| Failed::from(format!("{error:?}"))))
    };
    let trials = vec![
        trial("killed_under_load_nothing_acknowledged_is_lost_with_flush_os", || {
            load::killed_under_load(Flush::Os)
        }),
        trial("killed_under_load_nothing_acknowledged_is_lost_with_flush_commit", || {
            load::killed_under_load(Flush::Commit)
        }),
        trial("a_decided_commit_is_finished_after_a_crash_before_its_markers", || crashes::decided(true)),
        trial("a_decided_abort_is_finished_after_a_crash_before_its_markers", || crashes::decided(false)),
        trial("a_crash_before_the_flush_loses_no_acknowledged_record", crashes::before_the_flush),
        trial("a_crash_before_a_checkpoint_is_in_force_loses_nothing", || {
            crashes::around_a_checkpoint("checkpoint-before-rename")
        }),
        trial("a_crash_before_old_journals_are_removed_loses_nothing", || {
            crashes::around_a_checkpoint("checkpoint-before-removal")
        }),
        trial("a_clean_stop_leaves_nothing_to_replay", folders::a_clean_stop_leaves_nothing_to_replay),
        trial("a_torn_tail_is_cut", folders::a_torn_tail_is_cut),
        trial("damage_in_the_middle_is_refused", folders::damage_in_the_middle_is_refused),
        trial("damage_in_a_checkpoint_is_refused", folders::damage_in_a_checkpoint_is_refused),
        trial("a_folder_is_served_by_one_broker", folders::a_folder_is_served_by_one_broker),
        trial("an_address_others_can_reach_is_refused", folders::an_address_others_can_reach_is_refused),
        trial("sequences_are_remembered_over_a_restart", folders::sequences_are_remembered_over_a_restart),
        trial("members_go_on_over_a_restart", folders::members_go_on_over_a_restart),
        trial("old_records_are_served_from_files", folders::old_records_are_served_from_files),
    ];
    libtest_mimic::run(&arguments, trials).exit()
}
