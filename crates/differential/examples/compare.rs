//! `cargo run -p quadrille-differential --example compare -- HOST:PORT HOST:PORT FIRST_SEED SEEDS`: two brokers that run.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [first, second, from, count] = &arguments[..] else {
        eprintln!("usage: compare HOST:PORT HOST:PORT FIRST_SEED SEEDS");
        return ExitCode::from(2);
    };
    let (Ok(from), Ok(count)) = (from.parse::<u64>(), count.parse::<u64>()) else {
        eprintln!("seeds are numbers");
        return ExitCode::from(2);
    };
    let mut different = 0;
    for seed in from..from + count {
        let names = format!("compare-{:08x}", fastrand::u32(..));
        if let Err(error) = quadrille_differential::compare(first, second, &names, seed) {
            different += 1;
            println!("{error:#}\n");
        }
    }
    println!("{different} of {count} differ");
    ExitCode::from(u8::from(different > 0))
}
