//! `partition-agent`. All of it is in the library, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    partition_agent_cli::main()
}
