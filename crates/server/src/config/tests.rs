//! Precedence, unknown keys, wrong values.

use super::*;

fn layers(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    layers.file_text(file, "quorate.toml")?;
    layers.variables(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))?;
    for (key, value) in flags {
        layers.flag(key, *value)?;
    }
    layers.build()
}

#[test]
fn flags_beat_variables_beat_the_file() {
    let file = "cluster_name = 'file'\nrack = 'file'\ndatacenter = 'file'";
    let variables = [("QUORATE_CLUSTER_NAME", "variable"), ("QUORATE_RACK", "variable"), ("PATH", "/bin")];
    let config = layers(file, &variables, &[("cluster_name", "flag")]).unwrap();
    assert_eq!(config.cluster_name, "flag");
    assert_eq!(config.rack, "variable");
    assert_eq!(config.datacenter, "file");
    assert_eq!(config.network.grpc_port, 9_044);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let error = layers("data-dir = '/x'", &[], &[]).unwrap_err();
    assert_eq!(error.to_string(), "unknown key 'data-dir' in quorate.toml; did you mean 'data_dir'?",);
    let error = layers("sseds = '10.0.0.1'", &[], &[]).unwrap_err();
    assert!(error.to_string().ends_with("did you mean 'seeds'?"), "{error}");
}

#[test]
fn a_wrong_value_names_its_key_and_source() {
    let error = layers("", &[("QUORATE_GRPC_PORT", "many")], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "grpc_port in the variable QUORATE_GRPC_PORT: expected a whole number from 1 to 65535"
    );
    assert!(layers("commit_log = 'sometimes'", &[], &[]).is_err());
    assert!(layers("listen = 'localhost'", &[], &[]).is_err());
    assert!(layers("seeds = 'host:port'", &[], &[]).is_err());
    assert!(layers("cluster_name = ''", &[], &[]).is_err());
    assert!(layers("= 3", &[], &[]).is_err());
}

#[test]
fn seeds_get_the_internode_port() {
    let config = layers("internode_port = 7001\nseeds = ['a', 'b:7', '::1']", &[], &[]).unwrap();
    assert_eq!(config.network.seeds, ["a:7001", "b:7", "[::1]:7001"]);
    let config = layers("", &[], &[("listen", "127.0.0.2"), ("seeds", "127.0.0.1, 127.0.0.2")]).unwrap();
    assert_eq!(config.network.seeds, ["127.0.0.1:7000", "127.0.0.2:7000"]);
    let alone = layers("", &[], &[("listen", "127.0.0.2")]).unwrap();
    assert_eq!(alone.network.seeds, ["127.0.0.2:7000"]);
}

#[test]
fn an_address_that_others_cannot_reach_needs_another() {
    assert!(layers("listen = '0.0.0.0'", &[], &[]).is_err());
    let config = layers("listen = '0.0.0.0'\nadvertise = 'node1'", &[], &[]).unwrap();
    assert_eq!(config.network.internode_address(), "node1:7000");
    assert!(config.warnings().iter().any(|warning| warning.contains("without TLS")));
}

#[test]
fn every_key_is_documented_and_unique() {
    let mut names: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
    assert!(KEYS.iter().all(|(_, text)| text.contains("Default: ")));
}

#[test]
fn every_key_is_shown_with_the_value_in_use() {
    let tls = [
        ("client_tls", "required"),
        ("client_tls_certificate", "/c.pem"),
        ("client_tls_key", "/c.key"),
        ("client_tls_ca", "/ca.pem"),
        ("client_tls_require_certificate", "true"),
        ("internode_tls", "required"),
        ("internode_tls_certificate", "/n.pem"),
        ("internode_tls_key", "/n.key"),
        ("internode_tls_ca", "/ca.pem"),
        ("internode_tls_verify_names", "true"),
    ];
    let others = [("rack", "r7"), ("cache_mb", "7"), ("hint_window_s", "7"), ("commit_log", "periodic")];
    let settings = layers("", &[], &[&tls[..], &others[..]].concat()).unwrap().settings();
    let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    assert_eq!(settings.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), known);
    for (key, value) in tls.iter().chain(&others) {
        assert!(settings.contains(&((*key).to_owned(), (*value).to_owned())), "{key} in {settings:?}");
    }
    // Taken as settings, they are the same again.
    let given: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(layers("", &[], &given).unwrap().settings(), settings);
}
