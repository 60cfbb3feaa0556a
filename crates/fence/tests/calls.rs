//! What each call answers, and what it leaves in the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use quadrille_fence::fence::Error;
use quadrille_fence::{Action, Answer, Call, Fence, Options, Reply};
use rusqlite::{Connection, Transaction};
use tempfile::TempDir;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS charges (activation TEXT, cents INTEGER)";

fn fence(folder: &TempDir) -> Fence {
    let options = Options { busy_timeout: Duration::from_millis(50), ..Options::default() };
    Fence::open(folder.path().join("payment.db"), "payment", SCHEMA, options).unwrap()
}

fn call(action: Action) -> Call<'static> {
    let key = match action {
        Action::Do => "a1/do",
        Action::Undo => "a1/undo",
    };
    Call { activation: "a1", action, key, correlation_id: "4711" }
}

/// Charges, or refunds.
fn pay(tx: &Transaction<'_>, cents: i64) -> Result<Reply, String> {
    tx.execute("INSERT INTO charges VALUES ('a1', ?)", [cents]).map_err(|e| e.to_string())?;
    Ok(Reply::applied(format!("paid {cents}")))
}

fn charge(fence: &Fence) -> Answer {
    fence.call(call(Action::Do), |tx| pay(tx, 500)).unwrap()
}

fn refund(fence: &Fence) -> Answer {
    fence.call(call(Action::Undo), |tx| pay(tx, -500)).unwrap()
}

/// The participant's rows, and the log of effects as (action, applied).
fn books(fence: &Fence) -> (Vec<i64>, Vec<(String, bool)>) {
    let column = |c: &Connection| {
        c.prepare("SELECT cents FROM charges ORDER BY rowid")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()
    };
    let effects = |c: &Connection| {
        c.prepare("SELECT action, applied FROM effects ORDER BY seq")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    (fence.read(column).unwrap(), fence.read(effects).unwrap())
}

fn log(rows: &[(&str, bool)]) -> Vec<(String, bool)> {
    rows.iter().map(|(action, applied)| ((*action).to_owned(), *applied)).collect()
}

#[test]
fn a_repeated_call_gets_the_stored_reply_and_has_no_second_effect() {
    let folder = TempDir::new().unwrap();
    let fence = fence(&folder);
    assert_eq!(charge(&fence), Answer::Ran(Reply::applied("paid 500")));
    let again = fence.call(call(Action::Do), |_| -> Result<Reply, String> { panic!("ran twice") }).unwrap();
    assert_eq!(again, Answer::Repeated(Reply::applied("paid 500")));
    assert_eq!(books(&fence), (vec![500], log(&[("do", true)])));
}

#[test]
fn an_undo_compensates_once_and_a_do_after_it_is_refused() {
    let folder = TempDir::new().unwrap();
    let fence = fence(&folder);
    charge(&fence);
    assert_eq!(refund(&fence), Answer::Ran(Reply::applied("paid -500")));
    assert_eq!(refund(&fence), Answer::Repeated(Reply::applied("paid -500")));
    assert_eq!(charge(&fence), Answer::Refused(Reply::applied("paid -500")));
    assert_eq!(books(&fence), (vec![500, -500], log(&[("do", true), ("undo", true)])));
}

#[test]
fn an_undo_before_its_do_compensates_nothing_and_fences_the_do_for_ever() {
    let folder = TempDir::new().unwrap();
    let fence = fence(&folder);
    assert_eq!(refund(&fence), Answer::NothingToUndo);
    assert_eq!(refund(&fence), Answer::NothingToUndo);
    assert_eq!(charge(&fence), Answer::Refused(Reply::rejected("")));
    assert_eq!(books(&fence), (vec![], log(&[("undo", false)])));
}

#[test]
fn a_business_rejection_is_stored_like_any_reply_and_leaves_nothing_to_undo() {
    let folder = TempDir::new().unwrap();
    let fence = fence(&folder);
    let declined = Reply::rejected("declined");
    let first = fence.call(call(Action::Do), |_| Ok::<_, String>(declined.clone())).unwrap();
    assert_eq!(first, Answer::Ran(declined.clone()));
    assert_eq!(charge(&fence), Answer::Repeated(declined));
    assert_eq!(refund(&fence), Answer::NothingToUndo);
    assert_eq!(books(&fence), (vec![], log(&[("do", false), ("undo", false)])));
}

#[test]
fn a_handler_that_fails_or_panics_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let fence = fence(&folder);
    let failed = fence.call(call(Action::Do), |tx| {
        pay(tx, 500)?;
        Err("the bank is down".to_owned())
    });
    assert!(matches!(failed, Err(Error::Handler(cause)) if cause == "the bank is down"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        fence.call(call(Action::Do), |tx| -> Result<Reply, String> {
            pay(tx, 500)?;
            panic!("a bug")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(books(&fence), (vec![], vec![]));
    assert_eq!(charge(&fence), Answer::Ran(Reply::applied("paid 500")));
}

#[test]
fn one_activation_under_two_keys_is_refused() {
    let folder = TempDir::new().unwrap();
    let fence = fence(&folder);
    charge(&fence);
    let other = Call { key: "other", ..call(Action::Do) };
    let error = fence.call(other, |tx| pay(tx, 500)).unwrap_err();
    assert_eq!(error.to_string(), "a1/do was answered under the key \"a1/do\" and now comes under \"other\"");
    assert_eq!(books(&fence).0, vec![500]);
}

#[test]
fn a_file_held_by_another_process_is_busy_and_the_call_can_be_made_again() {
    let folder = TempDir::new().unwrap();
    let fence = fence(&folder);
    let other = Connection::open(folder.path().join("payment.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = fence.call(call(Action::Do), |tx| pay(tx, 500)).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(charge(&fence), Answer::Ran(Reply::applied("paid 500")));
}

#[test]
fn what_was_answered_is_known_after_the_file_is_opened_again() {
    let folder = TempDir::new().unwrap();
    charge(&fence(&folder));
    assert_eq!(charge(&fence(&folder)), Answer::Repeated(Reply::applied("paid 500")));
}

/// Whoever checks the books reads these columns, and so do participants in other languages.
#[test]
fn the_log_of_effects_has_the_documented_columns() {
    let folder = TempDir::new().unwrap();
    let columns = fence(&folder).read(|c| {
        c.prepare("SELECT name FROM pragma_table_info('effects')")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()
    });
    let documented = "seq participant activation correlation_id action applied at_ms pid";
    assert_eq!(columns.unwrap().join(" "), documented);
}
