//! Walks the tables of the file, takes each key once, and notes everything that is wrong instead of stopping at the
//! first fault. What was taken, with its origin, is what `danelaw config show` prints.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::Value;

/// One fault of the file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key with its table, as `dns.timeout`.
    pub key: String,
    /// What would be right.
    pub expected: String,
    /// What stands there.
    pub got: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            key,
            expected,
            got,
        } = self;
        write!(f, "{}:{line}", file.display())?;
        if !key.is_empty() {
            write!(f, " {key}")?;
        }
        write!(f, ": expected {expected}, got {got}")
    }
}

/// One key as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its table, as it stands in brackets: empty at the top, `[[listener]]`, `[dns]`.
    pub table: String,
    /// Which table of that name, from 0.
    pub index: usize,
    /// The key.
    pub key: &'static str,
    /// Its value; none when there is none.
    pub value: Option<Json>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file does not say.
    Default,
    /// This line of the file.
    Line(usize),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}

/// The file on its way to a configuration.
pub(super) struct Reader<'t> {
    file: &'t Path,
    text: &'t str,
    pub(super) problems: Vec<Problem>,
    pub(super) settings: Vec<Setting>,
}

impl<'t> Reader<'t> {
    pub(super) const fn new(file: &'t Path, text: &'t str) -> Self {
        Self {
            file,
            text,
            problems: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// The top table; every breach of the grammar is noted and the rest is still read.
    pub(super) fn parse(&mut self) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            self.note(at, "", "TOML", one_line(error.message()));
        }
        table
    }

    /// The part of the file that `[name]` opens.
    pub(super) fn section<'r>(
        &'r mut self,
        top: &'r DeTable<'t>,
        name: &'static str,
    ) -> Section<'r, 't> {
        let table = match top.get(name) {
            Some(value) => self.table(value, name),
            None => None,
        };
        Section::new(self, table, Place::table(name))
    }

    /// A value that must be a table.
    pub(super) fn table<'r>(
        &mut self,
        value: &'r Spanned<DeValue<'t>>,
        name: &'static str,
    ) -> Option<&'r DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let got = self.source(value);
            self.note(value.span().start, name, "a table", got);
        }
        table
    }

    /// A value that must be at least one table of this name.
    pub(super) fn tables<'r>(
        &mut self,
        value: &'r Spanned<DeValue<'t>>,
        name: &'static str,
    ) -> Vec<&'r DeTable<'t>> {
        match value.get_ref().as_array() {
            Some(array) if !array.is_empty() => array
                .iter()
                .filter_map(|one| self.table(one, name))
                .collect(),
            Some(_) | None => {
                let got = self.source(value);
                let expected = format!("[[{name}]] tables");
                self.note(value.span().start, name, &expected, got);
                Vec::new()
            }
        }
    }

    pub(super) fn note(&mut self, at: usize, key: &str, expected: &str, got: String) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: self.line(at),
            key: key.to_owned(),
            expected: expected.to_owned(),
            got,
        });
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        1 + memchr::memchr_iter(b'\n', before).count()
    }

    pub(super) fn source(&self, value: &Spanned<DeValue<'t>>) -> String {
        one_line(self.text.get(value.span()).unwrap_or("nothing"))
    }
}

/// Where a section stands.
#[derive(Clone)]
pub(super) struct Place {
    /// In brackets.
    header: String,
    /// Before the key, with its dot.
    prefix: String,
    index: usize,
}

impl Place {
    /// The keys before the first table.
    pub(super) const fn top() -> Self {
        Self {
            header: String::new(),
            prefix: String::new(),
            index: 0,
        }
    }

    /// The table of this name.
    pub(super) fn table(name: &str) -> Self {
        Self {
            header: format!("[{name}]"),
            prefix: format!("{name}."),
            index: 0,
        }
    }

    /// The table number `index` of an array.
    pub(super) fn array(name: &str, index: usize) -> Self {
        Self {
            header: format!("[[{name}]]"),
            prefix: format!("{name}[{index}]."),
            index,
        }
    }
}

/// One table on its way to a part of the configuration.
pub(super) struct Section<'r, 't> {
    reader: &'r mut Reader<'t>,
    table: Option<&'r DeTable<'t>>,
    place: Place,
    known: Vec<&'static str>,
}

impl<'r, 't> Section<'r, 't> {
    pub(super) const fn new(
        reader: &'r mut Reader<'t>,
        table: Option<&'r DeTable<'t>>,
        place: Place,
    ) -> Self {
        Self {
            reader,
            table,
            place,
            known: Vec::new(),
        }
    }

    /// Names a key that is read elsewhere: a table within this one.
    pub(super) fn elsewhere(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// The value of a key, or `default`.
    pub(super) fn read<T: Value>(&mut self, key: &'static str, default: T) -> T {
        let read = self.take(key);
        let origin = read.as_ref().map_or(Origin::Default, |read| read.1);
        let value = read.map_or(default, |read| read.0);
        self.keep(key, Some(value.write()), origin);
        value
    }

    /// The value of a key that may have none.
    pub(super) fn optional<T: Value>(&mut self, key: &'static str) -> Option<T> {
        let read = self.take::<T>(key);
        let origin = read.as_ref().map_or(Origin::Default, |read| read.1);
        let value = read.map(|read| read.0);
        self.keep(key, value.as_ref().map(Value::write), origin);
        value
    }

    /// A path, relative to the directory of the file.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let read = self.take::<PathBuf>(key);
        let origin = read.as_ref().map_or(Origin::Default, |read| read.1);
        let directory = self.reader.file.parent();
        let path = read.map(|read| match directory {
            Some(directory) => directory.join(read.0),
            None => read.0,
        });
        self.keep(key, path.as_ref().map(Value::write), origin);
        path
    }

    /// Text that may hold a secret: neither shown nor told when it is wrong.
    pub(super) fn secret<T: fmt::Display, E: fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let read = self.take::<String>(key);
        let origin = read.as_ref().map_or(Origin::Default, |read| read.1);
        let at = self.value(key).map_or(0, |value| value.span().start);
        let parsed = read.map(|read| parse(&read.0));
        let value = match parsed {
            Some(Ok(value)) => Some(value),
            Some(Err(expected)) => {
                let (name, expected) = (self.name(key), expected.to_string());
                let got = "another value, which may hold a password and is not repeated here";
                self.reader.note(at, &name, &expected, got.into());
                None
            }
            None => None,
        };
        let shown = value.as_ref().map(|value| Json::from(value.to_string()));
        self.keep(key, shown, origin);
        value
    }

    /// The value of a key that must be there; `stand_in` lets the reading go on without it.
    pub(super) fn required<T: Value>(&mut self, key: &'static str, stand_in: T) -> T {
        self.note_absence::<T>(key);
        self.read(key, stand_in)
    }

    /// The same where nothing can stand in for it; none when it is missing or wrong, which is noted.
    pub(super) fn needed<T: Value>(&mut self, key: &'static str) -> Option<T> {
        self.note_absence::<T>(key);
        self.optional(key)
    }

    fn note_absence<T: Value>(&mut self, key: &'static str) {
        if self.value(key).is_none() {
            let start = self.start();
            let wanted = T::read(&DeValue::Boolean(false)).err();
            let name = self.name(key);
            let expected = wanted.unwrap_or("a value");
            self.reader.note(start, &name, expected, "nothing".into());
        }
    }

    /// Notes that a value does not go with the others.
    pub(super) fn contradiction(&mut self, key: &'static str, expected: &str) {
        let value = self.value(key);
        let at = value.map_or_else(|| self.start(), |value| value.span().start);
        let got = value.map_or_else(|| "nothing".into(), |value| self.reader.source(value));
        let name = self.name(key);
        self.reader.note(at, &name, expected, got);
    }

    /// Every key that nobody asked for is a fault: it would be a setting that silently does nothing.
    pub(super) fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                let expected = format!("one of {}", self.known.join(", "));
                let path = format!("{}{}", self.place.prefix, one_line(name));
                self.reader
                    .note(key.span().start, &path, &expected, "an unknown key".into());
            }
        }
    }

    fn take<T: Value>(&mut self, key: &'static str) -> Option<(T, Origin)> {
        self.known.push(key);
        let value = self.value(key)?;
        match T::read(value.get_ref()) {
            Ok(read) => {
                let line = self.reader.line(value.span().start);
                Some((read, Origin::Line(line)))
            }
            Err(expected) => {
                let got = self.reader.source(value);
                let name = self.name(key);
                self.reader.note(value.span().start, &name, expected, got);
                None
            }
        }
    }

    fn keep(&mut self, key: &'static str, value: Option<Json>, origin: Origin) {
        self.reader.settings.push(Setting {
            table: self.place.header.clone(),
            index: self.place.index,
            key,
            value,
            origin,
        });
    }

    fn value(&self, key: &str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.table?.get(key)
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.place.prefix)
    }

    /// Where the table's first key stands, for want of a better place.
    fn start(&self) -> usize {
        let keys = self.table.into_iter().flatten();
        keys.map(|(key, _)| key.span().start).min().unwrap_or(0)
    }
}

/// Text of the file in a message: one line, not too long, nothing that a terminal would obey.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut line: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}
