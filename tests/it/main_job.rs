//! The main job: `quadrille dev` publishes what a file says, and an audit that shares no code with it finds every input with
//! its effect once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use quadrille_tests::clients::{Isolation, PATIENCE, committed_offsets};
use quadrille_tests::folders::{program, run_dir};
use quadrille_tests::process::{Process, grown_by, tail};
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use serde_json::{Value, json};

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_broker, a_thousand_orders_are_valid)
            .own_broker()
            .with_registry()
            .within(Duration::from_secs(240)),
        promise!(on_broker, a_flow_of_another_shape_runs_from_its_file_alone)
            .own_broker()
            .with_registry()
            .within(Duration::from_secs(240)),
        promise!(on_broker, the_same_job_runs_twice_on_one_cluster_under_two_prefixes)
            .with_registry()
            .within(Duration::from_secs(240)),
        promise!(on_secured, passwords_reach_every_program_and_show_up_nowhere)
            .with_registry()
            .within(Duration::from_secs(240)),
        promise!(alone, it_is_valid_twice_in_a_row_on_its_own_servers).within(Duration::from_secs(240)),
        promise!(alone, what_variables_say_of_a_cluster_is_not_for_the_embedded_broker)
            .within(Duration::from_secs(240)),
        promise!(alone, the_orders_are_composed_as_the_file_beside_them_says),
        promise!(alone, what_cannot_run_is_said_at_once),
        promise!(alone, json_that_does_not_fit_its_schema_starts_no_saga).within(Duration::from_secs(240)),
        promise!(alone, a_line_that_cannot_be_published_is_named_before_anything_starts),
        promise!(alone, a_run_that_is_broken_off_says_so_and_leaves_nothing).within(Duration::from_secs(240)),
        promise!(alone, a_reader_that_goes_changes_no_exit_code).within(Duration::from_secs(240)),
    ]
}

fn a_thousand_orders_are_valid(cluster: &Cluster) -> Result<()> {
    let output = dev("order", &on(cluster))?;
    let line = last_line(&output)?;
    let expected = "accepted=1000 effect_once=980 dlt=20 lost=0 dup_effect=0 leaked=0 after_undo=0 unsettled=0 phantom=0 \
                    | sagas=980 completed=840 compensated=140 stuck=0 dual_outcome=0 | txns=";
    ensure!(line.starts_with(expected) && line.ends_with("| VALID"), "{line}");

    let again = job("order", &topology("order.jsonl"), &on(cluster))?.output()?;
    let said = String::from_utf8(again.stderr)?;
    ensure!(!again.status.success() && again.stdout.is_empty(), "{said}");
    ensure!(!said.contains("published 1120") && !said.contains("panicked"), "{said}");
    let last = said.lines().last().unwrap_or_default();
    let words = [
        "nothing was published",
        "mesh shop",
        "records on topics orders",
        "--prefix NAME",
        "another cluster",
    ];
    ensure!(words.iter().all(|word| last.contains(word)), "{said}");
    Ok(())
}

fn the_same_job_runs_twice_on_one_cluster_under_two_prefixes(cluster: &Cluster) -> Result<()> {
    let (inputs, distinct) = some_orders(&cluster.unique("twice"), 60)?;
    let prefixes = [cluster.unique("first"), cluster.unique("second")];
    for prefix in &prefixes {
        let mut arguments = on(cluster);
        arguments.extend(["--prefix".to_owned(), prefix.clone()]);
        let line = last_line(&ended(job("order", &inputs, &arguments)?.output()?)?)?;
        ensure!(line.starts_with(&format!("accepted={distinct} ")) && line.ends_with("| VALID"), "{line}");
        let mut list = Command::new(program("quadrille")?);
        list.args(["sagas", "list", "--state", "all", "--json", "--prefix", prefix])
            .arg(topology("order.yaml"));
        let listed = ended(list.args(["--bootstrap-servers", cluster.bootstrap()]).output()?)?;
        let sagas = String::from_utf8(listed.stdout)?.lines().count();
        ensure!(line.contains(&format!(" sagas={sagas} ")), "{sagas} sagas are listed: {line}");
    }
    // Each has all of its names for itself.
    let asker = quadrille_tests::clients::consumer(cluster, Isolation::ReadCommitted, None)?;
    let metadata = rdkafka::consumer::Consumer::fetch_metadata(&asker, None, PATIENCE)?;
    let topics: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
    for prefix in &prefixes {
        let of_it: Vec<_> = topics.iter().filter(|topic| topic.starts_with(&format!("{prefix}."))).collect();
        ensure!(of_it.len() == 23, "{of_it:?}");
        let group =
            committed_offsets(cluster, &format!("{prefix}.shop.payment"), &format!("{prefix}.orders"))?;
        ensure!(group.iter().flatten().sum::<i64>() > 0, "{group:?}");
    }
    // A name that was used is refused as none is.
    let mut arguments = on(cluster);
    arguments.extend(["--prefix".to_owned(), prefixes[0].clone()]);
    let again = job("order", &inputs, &arguments)?.output()?;
    let said = String::from_utf8(again.stderr)?;
    ensure!(!again.status.success() && said.contains(&format!("topics {}.orders", prefixes[0])), "{said}");
    Ok(())
}

fn passwords_reach_every_program_and_show_up_nowhere(cluster: &Cluster) -> Result<()> {
    let (access, (inputs, distinct)) = (cluster.access(), some_orders(&cluster.unique("secured"), 60)?);
    let data = run_dir()?.join(cluster.unique("secured"));
    let mut arguments = on(cluster);
    arguments.extend(["--prefix".to_owned(), cluster.unique("secured")]);
    arguments.extend(["--data".to_owned(), data.display().to_string()]);
    for (name, value) in access.over_tls().into_iter().filter(|(name, _)| *name != "sasl.password") {
        arguments.extend(["-X".to_owned(), format!("{name}={value}")]);
    }
    let mut command = job("order", &inputs, &arguments)?;
    // What is logged at all shows there.
    command.env("QUADRILLE_X_SASL_PASSWORD", &access.password).env("QUADRILLE_LOG", "debug");
    let log = data.with_extension("log");
    let process = Process::spawn("quadrille dev", command, &log)?;
    let payment = program("payment")?.display().to_string();
    let (mut payment_seen, mut told) = (false, Vec::new());
    let status = eventually(Duration::from_secs(220), "the job ends", || {
        for line in command_lines()? {
            payment_seen |= line.starts_with(&payment);
            if line.contains(&access.password) {
                told.push(line);
            }
        }
        process.exit_status()?.context("it runs")
    })
    .with_context(|| tail(&log, 30))?;
    let said = std::fs::read_to_string(&log)?;
    let line = said.lines().last().unwrap_or_default();
    ensure!(status.success() && line.ends_with("| VALID"), "{status} {said}");
    ensure!(line.starts_with(&format!("accepted={distinct} ")), "{line}");
    ensure!(payment_seen && told.is_empty(), "{payment_seen} {told:?}");
    for log in std::fs::read_dir(data.join("logs"))?.map(|entry| Ok(entry?.path())).chain([Ok(log)]) {
        let log: PathBuf = log.map_err(|error: std::io::Error| error)?;
        let text = std::fs::read_to_string(&log)?;
        ensure!(!text.contains(&access.password), "{} tells the password", log.display());
    }
    Ok(())
}

fn what_variables_say_of_a_cluster_is_not_for_the_embedded_broker() -> Result<()> {
    let (inputs, _) = some_orders("embedded", 20)?;
    let mut command = job("order", &inputs, &[])?;
    command.env("QUADRILLE_X_SECURITY_PROTOCOL", "ssl");
    let line = last_line(&ended(command.output()?)?)?;
    ensure!(line.ends_with("| VALID"), "{line}");
    Ok(())
}

/// Programs with their arguments, as everybody on this machine sees them.
fn command_lines() -> Result<Vec<String>> {
    let processes = std::fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.path().join("cmdline")));
    // One that has ended meanwhile has none.
    let lines = processes.filter_map(|file| std::fs::read(file).ok());
    Ok(lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect())
}

/// The first records of the orders that are shipped, as a file, and how many distinct inputs they are.
fn some_orders(name: &str, records: usize) -> Result<(PathBuf, usize)> {
    let text = std::fs::read_to_string(topology("order.jsonl"))?;
    let lines: Vec<&str> = text.lines().take(records).collect();
    let parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let orders = parsed.iter().filter(|line| line["value"].is_object());
    let orders: std::collections::BTreeSet<_> = orders.map(|line| line["key"].as_str()).collect();
    let unreadable = parsed.iter().filter(|line| line["value_base64"].is_string()).count();
    let file = run_dir()?.join(format!("{name}.jsonl"));
    std::fs::write(&file, lines.join("\n"))?;
    Ok((file, orders.len() + unreadable))
}

fn a_flow_of_another_shape_runs_from_its_file_alone(cluster: &Cluster) -> Result<()> {
    let output = dev("trip", &on(cluster))?;
    let line = last_line(&output)?;
    let expected = "accepted=62 effect_once=60 dlt=2 lost=0 dup_effect=0 leaked=0 after_undo=0 unsettled=0 phantom=0 \
                    | sagas=60 completed=40 compensated=20 stuck=0 dual_outcome=0 | txns=";
    ensure!(line.starts_with(expected) && line.ends_with("| VALID"), "{line}");
    Ok(())
}

fn it_is_valid_twice_in_a_row_on_its_own_servers() -> Result<()> {
    for _ in 0..2 {
        let output = dev("trip", &[])?;
        ensure!(last_line(&output)?.ends_with("| VALID"));
        let progress = String::from_utf8(output.stderr)?;
        ensure!(progress.contains("62/62"), "no progress in a pipe: {progress}");
    }
    Ok(())
}

fn the_orders_are_composed_as_the_file_beside_them_says() -> Result<()> {
    let said: BTreeMap<String, usize> =
        serde_json::from_str(&std::fs::read_to_string(topology("order.composition.json"))?)?;
    let text = std::fs::read_to_string(topology("order.jsonl"))?;
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut orders: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["value"].is_object()) {
        orders.entry(line["key"].as_str().context("a key")?).or_default().push(line);
    }
    let skus = |order: &Value, prefix: &str| {
        let lines = order["value"]["lines"].as_array();
        lines.is_some_and(|lines| {
            lines.iter().any(|line| line["sku"].as_str().is_some_and(|sku| sku.starts_with(prefix)))
        })
    };
    let sold_out = |copies: &Vec<&Value>| skus(copies[0], "SOLD-OUT");
    let declined = |copies: &Vec<&Value>| {
        copies[0]["value"]["customer_id"].as_str().is_some_and(|id| id.starts_with("DECLINED"))
    };
    let count = |is: &dyn Fn(&Vec<&Value>) -> bool| orders.values().filter(|copies| is(copies)).count();
    let undecodable = lines.iter().filter(|line| line["value_base64"].is_string()).count();
    let found = BTreeMap::from([
        ("lines".to_owned(), lines.len()),
        ("distinct_inputs".to_owned(), orders.len() + undecodable),
        ("orders".to_owned(), orders.len()),
        ("out_of_stock".to_owned(), count(&sold_out)),
        ("card_declined".to_owned(), count(&declined)),
        ("out_of_stock_and_card_declined".to_owned(), count(&|copies| sold_out(copies) && declined(copies))),
        ("stock_fails_at_first".to_owned(), count(&|copies| skus(copies[0], "FLAKY"))),
        ("sent_three_times".to_owned(), count(&|copies| copies.len() == 3)),
        ("undecodable".to_owned(), undecodable),
    ]);
    ensure!(found == said, "{found:?} instead of {said:?}");
    let ids: std::collections::BTreeSet<_> = lines.iter().map(|l| l["headers"]["ce_id"].as_str()).collect();
    ensure!(ids.len() == lines.len(), "copies have event IDs of their own");
    Ok(())
}

fn what_cannot_run_is_said_at_once() -> Result<()> {
    let nobody = ["--bootstrap-servers", "127.0.0.1:1", "--schema-registry", "http://127.0.0.1:1"];
    let cases: [(&str, &[&str], &str); 4] = [
        ("order.yaml", &nobody, "cannot use Kafka at 127.0.0.1:1"),
        ("no.yaml", &[], "the topology"),
        ("order.jsonl", &[], "has mistakes"),
        ("order.yaml", &["--publish", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
    ];
    for (file, arguments, message) in cases {
        let began = std::time::Instant::now();
        let output =
            Command::new(program("quadrille")?).arg("dev").arg(topology(file)).args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && said.contains(message), "{file} {arguments:?}: {said}");
        ensure!(!said.contains("panicked"), "{said}");
        ensure!(began.elapsed() < Duration::from_secs(40), "{file} took {:?}", began.elapsed());
    }
    Ok(())
}

fn a_line_that_cannot_be_published_is_named_before_anything_starts() -> Result<()> {
    let cases = [
        ("\n{\"topic\":\"orders\",\"key\":", "line 2: EOF while parsing a value at column 24"),
        ("{\"topic\":\"nosuch\"}", "line 1: mesh shop has no topic nosuch"),
        (
            "\n\n{\"topic\":\"orders\",\"partition\":99}",
            "line 3: there is no partition 99: topic orders has 4",
        ),
    ];
    for (text, message) in cases {
        let file = run_dir()?.join("broken.jsonl");
        std::fs::write(&file, text)?;
        let mut command = Command::new(program("quadrille")?);
        let output = command.arg("dev").arg(topology("order.yaml")).arg("--publish").arg(&file).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && said.contains(message), "{said}");
        ensure!(!said.contains("kafka 127.0.0.1"), "it started all the same: {said}");
    }
    Ok(())
}

/// Such an order used to start a saga that waited for its deadline, as no step could read it.
fn json_that_does_not_fit_its_schema_starts_no_saga() -> Result<()> {
    let line = |id: &str, content_type: &str, name: &str, value: Value| {
        let headers = json!({"ce_specversion": "1.0", "ce_id": id, "ce_source": "/test", "ce_type": "OrderPlaced",
            "ce_correlationid": id, "content-type": content_type});
        json!({"topic": "orders", "key": id, "headers": headers, name: value}).to_string()
    };
    let order =
        json!({"order_id": "whole", "customer_id": "c", "lines": [], "amount_cents": 1, "currency": "EUR"});
    let whole = line("whole", "application/avro", "value", order);
    // {"order_id":"half"}
    let half = line("half", "application/json", "value_base64", json!("eyJvcmRlcl9pZCI6ImhhbGYifQ=="));
    let file = run_dir()?.join("json.jsonl");
    std::fs::write(&file, format!("{whole}\n{half}\n"))?;
    let said = last_line(&ended(job("order", &file, &[])?.output()?)?)?;
    let expected = "accepted=2 effect_once=1 dlt=1 lost=0 ";
    ensure!(said.starts_with(expected) && said.contains("| sagas=1 completed=1 "), "{said}");
    Ok(())
}

fn a_run_that_is_broken_off_says_so_and_leaves_nothing() -> Result<()> {
    let temporary = run_dir()?.join("broken-off");
    std::fs::create_dir_all(&temporary)?;
    let log = run_dir()?.join("broken-off.log");
    let mut command = Command::new(program("quadrille")?);
    command.arg("dev").arg(topology("order.yaml")).arg("--publish").arg(topology("order.jsonl"));
    command.env("TMPDIR", &temporary);
    let process = Process::spawn("dev", command, &log)?;
    process.wait_ready(Duration::from_secs(60), || grown_by(&log, 0).contains("data "))?;
    let status = process.interrupt(Duration::from_secs(40))?;
    let said = grown_by(&log, 0);
    ensure!(status.code() == Some(2) && said.contains("broken off by SIGINT"), "{status}: {said}");
    ensure!(!said.contains("panicked") && !said.contains("VALID"), "{said}");
    ensure!(std::fs::read_dir(&temporary)?.next().is_none(), "the data is still in {}", temporary.display());
    Ok(())
}

/// As in `quadrille dev … | head -1`: standard output and standard error end in a pipe that nobody reads.
fn a_reader_that_goes_changes_no_exit_code() -> Result<()> {
    let script = "{ \"$0\" dev \"$1\" --publish \"$2\" 2>&1; echo $? >\"$3\"; } | true";
    let code = run_dir()?.join("reader-gone");
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program("quadrille")?);
    command.arg(topology("trip.yaml")).arg(topology("trip.jsonl")).arg(&code);
    ensure!(command.status()?.success());
    let code = std::fs::read_to_string(&code)?;
    ensure!(code.trim() == "0", "exit code {code}");
    Ok(())
}

fn on(cluster: &Cluster) -> Vec<String> {
    ["--bootstrap-servers", cluster.bootstrap(), "--schema-registry", cluster.registry_url()]
        .map(str::to_owned)
        .to_vec()
}

/// Runs a flow with the inputs that are shipped with it.
fn dev(flow: &str, arguments: &[String]) -> Result<Output> {
    ended(job(flow, &topology(&format!("{flow}.jsonl")), arguments)?.output()?)
}

/// A flow with inputs of its own, about to run.
fn job(flow: &str, inputs: &Path, arguments: &[String]) -> Result<Command> {
    let mut command = Command::new(program("quadrille")?);
    command
        .arg("dev")
        .arg(topology(&format!("{flow}.yaml")))
        .arg("--publish")
        .arg(inputs)
        .args(["--timeout", "200s"])
        .args(arguments);
    Ok(command)
}

/// What it said, if it was content.
fn ended(output: Output) -> Result<Output> {
    if !output.status.success() {
        bail!(
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(output)
}

fn last_line(output: &Output) -> Result<String> {
    let text = String::from_utf8(output.stdout.clone())?;
    Ok(text.lines().last().context("it printed nothing")?.to_owned())
}

fn topology(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology").join(file)
}
