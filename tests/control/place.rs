//! A configuration with its folder, the world that it is for, and the commands that use it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use danelaw::lab::catalogue;
use danelaw::lab::sender::{self, Letter};
use danelaw::lab::world::World;
use serde_json::Value;
use tempfile::TempDir;

use crate::service::Service;

/// Domains of the lab, and what becomes of mail to them.
pub(crate) const DELIVERED: &str = "sts-enforce-match";
pub(crate) const REFUSED: &str = "sts-enforce-wrong-name";
pub(crate) const MISMATCH: &str = "dane-ee-mismatch";

pub(crate) async fn world() -> World {
    let wanted = catalogue::all()
        .into_iter()
        .filter(|scenario| [DELIVERED, REFUSED, MISMATCH].contains(&scenario.name));
    World::of(wanted.collect()).await.unwrap()
}

pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// The configuration for the daemon and for the commands, without a listener.
    pub(crate) fn configure(&self, world: &World, more: &str) -> String {
        let text = format!(
            "[dns]\nresolvers = [\"{}\"]\ntrust_anchor = \"{}\"\nprobe_bogus = []\n\
             [tls]\nca_file = \"{}\"\n[mta_sts]\nport = {}\nallow_private = true\n\
             [control]\nsocket = \"{}\"\n[store]\npath = \"{}\"\n{more}",
            world.resolver,
            world.trust_anchor.display(),
            world.ca_file.display(),
            world.policy_port,
            self.socket().display(),
            self.path("danelaw.db").display(),
        );
        fs::write(self.path("danelaw.toml"), &text).unwrap();
        text
    }

    pub(crate) fn danelaw(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(arguments)
            .arg("--config")
            .arg(self.path("danelaw.toml"))
            .output()
            .unwrap()
    }

    /// What a command prints that ends with this code.
    pub(crate) fn printed(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.danelaw(arguments);
        let told = format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it complains of.
    pub(crate) fn complaint(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.danelaw(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The objects that it prints, one a line.
    pub(crate) fn objects(&self, code: i32, arguments: &[&str]) -> Vec<Value> {
        let text = self.printed(code, arguments);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// What the sender of a message hears.
pub(crate) async fn deliver(service: &Service, world: &World, name: &str) -> String {
    let mut stages = world.stages().iter();
    let stage = stages.find(|stage| stage.scenario.name == name).unwrap();
    let letter = Letter {
        recipient: &stage.recipient,
        destination: stage.destination,
        message: b"Subject: hello\r\n\r\nhello\r\n",
    };
    sender::send(service.address, &letter)
        .await
        .unwrap()
        .decisive
}

pub(crate) fn domains(objects: &[Value]) -> Vec<&str> {
    objects
        .iter()
        .map(|object| object["domain"].as_str().unwrap())
        .collect()
}
