//! `quorate start`: the configuration from file, variables and flags, then the server.

use clap::{Arg, ArgMatches, Command};
use quorate_server::config::{Config, ConfigError, KEYS, Layers};

use crate::cli::StartArgs;

/// Keys whose flag is shorter than the key.
const SHORTER: [(&str, &str); 1] = [("datacenter", "dc")];

/// Adds a flag to `start` for every key of the configuration.
pub fn with_configuration_keys(command: Command) -> Command {
    command.mut_subcommand("start", |start| {
        start.args(KEYS.iter().map(|(key, help)| {
            let long = key.replace('_', "-");
            let arg = Arg::new(*key).help(*help).value_name("VALUE");
            match SHORTER.iter().find(|(shortened, _)| shortened == key) {
                Some((_, short)) => arg.long(*short).visible_alias(long),
                None => arg.long(long),
            }
        }))
    })
}

/// Runs a node; gives the exit status.
pub fn run(args: &StartArgs, flags: Option<&ArgMatches>) -> u8 {
    if let Some(parent) = args.die_with_parent
        && let Err(reason) = die_with_parent(parent)
    {
        eprintln!("quorate start: {reason}");
        return 1;
    }
    let config = match configuration(args, flags) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("quorate start: {error}");
            return 1;
        }
    };
    match quorate_server::run(&config) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("quorate start: {error}");
            1
        }
    }
}

fn configuration(args: &StartArgs, flags: Option<&ArgMatches>) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    if let Some(path) = &args.config {
        layers.file(path)?;
    }
    layers.variables(
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )?;
    for variable in &layers.unknown_variables {
        eprintln!("quorate start: the variable {variable} is no key of the configuration; it is ignored");
    }
    if let Some(flags) = flags {
        for (key, _) in KEYS {
            if let Some(value) = flags.get_one::<String>(key) {
                layers.flag(key, value)?;
            }
        }
    }
    layers.build()
}

/// Has the kernel end this process when its parent ends, however that ends.
#[cfg(target_os = "linux")]
fn die_with_parent(parent: i32) -> Result<(), String> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot follow the parent: {error}"))?;
    // It may have ended before the wish was known.
    match getppid() {
        Some(actual) if actual.as_raw_nonzero().get() == parent => Ok(()),
        _ => Err("the parent has ended already".to_owned()),
    }
}

/// Elsewhere only an orderly end of the parent ends this process.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: i32) -> Result<(), String> {
    Ok(())
}
