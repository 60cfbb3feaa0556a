//! The fence between real processes: killed in the middle of a call, and racing for the same calls.
//!
//! This program starts itself as the other process; the roles are at the end.

use std::io::{Read, Write, stdin};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use libtest_mimic::{Arguments, Failed, Trial};
use quadrille_fence::{Action, Answer, Call, Fence, Options, Reply};
use tempfile::TempDir;

const ROLE: &str = "FENCE_TEST_ROLE";
const FILE: &str = "FENCE_TEST_FILE";
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS charges (activation TEXT, cents INTEGER)";
const ACTIVATIONS: i64 = 60;

fn main() {
    if let Ok(role) = env::var(ROLE) {
        return play(&role, env::var(FILE).unwrap().as_ref());
    }
    let trials = vec![
        Trial::test("a_process_killed_in_a_handler_leaves_nothing_and_frees_the_file", || {
            killed_in_a_handler();
            Ok::<_, Failed>(())
        }),
        Trial::test("racing_processes_have_each_effect_once", || {
            racing_for_the_same_calls();
            Ok(())
        }),
        Trial::test("a_do_and_its_undo_racing_in_two_processes_leave_a_balance_of_nothing", || {
            do_against_undo();
            Ok(())
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn killed_in_a_handler() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("payment.db");
    let mut child = start("stay-in-the-handler", &file);
    wait_for_line(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();

    let fence = open(&file);
    assert_eq!(count(&fence, "charges"), 0);
    assert_eq!(count(&fence, "effects"), 0);
    assert!(matches!(charge(&fence, 0), Answer::Ran(_)));
    assert_eq!(count(&fence, "charges"), 1);
}

fn racing_for_the_same_calls() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("payment.db");
    race(&file, &["charge-all", "charge-all", "charge-all"]);

    let fence = open(&file);
    assert_eq!(count(&fence, "charges"), ACTIVATIONS);
    assert_eq!(count(&fence, "effects"), ACTIVATIONS);
    assert_eq!(count(&fence, "(SELECT DISTINCT activation FROM charges)"), ACTIVATIONS);
    assert!(count(&fence, "(SELECT DISTINCT pid FROM effects)") > 1, "one process did it all: no race");
}

fn do_against_undo() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("payment.db");
    race(&file, &["charge-all", "refund-all"]);

    let fence = open(&file);
    let unbalanced =
        "(SELECT activation FROM charges GROUP BY activation HAVING sum(cents) != 0 OR count(*) != 2)";
    assert_eq!(count(&fence, unbalanced), 0);
    let late = "(SELECT 1 FROM effects d JOIN effects u ON u.activation = d.activation AND u.action = 'undo'
        WHERE d.action = 'do' AND d.applied = 1 AND d.seq > u.seq)";
    assert_eq!(count(&fence, late), 0);
    assert_eq!(count(&fence, "(SELECT 1 FROM effects WHERE action = 'undo')"), ACTIVATIONS);
}

/// Starts one process for each role and names one activation after the other to all of them, so that they race for
/// each. Every round begins with another one.
fn race(file: &Path, roles: &[&str]) {
    let mut children: Vec<Child> = roles.iter().map(|role| start(role, file)).collect();
    for n in 0..ACTIVATIONS {
        children.rotate_left(1);
        for child in &mut children {
            writeln!(child.stdin.as_mut().unwrap(), "{n}").unwrap();
        }
        children.iter_mut().for_each(wait_for_line);
    }
    for mut child in children {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

fn start(role: &str, file: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .env(ROLE, role)
        .env(FILE, file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_for_line(child: &mut Child) {
    let mut line = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"ready\n");
}

fn count(fence: &Fence, from: &str) -> i64 {
    fence.read(|c| c.query_row(&format!("SELECT count(*) FROM {from}"), [], |row| row.get(0))).unwrap()
}

fn open(file: &Path) -> Fence {
    let options = Options { busy_timeout: Duration::from_secs(30), ..Options::default() };
    Fence::open(file, "payment", SCHEMA, options).unwrap()
}

fn charge(fence: &Fence, n: i64) -> Answer {
    pay(fence, n, Action::Do, 500)
}

fn pay(fence: &Fence, n: i64, action: Action, cents: i64) -> Answer {
    let (activation, key) = (format!("a{n}"), format!("a{n}/{action}"));
    let call = Call { activation: &activation, action, key: &key, correlation_id: "4711" };
    fence
        .call(call, |tx| {
            tx.execute("INSERT INTO charges VALUES (?, ?)", (&activation, cents))?;
            Ok::<_, rusqlite::Error>(Reply::applied("paid"))
        })
        .unwrap()
}

/// What the other process does.
fn play(role: &str, file: &Path) {
    let fence = open(file);
    if role == "stay-in-the-handler" {
        let call = Call { activation: "a0", action: Action::Do, key: "a0/do", correlation_id: "4711" };
        fence
            .call(call, |tx| -> Result<Reply, rusqlite::Error> {
                tx.execute("INSERT INTO charges VALUES ('a0', 500)", ())?;
                println!("ready");
                loop {
                    thread::park();
                }
            })
            .unwrap();
    }
    for n in stdin().lines().map(|line| line.unwrap().parse().unwrap()) {
        match role {
            "charge-all" => charge(&fence, n),
            "refund-all" => pay(&fence, n, Action::Undo, -500),
            other => panic!("no such role: {other}"),
        };
        println!("ready");
    }
}
