//! `danelaw policy export|import`: policies to a file and back.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "IO: reads and writes the file; says on stderr how much it was, since the policies may go to stdout"
)]

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::cli::desk::{self, Form, Whom};
use crate::cli::{Exit, printable};
use crate::control;
use crate::control::client::{Desk, Question};
use crate::control::policy::{Exported, Imported, Line, PolicyLine, Request, Verdict};
use crate::control::wire::MAX_BODY;

pub(super) const EXPORT_HELP: &str = "\
Examples:
  danelaw policy export /var/backups/policies.jsonl
  danelaw policy export | ssh gw2 danelaw policy import -
  danelaw policy export | jq -r .domain

Exit codes:
  0   written
  2   nobody could be asked, or the file cannot be written
  64  the command line is wrong";

pub(super) const IMPORT_HELP: &str = "\
Examples:
  danelaw policy import policies.jsonl
  danelaw policy import policies.jsonl --json | jq -c 'select(.verdict == \"refused\")'
  split -l 100000 policies.jsonl part- && for part in part-*; do danelaw policy import \"$part\"; done

Lines that add nothing are passed over: this node has the policy or a newer one, or it has expired.

Exit codes:
  0   taken over, or nothing to add
  2   a line was refused and nothing was taken over, or nobody could be asked
  64  the command line is wrong";

/// Where to.
#[derive(Args)]
pub(in crate::cli) struct Export {
    /// The file, replaced when it is whole; standard output where none is named.
    file: Option<PathBuf>,
    #[command(flatten)]
    whom: Whom,
}

/// Where from.
#[derive(Args)]
pub(in crate::cli) struct Import {
    /// The file, or - for standard input.
    file: PathBuf,
    /// Prints one JSON object for each line that is not taken over, and one with the numbers.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn export(args: &Export) -> anyhow::Result<Exit> {
    args.whom.at_the_desk(async |desk| {
        let Some(file) = &args.file else {
            let out = BufWriter::new(io::stdout().lock());
            return Ok(told(write(desk, out).await?));
        };
        let draft = draft_of(file);
        let placed = write_file(desk, &draft, file).await;
        if placed.is_err() {
            // What is left of it is of no use; why it failed is told.
            let _ = fs::remove_file(&draft);
        }
        Ok(told(placed?))
    })
}

async fn write_file(desk: &Desk, draft: &Path, file: &Path) -> anyhow::Result<Exported> {
    let unwritable = || format!("{} cannot be written", file.display());
    // It lists whom this host writes to.
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(draft)
        .with_context(unwritable)?;
    let exported = write(desk, BufWriter::new(&opened)).await?;
    opened.sync_all().with_context(unwritable)?;
    fs::rename(draft, file).with_context(unwritable)?;
    Ok(exported)
}

async fn write(desk: &Desk, mut out: impl Write) -> anyhow::Result<Exported> {
    let request = control::Request::Policy(Request::Export);
    let exported = desk::write_each(desk, request, &mut out, |out, line: &PolicyLine| {
        desk::json(out, line)
    })
    .await?;
    out.flush()?;
    Ok(exported)
}

fn told(exported: Exported) -> Exit {
    eprintln!("danelaw: {} policies", exported.exported);
    Exit::Ok
}

pub(super) fn import(args: &Import) -> anyhow::Result<Exit> {
    let body = read(&args.file)?;
    args.whom.at_the_desk(async |desk| {
        let (mut out, form) = (io::stdout().lock(), Form::of(args.json));
        let question = Question {
            request: control::Request::Policy(Request::Import),
            body: body.clone(),
        };
        let imported: Imported = desk::write_each(desk, question, &mut out, |out, line: &Line| {
            form.write(out, line, row)
        })
        .await?;
        form.write(&mut out, &imported, |out, imported| sum(out, *imported))?;
        Ok(if imported.refused == 0 {
            Exit::Ok
        } else {
            Exit::Unknown
        })
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let name = file.display().to_string();
    let from: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let opened = fs::File::open(file).with_context(|| format!("{name} cannot be read"))?;
        Box::new(opened)
    };
    let mut body = Vec::new();
    from.take(MAX_BODY + 1)
        .read_to_end(&mut body)
        .with_context(|| format!("{name} cannot be read"))?;
    anyhow::ensure!(
        body.len() as u64 <= MAX_BODY,
        "{name}: expected at most {} MiB, seen more: split it between lines and import the parts",
        MAX_BODY / (1024 * 1024)
    );
    Ok(body)
}

fn row(out: &mut impl Write, line: &Line) -> io::Result<()> {
    let domain = line.domain.as_deref().unwrap_or("?");
    let (domain, rule) = (printable(domain), printable(&line.rule));
    match line.verdict {
        Verdict::Kept => writeln!(out, "line {}: {domain}: passed over: {rule}", line.line),
        Verdict::Refused => {
            let remedy = &line.remedy;
            writeln!(
                out,
                "line {}: {domain}: refused: {rule}; {remedy}",
                line.line
            )
        }
    }
}

fn sum(out: &mut impl Write, imported: Imported) -> io::Result<()> {
    let Imported {
        lines,
        taken,
        kept,
        refused,
    } = imported;
    if refused > 0 {
        return writeln!(
            out,
            "nothing is taken over: {refused} of {lines} lines are refused"
        );
    }
    writeln!(
        out,
        "{taken} of {lines} policies are taken over, {kept} add nothing"
    )
}

fn draft_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    name.into()
}
