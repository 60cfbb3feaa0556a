//! Serves an embedded registry until its standard input ends: `serve 127.0.0.1:8081 data/registry`.

use std::io::Read;

use quadrille_registry::{Config, Registry};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(data)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: serve ADDRESS FOLDER");
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let registry =
        runtime.block_on(Registry::start(Config { listen: listen.parse()?, data: data.into() }))?;
    println!("{}", registry.url());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(registry.shutdown());
    Ok(())
}
