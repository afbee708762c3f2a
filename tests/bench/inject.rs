//! How fast is a fault in force? From the moment at which a tool is asked, by a request or by starting its first program, until the first
//! packet to the last of its targets is hit. And back: until the first one passes.

use std::time::{Duration, Instant};

use crate::bed::{APART, Bed, targets};
use crate::peers::{CUTTING, DELAYING, Fault, Peer};
use crate::record::{Cell, Table};
use crate::tool::{Ready, Tool};
use crate::watch::{Pace, Watch};

/// How often, and for how long, one cell is measured.
#[derive(Debug, Clone, Copy)]
struct Budget {
    least: usize,
    most: usize,
    time: Duration,
    /// A tool that takes longer for one round is given up.
    longest: Duration,
}

impl Budget {
    /// What takes longer than all of it is not repeated.
    fn is_spent(&self, rounds: usize, time: Duration) -> bool {
        match rounds {
            0 => false,
            rounds if rounds < self.least => time > 2 * self.time,
            rounds => rounds >= self.most || time > self.time,
        }
    }
}

/// How long it may take from when a tool says that it is done until that is felt.
const PATIENCE: Duration = Duration::from_secs(5);

const HERE: Budget =
    Budget { least: 3, most: 200, time: Duration::from_secs(5), longest: Duration::from_secs(30) };
const EMULATED: Budget =
    Budget { least: 2, most: 5, time: Duration::from_secs(8), longest: Duration::from_secs(30) };

pub fn run() -> Vec<Table> {
    let bed = Bed::new(Pace { apart: Duration::from_micros(50), late: Duration::from_millis(20) });
    let tools = [Tool::Api, Tool::Command].into_iter().chain(CUTTING.map(Tool::Peer));
    let sizes = [1, 100, 10_000];
    let mut tables = tables("A cut", &sizes, "No packet to the targets passes.");
    for tool in tools {
        measure(&bed, tool, &sizes, |targets| Fault::Cut(targets), HERE, &mut tables);
    }
    let again = right_behind(&bed);
    tables[0]
        .row("partition-agent, a request right behind a restore", vec![again, Cell::Nothing, Cell::Nothing]);
    tables.into_iter().map(Table::against_the_first).collect()
}

/// Where the kernel has netem.
pub fn run_netem() -> Vec<Table> {
    let by = Duration::from_millis(200);
    let bed = Bed::new(Pace { apart: Duration::from_millis(2), late: by / 2 });
    let tools = [Tool::Api, Tool::Command].into_iter().chain(DELAYING.map(Tool::Peer));
    let sizes = [1, 100];
    let mut tables = tables("A delay", &sizes, "Packets to the targets are 200 ms late, by netem.");
    for tool in tools {
        let sizes = if tool == Tool::Peer(Peer::Tcconfig) { &sizes[..1] } else { &sizes[..] };
        measure(&bed, tool, sizes, |targets| Fault::Delay(targets, by), EMULATED, &mut tables);
    }
    tables.into_iter().map(Table::against_the_first).collect()
}

fn tables(what: &str, sizes: &[usize], means: &str) -> [Table; 2] {
    let columns =
        sizes.iter().map(|&size| if size == 1 { "1 target".to_owned() } else { format!("{size} targets") });
    let columns = columns.collect::<Vec<_>>();
    let columns = columns.iter().map(String::as_str).collect::<Vec<_>>();
    let inject = format!(
        "{means} From asking the tool until the first packet to the last target is hit. Each begins on a host where nothing was done before."
    );
    [
        Table::new(&format!("{what}: until it is felt"), &inject, &columns),
        Table::new(
            &format!("{what}: until it is gone"),
            "From asking the tool to restore until the first packet to the last target passes.",
            &columns,
        ),
    ]
}

/// A row of each of both tables; a column that has no size has nothing.
fn measure<'a>(
    bed: &Bed,
    tool: Tool,
    sizes: &[usize],
    fault: impl for<'t> Fn(&'t [std::net::Ipv4Addr]) -> Fault<'t>,
    budget: Budget,
    tables: &'a mut [Table; 2],
) {
    let columns = tables[0].columns.len();
    // The first time that a kernel does something it may load a module for it.
    if let Ok(ready) = tool.ready(bed, fault(&targets(1))) {
        let _ = ready.inject(bed, budget.longest).and_then(|_| ready.restore(bed, budget.longest));
        ready.clean(bed);
    }
    let [mut injects, mut restores] = [vec![], vec![]];
    for &size in sizes {
        let targets = targets(size);
        let (inject, restore) = match tool.ready(bed, fault(&targets)) {
            Ok(ready) => rounds(bed, &ready, budget),
            Err(why) => (Cell::text(why), Cell::Nothing),
        };
        injects.push(inject);
        restores.push(restore);
    }
    for (table, mut cells) in tables.iter_mut().zip([injects, restores]) {
        cells.resize(columns, Cell::Nothing);
        table.row(tool.name(), cells);
    }
}

/// There and back, as often as the budget has it.
fn rounds(bed: &Bed, ready: &Ready, budget: Budget) -> (Cell, Cell) {
    let watch = bed.watch(ready.way());
    let begun = Instant::now();
    let [mut injects, mut restores] = [vec![], vec![]];
    let mut refusals = [None, None];
    while !budget.is_spent(injects.len(), begun.elapsed()) {
        watch.forget();
        std::thread::sleep(APART);
        match felt(&watch, ready.inject(bed, budget.longest)) {
            Ok(took) => injects.push(took),
            Err(why) => {
                refusals[0] = Some(why);
                break;
            }
        }
        std::thread::sleep(APART);
        // One who does not get back in time is not asked again.
        if refusals[1].is_none() {
            match healed(&watch, ready.restore(bed, budget.longest)) {
                Ok(took) => restores.push(took),
                Err(why) => refusals[1] = Some(why),
            }
        }
        ready.clean(bed);
    }
    ready.clean(bed);
    let [inject, restore] = refusals;
    (cell(&injects, inject), cell(&restores, restore))
}

fn cell(times: &[Duration], refusal: Option<String>) -> Cell {
    match refusal {
        Some(why) if times.is_empty() => Cell::Text(why),
        Some(why) => Cell::Text(format!("{} times, then {why}", times.len())),
        None => Cell::times(times),
    }
}

fn felt(watch: &Watch, asked: Result<Instant, String>) -> Result<Duration, String> {
    let asked = asked?;
    let felt = watch.felt(asked, PATIENCE).ok_or("reports success, and nothing is hit")?;
    Ok(felt - asked)
}

fn healed(watch: &Watch, asked: Result<Instant, String>) -> Result<Duration, String> {
    let asked = asked?;
    let healed = watch.healed(asked, PATIENCE).ok_or("reports success, and nothing passes")?;
    Ok(healed - asked)
}

/// What the kernel makes an inject wait that comes right behind a restore.
fn right_behind(bed: &Bed) -> Cell {
    let targets = targets(1);
    let ready = Tool::Api.ready(bed, Fault::Cut(&targets)).expect("ours cuts");
    let watch = bed.watch(ready.way());
    let mut times = Vec::new();
    for _ in 0..50 {
        watch.forget();
        times.push(felt(&watch, ready.inject(bed, HERE.longest)).expect("it is felt"));
        ready.restore(bed, HERE.longest).expect("it restores");
    }
    Cell::times(&times)
}
