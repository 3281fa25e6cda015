//! Prints the configuration in force in the format of the file, each value with its origin.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::file::Loaded;
use super::read::{Origin, Setting};

/// Where the comments begin.
const COLUMN: usize = 44;

impl Loaded {
    /// The configuration as TOML; read again it gives the same configuration.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut table = None;
        for setting in &self.settings {
            let here = (setting.table.as_str(), setting.index);
            if !setting.table.is_empty() && table != Some(here) {
                // Writing into a String cannot fail.
                let _ = writeln!(text, "\n{}", setting.table);
            }
            table = Some(here);
            let line = assignment(setting);
            let _ = writeln!(text, "{line:COLUMN$} # {}", setting.origin);
        }
        text
    }

    /// The same for programs.
    #[must_use]
    pub fn to_json(&self) -> Json {
        self.settings.iter().map(setting_json).collect()
    }
}

fn assignment(setting: &Setting) -> String {
    match &setting.value {
        Some(value) => format!("{} = {value}", setting.key),
        None => format!("# {} is not set", setting.key),
    }
}

fn setting_json(setting: &Setting) -> Json {
    let line = match setting.origin {
        Origin::Default => None,
        Origin::Line(line) => Some(line),
    };
    json!({
        "table": setting.table.trim_matches(['[', ']']),
        "index": setting.index,
        "key": setting.key,
        "value": setting.value,
        "line": line,
    })
}
