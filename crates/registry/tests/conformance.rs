//! The conformance suite against the embedded registry, and against any other whose base URL is in
//! `QUADRILLE_TEST_REGISTRY_URL` (an Apicurio registry, whose known differences are expected).

use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock};

use libtest_mimic::{Arguments, Failed, Trial};
use quadrille_registry::{Config, Registry};
use quadrille_registry_conformance::{CHECKS, Check, Context};

fn run(check: &Check, url: &str, apicurio: bool, alone: &RwLock<()>) -> Result<(), Failed> {
    let context = Context::new(url)?;
    let result = if check.exclusive {
        let _alone = alone.write().unwrap_or_else(PoisonError::into_inner);
        (check.run)(&context)
    } else {
        let _shared = alone.read().unwrap_or_else(PoisonError::into_inner);
        (check.run)(&context)
    };
    match (result, check.apicurio.filter(|_| apicurio)) {
        (Ok(()), None) | (Err(_), Some(_)) => Ok(()),
        (Err(error), None) => Err(format!("{error:#}").into()),
        (Ok(()), Some(known)) => Err(format!("passes, though it is listed as a difference: {known}").into()),
    }
}

fn trials(kind: &'static str, url: &str) -> Vec<Trial> {
    let alone = Arc::new(RwLock::new(()));
    let trial = |check: &'static Check| {
        let (url, alone) = (url.to_owned(), alone.clone());
        Trial::test(check.name, move || run(check, &url, kind == "apicurio", &alone)).with_kind(kind)
    };
    CHECKS.iter().map(trial).collect()
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::from_args();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), data: folder.path().to_owned() };
    let registry = runtime.block_on(Registry::start(config))?;
    let mut all = trials("embedded", &registry.url());
    if let Ok(url) = std::env::var("QUADRILLE_TEST_REGISTRY_URL") {
        // Its own default is NONE.
        let level = serde_json::json!({ "compatibility": "BACKWARD" });
        Context::new(&url)?.put("/config", &level)?.ok()?;
        all.extend(trials("apicurio", &url));
    }
    let conclusion = libtest_mimic::run(&arguments, all);
    runtime.block_on(registry.shutdown());
    Ok(conclusion.exit_code())
}
