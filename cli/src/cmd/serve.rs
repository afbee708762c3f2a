//! `serve`: the daemon.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use partition_agent_core::config::{Config, DEFAULT_CONFIG};
use partition_agent_core::{access, check, daemon};

use crate::args::ServeArgs;
use crate::exit::Failure;
use crate::fleet_view;
use crate::log;
use crate::render;
use crate::tls::TlsFiles;

pub fn run(args: &ServeArgs, token_file: Option<PathBuf>, tls: TlsFiles) -> Result<ExitCode, Failure> {
    if args.check_config {
        return check(args, token_file, tls);
    }
    log::begin(args.log).map_err(|error| Failure::Failed(format!("--log journal: {error}")))?;
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let mut config = Config::load(args.config.as_deref()).map_err(|error| failed(&error))?;
    win(args, token_file, tls, &mut config)?;
    daemon::run(&config, fleet_view::client).map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Flags win over the file.
fn win(
    args: &ServeArgs,
    token_file: Option<PathBuf>,
    tls: TlsFiles,
    config: &mut Config,
) -> Result<(), Failure> {
    if let Some(socket) = &args.socket {
        config.socket.clone_from(socket);
    }
    if let Some(listen) = args.listen {
        config.listen = Some(listen);
    }
    if token_file.is_some() {
        config.token_file = token_file;
    }
    config.tls = own_tls(tls, config.tls.take())?;
    if let Some(state_dir) = &args.state_dir {
        config.state_dir.clone_from(state_dir);
    }
    config.insecure_loopback |= args.insecure_loopback;
    config.namespaces |= args.namespaces;
    Ok(())
}

fn check(args: &ServeArgs, token_file: Option<PathBuf>, tls: TlsFiles) -> Result<ExitCode, Failure> {
    let mut won = Ok(());
    let mistakes = check::mistakes(args.config.as_deref(), |config| won = win(args, token_file, tls, config));
    won?;
    for mistake in &mistakes {
        render::complain(mistake);
    }
    if !mistakes.is_empty() {
        return Ok(ExitCode::from(1));
    }
    let file = args.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
    render::line(&format!("{}: an agent would start with this", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// What flags say, before what the file says. A certificate and its key stay together.
fn own_tls(flags: TlsFiles, file: Option<access::TlsFiles>) -> Result<Option<access::TlsFiles>, Failure> {
    if !flags.is_named() {
        return Ok(file);
    }
    let file = match file {
        Some(access::TlsFiles { cert, key, client_ca }) => {
            TlsFiles { ca: client_ca, cert: Some(cert), key: Some(key) }
        }
        None => TlsFiles::default(),
    };
    match flags.or(file) {
        TlsFiles { ca: client_ca, cert: Some(cert), key: Some(key) } => Ok(Some(access::TlsFiles { cert, key, client_ca })),
        TlsFiles { .. } => Err(Failure::Usage(
            "an agent over TLS has a certificate and its key: name both, with --tls-cert and --tls-key, or under [tls] of its \
             configuration"
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(names: [&str; 3]) -> TlsFiles {
        let [ca, cert, key] = names.map(|name| (!name.is_empty()).then(|| PathBuf::from(name)));
        TlsFiles { ca, cert, key }
    }

    #[test]
    fn flags_win_over_the_file_and_a_key_stays_with_its_certificate() {
        let file = || access::TlsFiles { cert: "c".into(), key: "k".into(), client_ca: None };
        assert_eq!(own_tls(flags(["", "", ""]), Some(file())).unwrap(), Some(file()));
        assert_eq!(own_tls(flags(["", "", ""]), None).unwrap(), None);
        let with_ca = access::TlsFiles { client_ca: Some("ca".into()), ..file() };
        assert_eq!(own_tls(flags(["ca", "", ""]), Some(file())).unwrap(), Some(with_ca));
        let own = access::TlsFiles { cert: "c2".into(), key: "k2".into(), client_ca: None };
        assert_eq!(own_tls(flags(["", "c2", "k2"]), Some(file())).unwrap(), Some(own));
        for names in [["ca", "", ""], ["", "c2", ""], ["", "", "k2"]] {
            assert!(own_tls(flags(names), None).is_err(), "{names:?}");
        }
        assert!(own_tls(flags(["", "c2", ""]), Some(file())).is_err());
    }
}
