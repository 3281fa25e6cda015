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
use crate::control::policy::{Exported, Imported, Line, Part, PolicyLine, Request, Sheet, Verdict};
use crate::control::wire::MAX_BODY;

pub(super) const EXPORT_HELP: &str = "\
Examples:
  danelaw policy export /var/backups/policies.jsonl
  danelaw policy export | ssh gw2 danelaw policy import -
  danelaw policy export | jq -r '.domain // empty'
  for n in 1 2 3 4; do danelaw policy export --part $n/4 policies-$n.jsonl; done

The last line says how many policies there are, and has a digest of all of them: a file that is cut is not taken. The
times and texts of policies count from their own fetch, wherever they are.

Exit codes:
  0   written
  2   nobody could be asked, or the file cannot be written
  64  the command line is wrong";

pub(super) const IMPORT_HELP: &str = "\
Examples:
  danelaw policy import policies.jsonl
  danelaw policy import policies.jsonl --json | jq -c 'select(.verdict == \"refused\")'
  for part in policies-*.jsonl; do danelaw policy import \"$part\"; done

Lines that add nothing are passed over: this node has the policy or a newer one, it has expired, or it enforces nothing
(`testing`, `none`: this node looks for itself before mail goes there). No option makes an import loosen what is in force:
`danelaw policy drop` forgets a policy, `danelaw except add` makes an exception, each with its own trace.

Exit codes:
  0   taken over, or nothing to add
  2   a line was refused, or the file is empty or not whole, and nothing was taken over; or nobody could be asked
  64  the command line is wrong";

/// Where to.
#[derive(Args)]
pub(in crate::cli) struct Export {
    /// The file, replaced when it is whole; standard output where none is named.
    file: Option<PathBuf>,
    /// Only a share of the domains, always the same, such as 1/4: for files of more than 128 MiB, which no import takes.
    #[arg(long, value_name = "NUMBER/OF")]
    part: Option<Part>,
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
            return Ok(told(write(desk, Sheet::new(out, args.part)).await?));
        };
        let draft = draft_of(file);
        let placed = write_file(desk, &draft, file, args.part).await;
        if placed.is_err() {
            // What is left of it is of no use; why it failed is told.
            let _ = fs::remove_file(&draft);
        }
        Ok(told(placed?))
    })
}

async fn write_file(
    desk: &Desk,
    draft: &Path,
    file: &Path,
    part: Option<Part>,
) -> anyhow::Result<usize> {
    let unwritable = || format!("{} cannot be written", file.display());
    // It lists whom this host writes to.
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(draft)
        .with_context(unwritable)?;
    let exported = write(desk, Sheet::new(BufWriter::new(&opened), part)).await?;
    opened.sync_all().with_context(unwritable)?;
    fs::rename(draft, file).with_context(unwritable)?;
    Ok(exported)
}

async fn write(desk: &Desk, mut sheet: Sheet<impl Write>) -> anyhow::Result<usize> {
    let request = control::Request::Policy(Request::Export);
    let _: Exported = desk::write_each(desk, request, &mut sheet, |sheet, line: &PolicyLine| {
        sheet.add(line)
    })
    .await?;
    // Only after the last.
    Ok(sheet.end()?)
}

fn told(policies: usize) -> Exit {
    eprintln!("danelaw: {policies} policies");
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
        "{name}: expected at most {} MiB, seen more: export in parts (`danelaw policy export --part 1/4`)",
        MAX_BODY / (1024 * 1024)
    );
    Ok(body)
}

fn row(out: &mut impl Write, line: &Line) -> io::Result<()> {
    let domain = line.domain.as_deref().unwrap_or("?");
    let (domain, rule) = (printable(domain), printable(&line.rule));
    match line.verdict {
        Verdict::Kept => writeln!(out, "line {}: {domain}: passed over: {rule}", line.line),
        Verdict::Crowded => writeln!(out, "line {}: {domain}: not in memory: {rule}", line.line),
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
        refused,
        ..
    } = imported;
    if refused > 0 {
        return writeln!(
            out,
            "nothing is taken over: {refused} refused, {lines} policies in the file"
        );
    }
    write!(out, "{taken} of {lines} policies are taken over")?;
    for (number, what) in [
        (imported.expired, "have expired"),
        (imported.known, "are known or older than what is known"),
        (imported.enforcing_nothing, "enforce nothing"),
        (imported.overtaken, "were overtaken by newer ones"),
        (imported.crowded, "have no room in memory"),
    ] {
        if number > 0 {
            write!(out, ", {number} {what}")?;
        }
    }
    writeln!(out)
}

fn draft_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    name.into()
}
