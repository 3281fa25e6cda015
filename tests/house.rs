//! The rules of this house that a machine can check: how files open, how long they are, what they are called, what pure
//! code may touch, how standards are cited. `docs/standards.md`, the table of all citations, is made here too.
//!
//! Every rule is a function from a file to complaints, and a table below shows it a file that it must reject.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "a test crate of its own: it reads the tree, and a panic is how a test fails"
)]

#[path = "house/ledger.rs"]
mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ledger::Ledger;

/// A source file: its path from the root of the tree, with `/`, its text, and whether it is part of tests only.
struct Source {
    path: String,
    text: String,
    tests_only: bool,
}

type Rule = fn(&Source) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("opens with what it alone knows", opens_with_its_purpose),
    ("is short enough to read", is_short_enough),
    ("is named after what it knows", is_named_after_something),
    ("leaves the lab to the lab", leaves_the_lab_alone),
    ("is pure where the architecture says so", is_pure),
    ("cites standards in one form", cites_in_one_form),
];

#[test]
fn every_source_file_keeps_the_rules() {
    let mut complaints = Vec::new();
    for source in sources(&["src"]) {
        for (rule, check) in RULES {
            let found = check(&source).into_iter();
            complaints
                .extend(found.map(|found| format!("{}: a file {rule}: {found}", source.path)));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_table_of_standards_is_up_to_date() {
    let sources = sources(&["src", "tests", "fuzz", "benches"]);
    let table = standards(&sources) + &ledger(&sources).tables();
    let file = root().join("docs/standards.md");
    if std::env::var_os("DANELAW_REGENERATE").is_some_and(|value| value == "1") {
        fs::create_dir_all(root().join("docs")).expect("docs/ can be made");
        fs::write(&file, &table).expect("docs/standards.md can be written");
    }
    let present = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        present == table,
        "docs/standards.md is out of date; `{REGENERATE}` writes it anew"
    );
}

#[test]
fn every_requirement_has_a_test_or_a_reason() {
    let complaints = ledger(&sources(&["src", "tests", "fuzz", "benches"])).complaints();
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}\n",
        complaints.len(),
        complaints.join("\n")
    );
}

#[test]
fn only_production_lines_count_towards_the_length() {
    let lines = "fn f() {}\n".repeat(600);
    let rows = [
        (format!("//! Long.\n{lines}"), false),
        (
            format!("//! As long as may be.\n{}", "fn f() {}\n".repeat(599)),
            true,
        ),
        (
            format!("//! Short and tested.\n#[cfg(test)]\nmod tests {{\n{lines}}}\n"),
            true,
        ),
        (
            format!(
                "//! The same.\n#[cfg(test)]\n#[expect(\n    a,\n)]\nmod tests {{\n{lines}}}\n"
            ),
            true,
        ),
        (
            format!("//! A test import first.\n#[cfg(test)]\nuse a::b;\n{lines}"),
            false,
        ),
    ];
    for (text, passes) in rows {
        let complaints = is_short_enough(&source("src/a.rs", &text));
        assert_eq!(complaints.is_empty(), passes, "{complaints:?}");
    }
}

#[test]
fn every_rule_rejects_what_it_is_there_for() {
    for (rule, path, text, passes) in ROWS {
        let complaints = rule(&source(path, text));
        assert_eq!(
            complaints.is_empty(),
            *passes,
            "{path}, {text:.60}: {complaints:?}"
        );
    }
}

#[test]
fn the_table_sorts_sections_by_number_and_splits_code_from_trials() {
    let table = standards(&[
        source("src/b.rs", "// RFC 7672 §3.1.10, §2.2 and RFC 822.\n"),
        source("src/a.rs", "// RFC 7672 §3.1.10; RFC 7672 §3.1.9\n"),
        source("tests/c.rs", "// RFC 7672 §3.1.10\n"),
        source("src/lab/catalogue/d.rs", "// RFC 7672 §3.1.9\n"),
    ]);
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| ") || line.starts_with("## "))
        .collect();
    assert_eq!(
        rows,
        [
            "## RFC 822",
            "| section | in the code | in scenarios and tests |",
            "| as a whole | src/b.rs | |",
            "## RFC 7672",
            "| section | in the code | in scenarios and tests |",
            "| §2.2 | src/b.rs | |",
            "| §3.1.9 | src/a.rs | src/lab/catalogue/d.rs |",
            "| §3.1.10 | src/a.rs, src/b.rs | tests/c.rs |",
        ]
    );
}

#[test]
fn a_module_for_tests_only_is_known_by_its_declaration() {
    let text = "//! A.\n#[cfg(test)]\n#[expect(a)]\nmod odd;\nmod even;\n#[cfg(test)]\npub(crate) mod sample;\nfn f() {}\n";
    let declared: Vec<String> = test_modules(&source("src/a/mod.rs", text)).collect();
    assert_eq!(declared, ["src/a/odd", "src/a/sample"]);
    assert_eq!(
        test_modules(&source("src/a.rs", text)).next().as_deref(),
        Some("src/a/odd")
    );
    assert_eq!(
        test_modules(&source("src/lib.rs", text)).next().as_deref(),
        Some("src/odd")
    );
    assert_eq!(
        production(&source("src/a.rs", text)).count(),
        8,
        "declarations end nothing"
    );
}

/// Without this crate's own tests, whose names are examples.
fn ledger(sources: &[Source]) -> Ledger {
    let read = |path| fs::read_to_string(root().join(path)).expect("a list can be read");
    let others: Vec<Source> = sources
        .iter()
        .filter(|source| !source.path.starts_with("tests/house"))
        .map(|source| self::source(&source.path, &source.text))
        .collect();
    Ledger::new(&read(ledger::LIST), &read(ledger::UNTESTED), &others)
}

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
        tests_only: false,
    }
}

fn opens_with_its_purpose(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    match first.strip_prefix("//! ") {
        Some(words) if !words.trim().is_empty() => Vec::new(),
        Some(_) | None => vec![format!("its first line is `{first}`, not `//! …`")],
    }
}

fn is_short_enough(source: &Source) -> Vec<String> {
    let lines = production(source).count();
    if lines <= LONGEST {
        Vec::new()
    } else {
        vec![format!(
            "{lines} production lines, at most {LONGEST} may be"
        )]
    }
}

fn is_named_after_something(source: &Source) -> Vec<String> {
    let names = source.path.trim_end_matches(".rs").split('/');
    names
        .filter(|name| EMPTY_NAMES.contains(name))
        .map(|name| format!("`{name}` says nothing"))
        .collect()
}

fn leaves_the_lab_alone(source: &Source) -> Vec<String> {
    if ["src/lab/", "src/cli/"]
        .iter()
        .any(|home| source.path.starts_with(home))
    {
        return Vec::new();
    }
    let imports = |line: &str| {
        words(line).contains(&"lab")
            && (["crate::lab", "danelaw::lab", "super::lab"]
                .iter()
                .any(|path| line.contains(path))
                || line.trim_start().starts_with("use "))
    };
    offending(source, imports)
}

fn is_pure(source: &Source) -> Vec<String> {
    let Some(pure) = PURE.iter().find(|pure| source.path.starts_with(pure.path)) else {
        return Vec::new();
    };
    offending(source, |line| {
        words(line)
            .iter()
            .any(|word| IMPURE.contains(word) || (*word == "hickory_resolver" && !pure.speaks_dns))
            || line.contains("Instant::now")
            || line.contains("SystemTime::now")
    })
}

fn cites_in_one_form(source: &Source) -> Vec<String> {
    let wrong = |line: &&str| -> Option<String> {
        citations(line)
            .err()
            .map(|why| format!("{why} in `{}`", line.trim()))
    };
    source
        .text
        .lines()
        .filter_map(|line| wrong(&line))
        .collect()
}

/// One mention of a standard, of one of its sections or of the whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Citation {
    rfc: u32,
    section: Option<Section>,
}

/// `§3.1.3`, `§A.1`: numbers sort by value, letters of appendices behind them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Section(Vec<Result<u32, String>>);

/// The citations of one line. The accepted forms are
///
/// * `RFC 7672 §3.1.3`, or with more sections of the same document `RFC 7672 §3.1.3, §8.1 and §10` (`§A.1` for an appendix);
/// * `RFC 7672`, the document as a whole, not followed by a number or a word for a section.
///
/// A citation stands on one line, so that a search finds it. Anything else that looks like one is wrong.
fn citations(line: &str) -> Result<Vec<Citation>, String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = find_mention(rest) {
        if rest[..at].contains('§') {
            return Err("a section without its RFC in front".to_owned());
        }
        let Some(mention) = rest[at..].strip_prefix("RFC ") else {
            return Err("not the form `RFC NNNN §x.y`".to_owned());
        };
        let (number, after) = split_while(mention, |c| c.is_ascii_digit());
        let rfc: u32 = number
            .parse()
            .map_err(|_| format!("`{number}` is no RFC number"))?;
        let (sections, after) = sections(after)?;
        if sections.is_empty() {
            whole(after)?;
            found.push(Citation { rfc, section: None });
        }
        found.extend(sections.into_iter().map(|section| Citation {
            rfc,
            section: Some(section),
        }));
        rest = after;
    }
    if rest.contains('§') {
        return Err("a section without its RFC in front".to_owned());
    }
    if let Some(other) = OTHER_SERIES
        .iter()
        .find(|other| mentions_series(line, other))
    {
        return Err(format!("`{other}…` is not cited here, the RFC is"));
    }
    Ok(found)
}

/// Where `rfc` in any case is followed by a number, with a space, a hyphen or nothing between.
fn find_mention(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find("rfc").map(|at| at + from) {
        let begins_word = !lower[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let after = lower[at + 3..].trim_start_matches([' ', '-']);
        // `Rfc822Name` and `Rfc3339` are somebody else's identifiers, `rfc822` the address type of RFC 3461 §4.2.
        let (_, tail) = split_while(after, |c| c.is_ascii_digit());
        let is_number = tail.len() < after.len()
            && !tail.starts_with(char::is_alphabetic)
            && !text[at..].starts_with("Rfc3339")
            && !text[at..].starts_with("rfc822");
        if begins_word && is_number {
            return Some(at);
        }
        from = at + 3;
    }
    None
}

/// ` §3.1, §3.2 and §4` at the start of `text`, and what comes after.
fn sections(text: &str) -> Result<(Vec<Section>, &str), String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut joints: &[&str] = &[" §"];
    while let Some(section) = joints.iter().find_map(|joint| rest.strip_prefix(joint)) {
        let (path, after) = split_while(section, |c| c.is_ascii_alphanumeric() || c == '.');
        let (path, dots) = path.split_at(path.trim_end_matches('.').len());
        if !path.starts_with(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase()) {
            return Err(format!("`§{path}` is no section number"));
        }
        found.push(Section(
            path.split('.')
                .map(|part| part.parse().map_err(|_| part.to_owned()))
                .collect(),
        ));
        if !dots.is_empty() {
            // The end of the sentence: what follows belongs to another.
            return Ok((found, after));
        }
        rest = after;
        joints = &[", §", ", and §", " and §", " or §", " to §"];
    }
    Ok((found, rest))
}

/// Checks that what follows a bare `RFC NNNN` is not another way to name a section.
fn whole(after: &str) -> Result<(), String> {
    let next = after
        .trim_start_matches([' ', ',', '(', '#'])
        .to_ascii_lowercase();
    let other_form = SECTION_WORDS.iter().any(|word| next.starts_with(word));
    if other_form || next.starts_with(|c: char| c.is_ascii_digit() || c == '§') {
        return Err("a section in another form than `§x.y`".to_owned());
    }
    Ok(())
}

fn mentions_series(line: &str, series: &str) -> bool {
    line.match_indices(series)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric()))
}

/// `docs/standards.md` for these sources.
fn standards(sources: &[Source]) -> String {
    let mut cited: BTreeMap<u32, BTreeMap<Option<Section>, [BTreeSet<&str>; 2]>> = BTreeMap::new();
    for source in sources
        .iter()
        .filter(|source| !source.path.starts_with("tests/house"))
    {
        let column = usize::from(
            !source.path.starts_with("src/") || source.path.starts_with("src/lab/catalogue"),
        );
        for citation in source
            .text
            .lines()
            .filter_map(|line| citations(line).ok())
            .flatten()
        {
            let files = cited
                .entry(citation.rfc)
                .or_default()
                .entry(citation.section)
                .or_default();
            files[column].insert(&source.path);
        }
    }
    let mut table = HEADER.replace("{command}", REGENERATE);
    for (rfc, sections) in cited {
        table += &format!(
            "\n## RFC {rfc}\n\n| section | in the code | in scenarios and tests |\n|---|---|---|\n"
        );
        for (section, [code, trials]) in sections {
            let section =
                section.map_or_else(|| "as a whole".to_owned(), |section| section.to_string());
            table += &format!("| {section} |{}|{}|\n", cell(&code), cell(&trials));
        }
    }
    table
}

fn cell(files: &BTreeSet<&str>) -> String {
    let files: Vec<&str> = files.iter().copied().collect();
    if files.is_empty() {
        " ".to_owned()
    } else {
        format!(" {} ", files.join(", "))
    }
}

impl std::fmt::Display for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = self
            .0
            .iter()
            .map(|part| part.as_ref().map_or_else(Clone::clone, ToString::to_string));
        write!(f, "§{}", parts.collect::<Vec<_>>().join("."))
    }
}

/// The lines before the test module at the bottom; none of a file that belongs to tests only.
fn production(source: &Source) -> impl Iterator<Item = &str> {
    let end = test_items(&source.text).find(|(_, item)| is_module(item) && item.ends_with('{'));
    let whole = source.text.lines().count();
    let count = end.map_or(whole, |(line, _)| line);
    source
        .text
        .lines()
        .take(if source.tests_only { 0 } else { count })
}

/// The items for tests only: the number of the line with the attribute, and the first line of the item itself.
fn test_items(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let attributes = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| **line == "#[cfg(test)]");
    let attributes: Vec<usize> = attributes.map(|(line, _)| line).collect();
    attributes.into_iter().filter_map(move |line| {
        let item = lines[line + 1..]
            .iter()
            .find(|line| !line.starts_with(['#', ' ', ')']));
        item.map(|item| (line, *item))
    })
}

fn is_module(item: &str) -> bool {
    item.starts_with("mod ")
        || item.starts_with("pub(crate) mod ")
        || item.starts_with("pub(super) mod ")
}

/// The files and directories of modules that `source` declares for tests only: `src/a/b` for `mod b;` in `src/a/mod.rs`.
fn test_modules(source: &Source) -> impl Iterator<Item = String> {
    let stem = source.path.trim_end_matches(".rs");
    let home = ["/mod", "/lib", "/main"]
        .iter()
        .find_map(|root| stem.strip_suffix(root))
        .unwrap_or(stem);
    let declared =
        test_items(&source.text).filter(|(_, item)| is_module(item) && item.ends_with(';'));
    let names = declared.filter_map(|(_, item)| item.trim_end_matches(';').split(' ').next_back());
    names.map(move |name| format!("{home}/{name}"))
}

/// A complaint for each production line whose code, comments aside, is `wrong`.
fn offending(source: &Source, wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let code = production(source).map(|line| line.split("//").next().unwrap_or_default());
    code.filter(|code| wrong(code))
        .map(|code| format!("`{}`", code.trim()))
        .collect()
}

fn words(line: &str) -> Vec<&str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect()
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn sources(directories: &[&str]) -> Vec<Source> {
    let mut pending: Vec<PathBuf> = directories
        .iter()
        .map(|directory| root().join(directory))
        .collect();
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() && !path.ends_with("fuzz/target") {
            let entries = fs::read_dir(&path).expect("a directory of the tree can be read");
            pending.extend(entries.map(|entry| entry.expect("an entry of the tree").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file can be read");
            let path = path
                .strip_prefix(root())
                .expect("it was found below")
                .to_string_lossy()
                .replace('\\', "/");
            found.push(Source {
                path,
                text,
                tests_only: false,
            });
        }
    }
    assert!(!found.is_empty(), "there are sources");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let tests: Vec<String> = found.iter().flat_map(test_modules).collect();
    for source in &mut found {
        let below = |module: &String| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        source.tests_only = tests.iter().any(below);
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// For each rule files that it must reject, and files close to them that it must let pass.
const ROWS: &[(Rule, &str, &str, bool)] = &[
    (
        opens_with_its_purpose,
        "src/a.rs",
        "//! Knows this.\n",
        true,
    ),
    (
        opens_with_its_purpose,
        "src/a.rs",
        "use std::fmt;\n//! Late.\n",
        false,
    ),
    (
        opens_with_its_purpose,
        "src/a.rs",
        "//!\n//! Nothing on the first line.\n",
        false,
    ),
    (is_named_after_something, "src/dns/helpers.rs", "", false),
    (is_named_after_something, "src/common/mod.rs", "", false),
    (is_named_after_something, "src/dns/answers.rs", "", true),
    (
        leaves_the_lab_alone,
        "src/proxy/mod.rs",
        "use crate::lab::sink::Sink;\n",
        false,
    ),
    (
        leaves_the_lab_alone,
        "src/main.rs",
        "danelaw::lab::start();\n",
        false,
    ),
    (
        leaves_the_lab_alone,
        "src/proxy/mod.rs",
        "use crate::{clock, lab};\n",
        false,
    ),
    (
        leaves_the_lab_alone,
        "src/proxy/mod.rs",
        "// As in crate::lab::sink.\nfn label() {}\n",
        true,
    ),
    (
        leaves_the_lab_alone,
        "src/proxy/mod.rs",
        "#[cfg(test)]\nmod tests {\nuse crate::lab::sink;\n}\n",
        true,
    ),
    (
        leaves_the_lab_alone,
        "src/cli/demo.rs",
        "use crate::lab::sink::Sink;\n",
        true,
    ),
    (
        is_pure,
        "src/smtp/line.rs",
        "use tokio::io::AsyncRead;\n",
        false,
    ),
    (is_pure, "src/dane/verify.rs", "use std::{fs, io};\n", false),
    (
        is_pure,
        "src/verdict/mod.rs",
        "let socket = std::net::TcpStream::connect(a);\n",
        false,
    ),
    (
        is_pure,
        "src/x509/path.rs",
        "use std::net::IpAddr; // no tokio\n",
        true,
    ),
    (
        is_pure,
        "src/mtasts/policy.rs",
        "use hickory_resolver::Name;\n",
        false,
    ),
    (
        is_pure,
        "src/dns/proof/nsec.rs",
        "use hickory_resolver::proto::rr::Name;\n",
        true,
    ),
    (
        is_pure,
        "src/dns/proof.rs",
        "use tokio::net::UdpSocket;\n",
        false,
    ),
    (
        is_pure,
        "src/mtasts/fetch.rs",
        "use tokio::net::TcpStream;\n",
        true,
    ),
    (
        is_pure,
        "src/policy/demand.rs",
        "let now = Instant::now();\n",
        false,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// RFC 7672 §3.1.3: obeyed.\n",
        true,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// (RFC 5321 §4.1.1.1, §4.2 and §5; RFC 8461 §A.1)\n",
        true,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "/// A null MX (RFC 7505), as the RFCs say.\n",
        true,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// [RFC 6698]'s words, and RFC 1928 CONNECT.\n",
        true,
    ),
    (cites_in_one_form, "src/a.rs", "// RFC7672 §3.1.3\n", false),
    (cites_in_one_form, "src/a.rs", "// rfc 7672\n", false),
    (
        cites_in_one_form,
        "src/a.rs",
        "// RFC 7672 section 3.1.3\n",
        false,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// RFC 7672, Section 3.1.3\n",
        false,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// RFC 7672 § 3.1.3\n",
        false,
    ),
    (cites_in_one_form, "src/a.rs", "// RFC 7672 3.1.3\n", false),
    (
        cites_in_one_form,
        "src/a.rs",
        "// §3.1.3 of RFC 7672\n",
        false,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// RFC 7672\n// §3.1.3\n",
        false,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// https://www.rfc-editor.org/rfc/rfc7672.html\n",
        false,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// draft-ietf-dane-smtp-10\n",
        false,
    ),
    (cites_in_one_form, "src/a.rs", "// BCP 195\n", false),
    (
        cites_in_one_form,
        "src/a.rs",
        "idna::AsciiDenyList::STD3; SanType::Rfc822Name; Rfc3339; rfc_5155(x)\n",
        true,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// RFC 5321 §4.5.3.2.1 to §4.5.3.2.3\n",
        true,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "// RFC 5321 §4.5.3.1.4 is so, and §4.5.3.1.8 otherwise.\n",
        false,
    ),
    (
        cites_in_one_form,
        "src/a.rs",
        "ORCPT=rfc822;a@b.example\n",
        true,
    ),
];

/// A module that decides and does nothing else.
struct Pure {
    path: &'static str,
    /// Whether it may use the DNS library's types for names and records.
    speaks_dns: bool,
}

const PURE: &[Pure] = &[
    Pure {
        path: "src/smtp/",
        speaks_dns: false,
    },
    Pure {
        path: "src/dane/",
        speaks_dns: false,
    },
    Pure {
        path: "src/x509/",
        speaks_dns: false,
    },
    Pure {
        path: "src/verdict/",
        speaks_dns: false,
    },
    Pure {
        path: "src/mtasts/record.rs",
        speaks_dns: false,
    },
    Pure {
        path: "src/mtasts/policy.rs",
        speaks_dns: false,
    },
    Pure {
        path: "src/policy/demand.rs",
        speaks_dns: false,
    },
    Pure {
        path: "src/intercept/rules/plan",
        speaks_dns: false,
    },
    Pure {
        path: "src/intercept/rules/table.rs",
        speaks_dns: false,
    },
    Pure {
        path: "src/intercept/rules/nft.rs",
        speaks_dns: false,
    },
    Pure {
        path: "src/intercept/rules/iptables.rs",
        speaks_dns: false,
    },
    Pure {
        path: "src/intercept/rules/compare.rs",
        speaks_dns: false,
    },
    Pure {
        path: "src/dns/proof",
        speaks_dns: true,
    },
];

const IMPURE: &[&str] = &[
    "tokio",
    "fs",
    "TcpStream",
    "TcpListener",
    "TcpSocket",
    "UdpSocket",
];
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "types", "manager", "misc",
];
const SECTION_WORDS: &[&str] = &["sec", "section", "appendix", "chapter", "paragraph"];
const OTHER_SERIES: &[&str] = &["draft-ietf-", "BCP ", "STD ", "FYI "];
const LONGEST: usize = 600;

const REGENERATE: &str = "DANELAW_REGENERATE=1 cargo test --test house";
const HEADER: &str = "# Standards

Which file obeys which section, from the citations in the source. Made by a test, not by hand:

```sh
{command}
```
";
