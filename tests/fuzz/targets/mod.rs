//! What is fuzzed: each target is a function that panics where something is wrong. cargo-fuzz calls them, and a test of the
//! workspace does, with the seeds and a few mutations.

mod words;

/// Panics where something is wrong.
pub type Target = fn(&[u8]);

/// By name; the seeds of each are in `seeds/NAME`.
pub const TARGETS: [(&str, Target); 18] = [
    ("audit", partition_agent_core::fuzzing::audit),
    ("config", partition_agent_core::fuzzing::config),
    ("datagram", partition_agent_core::fuzzing::datagram),
    ("dns", partition_agent_core::fuzzing::dns),
    ("dns_tcp", partition_agent_core::fuzzing::dns_tcp),
    ("fleet_file", partition_agent_cli::fuzzing::fleet_file),
    ("frame", partition_agent_core::fuzzing::frame),
    ("gameday", partition_agent_cli::fuzzing::gameday),
    ("hosts", partition_agent_cli::fuzzing::hosts),
    ("journal", partition_agent_core::fuzzing::journal),
    ("nft_replies", partition_agent_core::fuzzing::nft_replies),
    ("probe_answers", partition_agent_cli::fuzzing::probe_answers),
    ("request", partition_agent_core::fuzzing::request),
    ("rtnl_replies", partition_agent_core::fuzzing::rtnl_replies),
    ("sock_diag", partition_agent_core::fuzzing::sock_diag),
    ("texts", partition_agent_core::fuzzing::texts),
    ("told", partition_agent_core::fuzzing::told),
    ("words", words::words),
];
