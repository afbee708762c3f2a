//! Game days: on a fleet of hosts with real agents, and the shipped ones in a lab with real servers.

mod runs;
