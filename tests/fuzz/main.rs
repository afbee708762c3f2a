//! Every target with every seed, and with mutations of them by a seeded generator: what cargo-fuzz does for hours, for seconds,
//! and without its compiler flags.

mod targets;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::rounds;
use targets::{TARGETS, Target};

/// Mutations of the seeds of each target.
const MUTATIONS: usize = 20_000;

/// A target that is slow gets fewer of them.
const LONGEST: Duration = Duration::from_secs(8);

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let files = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut seeds = files.map(|file| file.expect("a file").path()).collect::<Vec<_>>();
    seeds.sort_unstable();
    assert!(!seeds.is_empty(), "{} has no seeds", dir.display());
    seeds.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("a seed"))).collect()
}

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).expect("a number")).expect("it is below")
    }

    fn byte(&mut self) -> u8 {
        // Those that parsers look for, as often as any.
        const TELLING: [u8; 16] = *b"0,.:-/*\"{}[]\n\0\xff\x7f";
        let any = u8::try_from(self.below(256)).expect("a byte");
        if self.below(2) == 0 { any } else { TELLING[self.below(TELLING.len())] }
    }

    /// One to eight changes: bits, bytes, pieces left out, doubled, or taken from another seed.
    fn mutated(&mut self, seeds: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].1.clone();
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len() + 1);
            let to = at + self.below((bytes.len() - at).min(32) + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.byte(),
                2 => bytes.insert(at, self.byte()),
                3 => drop(bytes.drain(at..to)),
                4 => drop(bytes.splice(at..at, bytes[at..to].to_vec())),
                _ => {
                    let other = &seeds[self.below(seeds.len())].1;
                    let from = self.below(other.len() + 1);
                    let piece = other[from..].iter().take(32).copied().collect::<Vec<_>>();
                    drop(bytes.splice(at..to, piece));
                }
            }
        }
        bytes
    }
}

fn survives(name: &str, target: Target, bytes: &[u8], what: &str) {
    if std::panic::catch_unwind(|| target(bytes)).is_err() {
        let file = std::env::temp_dir().join(format!("crash-{name}"));
        std::fs::write(&file, bytes).expect("a file");
        panic!("{name}: {what}: {}; the input is in {}", String::from_utf8_lossy(bytes), file.display());
    }
}

#[test]
fn no_seed_and_no_mutation_of_one_is_too_much() {
    let seed = std::env::var("PA_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    println!("PA_SEED={seed}");
    std::thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(move || {
                let seeds = seeds(name);
                for (path, bytes) in &seeds {
                    survives(name, target, bytes, &path.display().to_string());
                }
                let mut random = Random(seed.max(1));
                let (begun, mut count) = (Instant::now(), 0);
                while count < rounds(MUTATIONS) && begun.elapsed() < LONGEST {
                    survives(name, target, &random.mutated(&seeds), "a mutation");
                    count += 1;
                }
                println!("{name}: {} seeds, {count} mutations in {:.1?}", seeds.len(), begun.elapsed());
            });
        }
    });
}
