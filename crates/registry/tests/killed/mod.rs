//! `kill -9` while clients register: what was answered is there afterwards, and nothing is there twice.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use quadrille_registry::{Config, Registry};
use serde_json::{Value, json};

const FOLDER: &str = "QUADRILLE_TEST_REGISTRY_CHILD";
const CLIENTS: usize = 4;
const KILLS: usize = 4;

/// Run again by the test below in a process of its own: serves until it is killed. Without a folder it does nothing.
#[test]
fn child() {
    let Ok(data) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), data: data.into() };
    let registry = runtime.block_on(Registry::start(config)).unwrap();
    println!("\nurl={}", registry.url());
    // Longer than any test takes; a parent that is gone leaves no registry behind.
    std::thread::sleep(Duration::from_secs(120));
}

fn serve(folder: &Path) -> (Child, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "killed::child", "--nocapture"]).env(FOLDER, folder);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("url=").map(str::to_owned));
    (child, url.expect("the registry started"))
}

fn schema(name: &str) -> String {
    json!({ "type": "record", "name": name, "fields": [] }).to_string()
}

async fn register(http: &reqwest::Client, url: &str, subject: &str, name: &str) -> Option<u64> {
    let request =
        http.post(format!("{url}/subjects/{subject}/versions")).json(&json!({ "schema": schema(name) }));
    let answer: Value = request.send().await.ok()?.json().await.ok()?;
    answer["id"].as_u64()
}

/// Registers until nobody answers; name by id of what was answered.
async fn until_killed(url: &str, round: usize, answered: &Mutex<BTreeMap<u64, String>>) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = |number: usize| {
        let http = http.clone();
        async move {
            for count in 0.. {
                // Half of the names are everybody's.
                let who = if count % 2 == 0 { String::new() } else { format!("C{number}") };
                let name = format!("R{round}x{count}{who}");
                let Some(id) = register(&http, url, &format!("s{number}"), &name).await else { return };
                let known = answered.lock().unwrap().insert(id, name.clone());
                assert!(known.is_none_or(|known| known == name), "id {id} was given twice");
            }
        }
    };
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(client(number));
    }
    let [a, b, c, d]: [_; CLIENTS] =
        clients.try_into().unwrap_or_else(|_| unreachable!("as many as there are"));
    tokio::join!(a, b, c, d);
}

#[test]
fn what_was_answered_outlives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let answered = Mutex::new(BTreeMap::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut child, mut url) = serve(folder.path());
    let config = json!({ "compatibility": "NONE" });
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let set = runtime.block_on(http.put(format!("{url}/config")).json(&config).send()).unwrap();
    assert_eq!(set.status(), 200);
    for round in 0..KILLS {
        let before = answered.lock().unwrap().len();
        std::thread::scope(|scope| {
            scope.spawn(|| runtime.block_on(until_killed(&url, round, &answered)));
            // Killed in the midst of it: some were answered, and more are under way.
            let begun = Instant::now();
            while answered.lock().unwrap().len() < before + 10 + 5 * round {
                assert!(begun.elapsed() < Duration::from_secs(120), "nobody is answered");
                std::thread::sleep(Duration::from_millis(1));
            }
            child.kill().unwrap();
            child.wait().unwrap();
        });
        (child, url) = serve(folder.path());
        runtime.block_on(all_is_there(&http, &url, &answered.lock().unwrap()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn all_is_there(http: &reqwest::Client, url: &str, answered: &BTreeMap<u64, String>) {
    let get = async |path: String| -> Value {
        http.get(format!("{url}{path}")).send().await.unwrap().json().await.unwrap()
    };
    for (id, name) in answered {
        let found = get(format!("/schemas/ids/{id}")).await;
        let text = found["schema"].as_str().unwrap_or_default();
        assert!(text.contains(&format!("{name:?}")), "id {id} was {name}, and is {found}");
    }
    for number in 0..CLIENTS {
        let versions = get(format!("/subjects/s{number}/versions")).await;
        let count = versions.as_array().unwrap().len();
        assert_eq!(versions, json!((1..=count).collect::<Vec<_>>()), "a gap");
    }
}
