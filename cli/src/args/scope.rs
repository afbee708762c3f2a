//! Where: the flags, and the scope that they make.

use partition_agent_proto::Scope;

#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Where")]
pub struct ScopeArgs {
    /// In a network namespace: a name, a path, or pid:PID
    #[arg(long, value_name = "NETNS")]
    pub netns: Option<String>,
    /// In a container of Docker or Podman: its name or id
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// In every container with a label: KEY or KEY=VALUE
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// In every replica of a compose service
    #[arg(long, value_name = "PROJECT/SERVICE")]
    pub compose: Option<String>,
    /// In a Kubernetes pod on this node, by its uid
    #[arg(long, value_name = "UID")]
    pub pod: Option<String>,
    /// For the processes of a control group, by its path
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<String>,
    /// For the processes of a systemd unit
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// For the processes of a user
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
}

impl ScopeArgs {
    pub fn scope(&self) -> Scope {
        let given = [
            self.netns.clone().map(Scope::Netns),
            self.container.clone().map(Scope::Container),
            self.label.clone().map(Scope::Label),
            self.compose.clone().map(Scope::Compose),
            self.pod.clone().map(Scope::Pod),
            self.cgroup.clone().map(Scope::Cgroup),
            self.unit.clone().map(Scope::Unit),
            self.user.clone().map(Scope::User),
        ];
        // The parser lets only one through.
        given.into_iter().flatten().next().unwrap_or_default()
    }
}
