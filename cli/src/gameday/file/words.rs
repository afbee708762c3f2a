//! The words of faults: those of the command line, read by what reads it there.

use clap::Parser;
use partition_agent_proto::fleet::Selector;
use partition_agent_proto::{FaultId, FaultSpec, Host, Peer};

use crate::args::{InjectArgs, KindArgs, PartitionArgs, PeerArg, TimingArgs};

#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct InjectWords {
    #[arg(long)]
    on: Option<Selector>,
    #[command(flatten)]
    args: InjectArgs,
}

#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct PartitionWords {
    #[arg(long)]
    on: Option<Selector>,
    #[command(flatten)]
    args: PartitionArgs,
}

#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct KindWords {
    #[command(flatten)]
    args: KindArgs,
}

/// A fault, and where.
///
/// # Errors
/// In one line: what is wrong, and what to do.
pub fn inject(words: &str) -> Result<(Option<Selector>, Box<InjectArgs>), String> {
    without_command(words, "inject")?;
    let InjectWords { on, args } = parse(words)?;
    let InjectArgs { id, dry_run, wait, timing, .. } = &args;
    of_a_command(id.as_ref(), *dry_run, *wait, timing)?;
    spec(&args)?;
    Ok((on, Box::new(args)))
}

/// A partition, and among whom.
///
/// # Errors
/// In one line: what is wrong, and what to do.
pub fn partition(words: &str) -> Result<(Option<Selector>, Box<PartitionArgs>), String> {
    without_command(words, "partition")?;
    let PartitionWords { on, args } = parse(words)?;
    let PartitionArgs { id, dry_run, wait, timing, .. } = &args;
    of_a_command(id.as_ref(), *dry_run, *wait, timing)?;
    args.fault()?;
    args.who.parting()?;
    Ok((on, Box::new(args)))
}

/// What happens, and nothing else.
///
/// # Errors
/// In one line: what is wrong, and what to do.
pub fn kinds(words: &str) -> Result<(), String> {
    without_command(words, "inject")?;
    let KindWords { args } = parse(words)?;
    let (kinds, _) = args.kinds(partition_agent_proto::Direction::Both)?;
    if kinds.is_empty() {
        return Err("it does nothing: write what happens, as --latency 50ms".to_owned());
    }
    Ok(())
}

/// Only what follows the command, which is pasted easily. A partition would take it for a group.
///
/// # Errors
/// It is there.
pub fn without_command(words: &str, command: &str) -> Result<(), String> {
    let mut words = words.split_whitespace();
    match (words.next(), words.next()) {
        (Some("partition-agent"), Some(second)) if second == command => {
            Err(format!("leave `partition-agent {command}` out: only what follows it"))
        }
        _ => Ok(()),
    }
}

fn parse<T: Parser>(words: &str) -> Result<T, String> {
    let split = shlex::split(words).ok_or("a quote is not closed, or a backslash is the last character")?;
    T::try_parse_from(split).map_err(|error| one_line(&error.to_string()))
}

/// What clap says, without how a command would be used.
fn one_line(error: &str) -> String {
    let mut paragraphs = error.split("\n\n");
    let joined = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = joined(paragraphs.next().unwrap_or_default());
    let what = what.strip_prefix("error: ").unwrap_or(&what).to_owned();
    let tips = paragraphs.flat_map(str::lines).map(str::trim);
    let tips = tips.filter_map(|line| line.strip_prefix("tip: ")).map(|tip| format!("; {tip}"));
    // It speaks of a bare `--`, which would not help here.
    let tips = tips.filter(|tip| !tip.contains("use '-- "));
    what + &tips.collect::<String>()
}

/// What makes sense for somebody who sits in front of a terminal.
fn of_a_command(id: Option<&FaultId>, dry_run: bool, wait: bool, timing: &TimingArgs) -> Result<(), String> {
    let refused = [
        (id.is_some(), "--id", "a fault is called as its step is: write `name: ...`"),
        (dry_run, "--dry-run", "`run --dry-run` is for the whole game day"),
        (wait, "--wait", "a run stays until its faults are over"),
        (timing.lease.is_some(), "--lease", "a run gives each fault one of its own, and renews it"),
        (timing.no_wait, "--no-wait", "a run stays until its faults are over"),
        (timing.start_in.is_some(), "--start-in", "the time of the step says when"),
    ];
    match refused.into_iter().find(|(there, ..)| *there) {
        Some((_, flag, why)) => Err(format!("{flag} has no place in a game day: {why}")),
        None => Ok(()),
    }
}

/// Whether it makes a fault at all, whoever the groups of the fleet are: any peer would do.
fn spec(args: &InjectArgs) -> Result<FaultSpec, String> {
    let any = |port| Peer { host: Host::Name("host".to_owned()), port };
    let peer = |peer: &PeerArg| match peer {
        PeerArg::Peer(peer) => peer.clone(),
        PeerArg::Group(_, port) => any(*port),
    };
    let mut peers = args.target.peer.iter().map(peer).collect::<Vec<_>>();
    if args.link.is_some() {
        peers.push(any(None));
    }
    let except = args.target.except.iter().map(peer).collect();
    args.spec_of(args.target.target_of(peers, except), args.direction.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let (on, args) = inject(r#"--loss 100% --peer redis --on 'web-*,!web-3' --for "10m""#).unwrap();
        assert_eq!(on.unwrap().to_string(), "web-*,!web-3");
        assert_eq!(args.timing.duration.to_string(), "10m");
        let (on, args) = partition("@eu @us --one-way --for 5m").unwrap();
        assert!(on.is_none() && args.who.one_way);
        assert_eq!(args.who.groups, ["@eu", "@us"]);
        // Groups and links are for the fleet to know.
        assert!(inject("--loss 5% --peer @db:5432").is_ok() && inject("--latency 1s --link a-b").is_ok());
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        for (words, why) in [
            ("--los 100% --peer a", "unexpected argument '--los' found; a similar argument exists: '--loss'"),
            (
                "--loss 101% --peer a",
                "invalid value '101%' for '--loss <PERCENT>': 101% is not a share of packets: it must be at least 0.0001% and \
                 at most 100%",
            ),
            ("--loss 100% --peer 'a", "a quote is not closed, or a backslash is the last character"),
            (
                "--loss 100%",
                "an empty target: name a peer or a port, or ask for all traffic on purpose (--all-traffic)",
            ),
            (
                "partition-agent inject --loss 100% --peer a",
                "leave `partition-agent inject` out: only what follows it",
            ),
            ("--loss 100% --peer a --help", "unexpected argument '--help' found"),
            ("--loss 100% --peer a b", "unexpected argument 'b' found"),
            (
                "--loss 1% --peer a --unit b --container c",
                "the argument '--unit <UNIT>' cannot be used with '--container <NAME>'",
            ),
            (
                "--loss 100% --peer a --direction up",
                "invalid value 'up' for '--direction <DIRECTION>' [possible values: egress, ingress, both]",
            ),
            ("", "nothing to do: ask for a loss, a latency or another kind of fault"),
        ] {
            assert_eq!(inject(words).map(drop), Err(why.to_owned()), "{words}");
        }
        for (words, why) in [
            ("a", "one group has nobody to be parted from: name a second one, as `rest`"),
            ("--halvs", "unexpected argument '--halvs' found; a similar argument exists: '--halves'"),
            (
                " partition-agent  partition @eu @us",
                "leave `partition-agent partition` out: only what follows it",
            ),
            ("a b --dns-fail x", "--dns-fail acts on names, not between hosts: write `inject`"),
        ] {
            assert_eq!(partition(words).map(drop), Err(why.to_owned()), "{words}");
        }
        for (words, why) in [
            ("--loss 5% --peer a", "unexpected argument '--peer' found"),
            ("partition-agent inject --loss 5%", "leave `partition-agent inject` out: only what follows it"),
            ("", "it does nothing: write what happens, as --latency 50ms"),
            ("--latency", "a value is required for '--latency <TIME>' but none was supplied"),
        ] {
            assert_eq!(kinds(words), Err(why.to_owned()), "{words}");
        }
        assert_eq!(kinds("--latency 50ms --jitter 10ms"), Ok(()));
    }

    #[test]
    fn what_is_for_a_terminal_is_refused() {
        for flag in ["--id x", "--dry-run", "--wait", "--lease 5s", "--lease 5s --no-wait", "--start-in 5s"] {
            let name = flag.split(' ').next().unwrap();
            let start = format!("{name} has no place in a game day: ");
            let refused = [
                inject(&format!("--loss 100% --peer a {flag}")).map(drop),
                partition(&format!("a b {flag}")).map(drop),
            ];
            for refused in refused {
                assert!(refused.clone().is_err_and(|why| why.starts_with(&start)), "{flag}: {refused:?}");
            }
        }
    }
}
