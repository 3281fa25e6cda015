//! The tables about demands: choices for all domains, modes, and exceptions.

use std::path::Path;

use toml::de::DeTable;

use super::ExceptionsConfig;
use super::file::Problems;
use super::read::{Place, Reader, Section};
use super::value::{Days, Since, Until};
use crate::clock::Timestamp;
use crate::dns::resolver::Validate;
use crate::policy::exceptions::{Draft, Exception, Terms, What};
use crate::policy::mode::Percent;
use crate::policy::scope::Scope;
use crate::policy::{Mode, Modes, Settings};

/// `[policy]`.
pub(super) fn read(
    mut section: Section<'_, '_>,
    settings: Settings,
    modes: Modes,
) -> (Settings, Modes) {
    let settings = Settings {
        insecure_mx: section.read("insecure_mx", settings.insecure_mx),
        combine: section.read("combine", settings.combine),
        continuity: section.read("continuity", settings.continuity),
    };
    let mode = section.read("mode", modes.mode);
    let share = section.read("share", modes.share);
    if mode == Mode::Enforce && share != Percent::ALL {
        section.contradiction(
            "share",
            "nothing, or mode = \"report-only\", of which it is a share",
        );
    }
    let key = section.read("share_key", modes.key);
    let mut named = modes.named;
    for (list, mode) in [
        ("enforce", Mode::Enforce),
        ("report_only", Mode::ReportOnly),
    ] {
        for scope in section.read::<Vec<Scope>>(list, Vec::new()) {
            if named.insert(&scope, mode).is_some() {
                section.contradiction(list, &format!("{scope} once, in one of the two lists"));
            }
        }
    }
    section.finish();
    let modes = Modes {
        mode,
        share,
        key,
        named,
    };
    (settings, modes)
}

/// `[exceptions]` and every `[[exception]]`.
pub(super) fn read_exceptions<'t>(
    reader: &mut Reader<'t>,
    top: &DeTable<'t>,
    default: ExceptionsConfig,
    validate: Validate,
) -> ExceptionsConfig {
    let mut section = reader.section(top, "exceptions");
    let days = u32::try_from(default.terms.days()).unwrap_or(u32::MAX);
    let terms = Terms::of_days(section.read("max_days", Days(days)).0);
    section.finish();
    let declared = read_declared(reader, top, terms);
    if validate == Validate::TrustAd && declared.iter().any(|one| one.what().is_anchor()) {
        reader.section(top, "dns").contradiction(
            "validate",
            "\"local\" or \"both\" beside an [[exception]] \"nta\": only danelaw's own validation knows it",
        );
    }
    ExceptionsConfig { terms, declared }
}

fn read_declared<'t>(reader: &mut Reader<'t>, top: &DeTable<'t>, terms: Terms) -> Vec<Exception> {
    let mut declared = Vec::new();
    let tables = top
        .get("exception")
        .map(|value| reader.tables(value, "exception"));
    for (index, table) in tables.into_iter().flatten().enumerate() {
        let section = Section::new(reader, Some(table), Place::array("exception", index));
        let exception = read_exception(section, terms, &declared);
        declared.extend(exception);
    }
    declared
}

fn read_exception(
    mut section: Section<'_, '_>,
    terms: Terms,
    before: &[Exception],
) -> Option<Exception> {
    let scope = section.needed("domain");
    let what = section.needed::<What>("what");
    let author = section.needed("author");
    let reason = section.needed("reason");
    let created = section.needed::<Since>("created").map(|since| since.0);
    let expires = section.needed::<Until>("expires").map(|until| until.0);
    let exception = scope
        .zip(what)
        .zip(author.zip(reason))
        .zip(created.zip(expires))
        .map(
            |(((scope, what), (author, reason)), (created, expires))| Draft {
                scope,
                what,
                author,
                reason,
                created,
                granted: created,
                expires,
            },
        )
        .and_then(|draft| match draft.check(terms) {
            Ok(exception) => Some(exception),
            Err(faults) => {
                for fault in faults {
                    section.contradiction(fault.field, &fault.expected);
                }
                None
            }
        });
    if let Some(exception) = &exception
        && before.iter().any(|one| one.rivals(exception))
    {
        section.contradiction(
            "domain",
            "a domain that no other [[exception]] has, but for a negative trust anchor beside one",
        );
    }
    section.finish();
    exception
}

/// The exceptions of a file that holds nothing else, as `[[exception]]` tables.
///
/// # Errors
/// All that is wrong with it: one bad exception, and none is taken.
pub fn exceptions(
    text: &str,
    file: &Path,
    terms: Terms,
    now: Timestamp,
) -> Result<Vec<Exception>, Problems> {
    let mut reader = Reader::new(file, text);
    let parsed = reader.parse();
    let top = parsed.get_ref();
    let mut section = Section::new(&mut reader, Some(top), Place::top());
    section.elsewhere("exception");
    section.finish();
    let declared = read_declared(&mut reader, top, terms);
    let settings = std::mem::take(&mut reader.settings);
    let mut problems = reader.problems;
    if problems.is_empty() {
        problems = super::usable::too_early(&settings, &declared, file, now);
    }
    if problems.is_empty() {
        return Ok(declared);
    }
    problems.sort_by_key(|problem| problem.line);
    Err(Problems(problems))
}
