//! Ten hosts with a real agent each, over real TCP, and the command line on an eleventh.

mod partitions;

use std::time::Duration;

/// How long a stopping fault may take on a machine that does other things, too.
const SLACK: Duration = Duration::from_secs(5);
