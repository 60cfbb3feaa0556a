//! A start against servers that are not there, do not let us in, or are not as the topology says: each program says what,
//! where and what to do, and ends by itself. And the right password lets all of them in.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use quadrille_kafka::{Settings, definition};
use quadrille_provision::How;
use quadrille_tests::fleet::{Fleet, Members};
use quadrille_tests::folders::{program, run_dir};
use quadrille_tests::process::{Process, run_to_end, tail};
use quadrille_tests::secured::Access;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_topology::lower;
use quadrille_types::topics::Names;

use crate::ops::Shop;

/// Programs give up after 10 s at most; the rest is room for a busy machine.
const GIVES_UP: Duration = Duration::from_secs(90);

/// Nobody listens here.
const NOBODY: &str = "127.0.0.1:1";

pub(crate) fn promises() -> Vec<Promise> {
    let slow = Duration::from_secs(240);
    vec![
        promise!(on_secured, a_wrong_password_is_said).with_registry().within(slow),
        promise!(on_secured, an_authority_that_is_not_trusted_is_said).with_registry().within(slow),
        promise!(on_secured, plaintext_to_a_port_with_passwords_is_said).with_registry().within(slow),
        promise!(on_secured, the_right_password_lets_every_program_in).with_registry().within(slow),
        promise!(on_broker, brokers_that_are_not_there_are_said).with_registry().within(slow),
        promise!(on_broker, a_registry_that_is_not_there_is_said).within(slow),
        promise!(on_broker, topics_with_another_number_of_partitions_are_said).with_registry().within(slow),
    ]
}

/// Where programs are told to look.
struct Servers<'a> {
    bootstrap: &'a str,
    registry: &'a str,
    settings: Vec<(&'static str, String)>,
}

/// A program by the name of its log, with its arguments.
type Start<'a> = (&'static str, &'static str, &'a [&'a str]);

const STEP: Start<'_> = ("step", "step", &[]);
const COORDINATOR: Start<'_> = ("saga-coordinator", "saga-coordinator", &[]);
const LIST: Start<'_> = ("topics-list", "quadrille", &["topics", "list"]);
const APPLY: Start<'_> = ("apply", "quadrille", &["apply", "FILE"]);
const DEV: Start<'_> = ("dev", "quadrille", &["dev", "FILE"]);

impl Servers<'_> {
    /// Passwords go by variables, as the README says; other settings by flags.
    fn command(&self, shop: &Shop, (_, binary, arguments): Start<'_>) -> Result<Command> {
        let mut command = Command::new(program(binary)?);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUADRILLE_")) {
            command.env_remove(name);
        }
        let file = shop.file()?;
        command.args(arguments.iter().map(|argument| argument.replace("FILE", file)));
        for (name, value) in &self.settings {
            match *name {
                "sasl.password" => command.env("QUADRILLE_X_SASL_PASSWORD", value),
                _ => command.args(["-X", &format!("{name}={value}")]),
            };
        }
        command
            .env("QUADRILLE_TOPOLOGY", file)
            .env("QUADRILLE_BOOTSTRAP_SERVERS", self.bootstrap)
            .env("QUADRILLE_SCHEMA_REGISTRY", self.registry);
        if binary != "quadrille" {
            command.env("QUADRILLE_AUTO_REGISTER", "true");
        }
        Ok(command)
    }

    /// Each program ends by itself, and its last line holds each of `words`.
    fn refuse(&self, shop: &Shop, starts: &[Start<'_>], words: &[&str]) -> Result<()> {
        let start = |start: &Start<'_>| {
            let log = run_dir()?.join(format!("{}-{}.log", shop.mesh.name, start.0));
            Process::spawn(start.0, self.command(shop, *start)?, &log)
        };
        let started = starts.iter().map(start).collect::<Result<Vec<_>>>()?;
        for (process, (name, ..)) in started.iter().zip(starts) {
            let status = eventually(GIVES_UP, &format!("{name} gives up"), || {
                process.exit_status()?.context("it runs")
            })
            .with_context(|| tail(process.log(), 20))?;
            let said = fs::read_to_string(process.log())?;
            ensure!(!status.success() && status.code().is_some(), "{name} ended with {status}: {said}");
            ensure!(!said.contains("panicked"), "{name}: {said}");
            let last = said.lines().last().unwrap_or_default();
            let missing = words.iter().find(|word| !last.contains(**word));
            ensure!(missing.is_none(), "{name} does not say {missing:?}: {said}");
            let secret = self.settings.iter().find(|(name, _)| *name == "sasl.password");
            ensure!(secret.is_none_or(|(_, value)| !said.contains(value)), "{name} tells a password: {said}");
        }
        Ok(())
    }
}

/// A mesh that `quadrille dev` can start.
fn shop(cluster: &Cluster) -> Result<Shop> {
    let shop = Shop::new(cluster, |text| text)?;
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/../topology/order.dev.yaml");
    fs::copy(programs, shop.file.with_extension("dev.yaml"))?;
    Ok(shop)
}

/// Settings for the listener with TLS, one of them another.
fn but(access: &Access, name: &str, value: &str) -> Vec<(&'static str, String)> {
    let mut settings = access.over_tls();
    settings.iter_mut().filter(|setting| setting.0 == name).for_each(|setting| setting.1 = value.to_owned());
    settings
}

fn a_wrong_password_is_said(cluster: &Cluster) -> Result<()> {
    let access = cluster.access();
    let settings = but(access, "sasl.password", "a-wrong-one");
    let servers = Servers { bootstrap: &access.tls, registry: cluster.registry_url(), settings };
    let words = [
        "cannot use Kafka at",
        &access.tls,
        "authentication failed",
        "check sasl.mechanism",
        "sasl.password",
    ];
    servers.refuse(&shop(cluster)?, &[STEP, COORDINATOR, LIST, APPLY, DEV], &words)
}

fn an_authority_that_is_not_trusted_is_said(cluster: &Cluster) -> Result<()> {
    let access = cluster.access();
    let settings = but(access, "ssl.ca.location", &access.foreign_ca.display().to_string());
    let servers = Servers { bootstrap: &access.tls, registry: cluster.registry_url(), settings };
    let words = [
        "cannot use Kafka at",
        &access.tls,
        "TLS failed",
        "certificate",
        "check security.protocol and ssl.ca.location",
    ];
    servers.refuse(&shop(cluster)?, &[STEP, COORDINATOR, LIST, APPLY, DEV], &words)
}

fn plaintext_to_a_port_with_passwords_is_said(cluster: &Cluster) -> Result<()> {
    let access = cluster.access();
    for bootstrap in [&access.plain, &access.tls] {
        let servers = Servers { bootstrap, registry: cluster.registry_url(), settings: Vec::new() };
        let words = [
            "cannot use Kafka at",
            bootstrap,
            "no broker answers",
            "check security.protocol, which is plaintext",
        ];
        servers.refuse(&shop(cluster)?, &[STEP, COORDINATOR, LIST, APPLY, DEV], &words)?;
    }
    Ok(())
}

fn brokers_that_are_not_there_are_said(cluster: &Cluster) -> Result<()> {
    let servers = Servers { bootstrap: NOBODY, registry: cluster.registry_url(), settings: Vec::new() };
    let words = ["cannot use Kafka at", NOBODY, "no broker answers", "Connection refused"];
    // `apply` and `dev` have promises of their own.
    servers.refuse(&shop(cluster)?, &[STEP, COORDINATOR, LIST], &words)
}

fn a_registry_that_is_not_there_is_said(cluster: &Cluster) -> Result<()> {
    let shop = shop(cluster)?;
    let settings = Settings::new(cluster.bootstrap(), [])?;
    quadrille_provision::apply(&settings, &shop.mesh, How::new(1))?;
    let registry = format!("http://{NOBODY}");
    let servers = Servers { bootstrap: cluster.bootstrap(), registry: &registry, settings: Vec::new() };
    let words = ["schema registry", &registry, "can't be reached", "Connection refused", "--schema-registry"];
    servers.refuse(&shop, &[STEP, COORDINATOR, APPLY, DEV], &words)
}

fn topics_with_another_number_of_partitions_are_said(cluster: &Cluster) -> Result<()> {
    let shop = shop(cluster)?;
    let settings = Settings::new(cluster.bootstrap(), [])?;
    quadrille_provision::apply(&settings, &shop.mesh, How::new(1))?;
    let text = fs::read_to_string(&shop.file)?;
    let other = text.replace("    partitioner: unknown", "    partitions: 6");
    ensure!(other != text, "the file has changed");
    fs::write(&shop.file, other)?;
    // Otherwise that is what they say.
    let (names, mesh) = (Names::new(&shop.mesh.name), quadrille_host::topology::load(&shop.file)?);
    let follows = definition::active(&settings, &names)?;
    definition::activate(&settings, &names, &lower::definition(&mesh), follows.as_ref())?;
    let servers =
        Servers { bootstrap: cluster.bootstrap(), registry: cluster.registry_url(), settings: Vec::new() };
    let words = [
        &shop.mesh.name,
        "has 4 partitions, the topology says 6",
        "make a new topic, or change the topology",
    ];
    // `apply` has a promise of its own.
    servers.refuse(&shop, &[STEP, COORDINATOR, DEV], &words)
}

fn the_right_password_lets_every_program_in(cluster: &Cluster) -> Result<()> {
    let (access, shop) = (cluster.access(), shop(cluster)?);
    let name = &shop.mesh.name;
    let over_tls =
        Servers { bootstrap: &access.tls, registry: cluster.registry_url(), settings: access.over_tls() };
    let log = run_dir()?.join(format!("{name}-apply.log"));
    run_to_end("quadrille apply", over_tls.command(&shop, APPLY)?, &log, GIVES_UP)?;

    let settings = but(access, "security.protocol", "SASL_PLAINTEXT");
    let without_tls = Servers { bootstrap: &access.plain, registry: cluster.registry_url(), settings };
    let log = run_dir()?.join(format!("{name}-list.log"));
    run_to_end("quadrille topics list", without_tls.command(&shop, LIST)?, &log, GIVES_UP)?;
    let listed = fs::read_to_string(&log)?;
    ensure!(listed.contains(&format!("{name}.sagas.outcomes")), "{listed}");

    let mut environment: Vec<_> = access
        .over_tls()
        .into_iter()
        .map(|(name, value)| (format!("QUADRILLE_X_{}", name.to_uppercase().replace('.', "_")), value))
        .collect();
    let mut set = |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
    set("QUADRILLE_TOPOLOGY", shop.file()?);
    set("QUADRILLE_BOOTSTRAP_SERVERS", &access.tls);
    // `apply` has registered the schemas.
    set("QUADRILLE_SCHEMA_REGISTRY", cluster.registry_url());
    let mut services =
        Fleet::new(&run_dir()?.join(format!("{name}-services")), environment, Members::Dynamic)?;
    services.add("step", 1)?;
    services.add("saga-coordinator", 1)?;
    services.wait_ready()?;
    services.stop()
}
