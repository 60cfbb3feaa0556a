//! Rounds of mutations over a corpus.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fastrand::Rng;

use super::heap;

/// Longer inputs say nothing that shorter ones do not.
const MOST_BYTES: usize = 64 * 1024;

/// One thing that decodes.
pub(super) struct Target<'a> {
    /// Folder of its corpus, and what it is called in failures.
    pub(super) name: &'a str,
    pub(super) rounds: u32,
    /// Makes mutated bytes valid again as far as checksums go, so that they get past them.
    pub(super) seal: fn(&mut [u8]),
    /// Most bytes that decoding this many may hold.
    pub(super) most_held: fn(usize) -> usize,
}

/// The stored inputs of `name`; never none.
pub(super) fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

impl Target<'_> {
    /// Feeds the corpus as it is, and then mutations of it.
    ///
    /// # Panics
    /// An input panicked or took too much memory; it lies in a file that is named.
    pub(super) fn run(&self, decode: impl Fn(&[u8], &mut Rng)) {
        let corpus = corpus(self.name);
        let long = std::env::var("QUADRILLE_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
        for (round, input) in (0..).zip(&corpus) {
            self.feed(round, input, &decode);
        }
        for round in 0..long.unwrap_or(self.rounds) {
            let mut rng = Rng::with_seed(u64::from(round));
            let mut input = mutated(&corpus, &mut rng);
            if rng.u8(..4) > 0 {
                (self.seal)(&mut input);
            }
            self.feed(round, &input, &decode);
        }
    }

    fn feed(&self, round: u32, input: &[u8], decode: &impl Fn(&[u8], &mut Rng)) {
        let mut rng = Rng::with_seed(!u64::from(round));
        let work = || catch_unwind(AssertUnwindSafe(|| decode(input, &mut rng)));
        let (outcome, held) = heap::peak(work);
        let most = (self.most_held)(input.len());
        if outcome.is_ok() && held <= most {
            return;
        }
        let kept = std::env::temp_dir().join(format!("quadrille-fuzz-{}-{round}", self.name));
        let written = fs::write(&kept, input);
        let what = if outcome.is_err() { "panicked" } else { "took too much memory" };
        panic!(
            "{} round {round}: {} bytes {what} (held {held} of {most} bytes); they are in {} ({written:?})",
            self.name,
            input.len(),
            kept.display()
        );
    }
}

fn mutated(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = corpus[rng.usize(..corpus.len())].clone();
    for _ in 0..rng.u8(1..8) {
        mutate(&mut input, corpus, rng);
    }
    input.truncate(MOST_BYTES);
    input
}

/// Values at which lengths and counts go wrong.
const EDGES: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x0fff_ffff, u64::MAX, u64::MAX >> 1];

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let until = (at + rng.usize(..64)).min(input.len());
    match rng.u8(..8) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..until)),
        2 => {
            let more: Vec<u8> = (0..rng.usize(..16)).map(|_| rng.u8(..)).collect();
            input.splice(at..at, more);
        }
        3 => {
            let again = input[at..until].repeat(rng.usize(1..4));
            input.splice(at..at, again);
        }
        4 => {
            let other = &corpus[rng.usize(..corpus.len())];
            let from = rng.usize(..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        5 | 6 => {
            let width = [1, 2, 4, 8][rng.usize(..4)];
            let edge = EDGES[rng.usize(..EDGES.len())].to_be_bytes();
            let until = (at + width).min(input.len());
            input.splice(at..until, edge[8 - width..].iter().copied());
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << rng.u8(..8);
            }
        }
    }
}

#[test]
fn a_panic_and_a_glutton_are_found() {
    let target = |most_held| Target { name: "frames", rounds: 50, seal: |_| {}, most_held };
    let fails = |target: Target<'_>, decode: fn(&[u8], &mut Rng)| {
        catch_unwind(AssertUnwindSafe(|| target.run(decode))).is_err()
    };
    assert!(!fails(target(|_| 1000), |_, _| {}));
    assert!(fails(target(|_| 1000), |input, _| assert!(input.len() > 20, "planted")));
    assert!(fails(target(|_| 1000), |_, _| drop(std::hint::black_box(vec![0_u8; 5000]))));
}
