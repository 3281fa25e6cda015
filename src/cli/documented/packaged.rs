//! The same for what is delivered: units, container files and the side-car, which must also fit each other.

use std::fs;
use std::path::Path;

use saphyr::{LoadableYamlNode, Yaml};

use super::{Told, all_are_taken, files, read, root};
use crate::config::Config;

#[test]
fn the_commands_of_all_units_are_commands() {
    let mut told = Vec::new();
    for path in files("docs/packaging/systemd", ".service") {
        for line in read(&path).lines() {
            let Some((key, command)) = line.split_once('=') else {
                continue;
            };
            if key.starts_with("Exec") {
                let command = command.strip_prefix("/usr/bin/");
                let command = command.unwrap_or_else(|| panic!("{}: {line}", path.display()));
                told.push(Told::read(&path, command));
            }
        }
    }
    all_are_taken(&told, 6);
}

/// The arrays that are command lines in a Containerfile; `CMD` alone stands behind the entry point.
#[test]
fn the_commands_of_the_container_are_commands() {
    let path = root().join("docs/packaging/container/Containerfile");
    let mut told = Vec::new();
    for line in read(&path).lines() {
        let Some((before, _)) = line.split_once("[\"") else {
            continue;
        };
        let array = &line[before.len()..];
        let words: Vec<String> = serde_json::from_str(array).unwrap();
        let words = match before {
            "CMD " => behind_the_entry_point(words),
            _ => behind_the_entry_point(words.into_iter().skip(1).collect()),
        };
        let place = path.display().to_string();
        told.push(Told { place, words });
    }
    all_are_taken(
        &told
            .into_iter()
            .filter(|told| told.words.len() > 1)
            .collect::<Vec<_>>(),
        3,
    );
}

fn behind_the_entry_point(words: Vec<String>) -> Vec<String> {
    std::iter::once("danelaw".to_owned()).chain(words).collect()
}

fn pod() -> (String, String) {
    let path = root().join("docs/packaging/kubernetes/sidecar.yaml");
    (path.display().to_string(), read(&path))
}

fn strings(list: &Yaml<'_>) -> Vec<String> {
    let list = list.as_sequence().unwrap().iter();
    list.map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_commands_of_the_side_car_are_commands() {
    let (place, text) = pod();
    let documents = Yaml::load_from_str(&text).unwrap();
    let spec = &documents[1]["spec"]["template"]["spec"];
    let init = &spec["initContainers"][0];
    let proxy = &spec["containers"][0];
    let mut told: Vec<Vec<String>> = [init, proxy]
        .map(|container| behind_the_entry_point(strings(&container["args"])))
        .into();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let command = strings(&proxy[probe]["exec"]["command"]);
        told.push(behind_the_entry_point(
            command.into_iter().skip(1).collect(),
        ));
    }
    let told = told.into_iter().map(|words| {
        let place = place.clone();
        Told { place, words }
    });
    all_are_taken(&told.collect::<Vec<_>>(), 5);
}

#[test]
fn the_side_car_has_what_it_needs_and_no_more() {
    let (_, text) = pod();
    let documents = Yaml::load_from_str(&text).unwrap();
    let spec = &documents[1]["spec"]["template"]["spec"];
    let init = &spec["initContainers"][0];
    let proxy = &spec["containers"][0];

    // The user of the rules is the user of the proxy, and owns its volumes.
    let args = strings(&init["args"]);
    let user = args.iter().position(|arg| arg == "--user").unwrap();
    let user: i64 = args[user + 1].parse().unwrap();
    for owner in [
        &proxy["securityContext"]["runAsUser"],
        &proxy["securityContext"]["runAsGroup"],
        &spec["securityContext"]["fsGroup"],
    ] {
        assert_eq!(owner.as_integer(), Some(user));
    }

    let capabilities = |container: &Yaml<'_>| {
        let of = &container["securityContext"]["capabilities"];
        assert_eq!(strings(&of["drop"]), ["ALL"]);
        of.as_mapping_get("add").map(strings).unwrap_or_default()
    };
    assert_eq!(capabilities(init), ["NET_ADMIN"]);
    assert!(capabilities(proxy).is_empty());
    for container in [init, proxy] {
        let context = &container["securityContext"];
        assert_eq!(context["readOnlyRootFilesystem"].as_bool(), Some(true));
        assert_eq!(context["allowPrivilegeEscalation"].as_bool(), Some(false));
    }

    // What it writes is mounted.
    let mounts = proxy["volumeMounts"].as_sequence().unwrap().iter();
    let writable = mounts.filter(|mount| mount.as_mapping_get("readOnly").is_none());
    let mut writable: Vec<&str> = writable
        .map(|mount| mount["mountPath"].as_str().unwrap())
        .collect();
    writable.sort_unstable();
    assert_eq!(writable, ["/run/danelaw", "/var/lib/danelaw"]);
    let config = documents[0]["data"]["danelaw.toml"].as_str().unwrap();
    writes_only_there(config);
}

/// Both packages and the side-car keep everything where the unit and the volumes have it.
fn writes_only_there(text: &str) {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("danelaw.toml");
    fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap().config;
    assert_eq!(
        config.control.as_deref(),
        Some(Path::new("/run/danelaw/control.sock"))
    );
    assert!(text.contains("\"/var/lib/danelaw/danelaw.db\""));
    assert!(
        config
            .admin
            .address
            .is_some_and(|address| address.ip().is_loopback())
    );
}

#[test]
fn the_configurations_that_are_delivered_are_sound() {
    let found = files("docs/packaging", ".toml");
    assert_eq!(found.len(), 2);
    for path in found {
        writes_only_there(&read(&path));
    }
}
