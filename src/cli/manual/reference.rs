//! The manual page of the configuration: `docs/configuration.md`, set anew. A table of keys becomes a list, and any
//! other table one paragraph a row.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::Page;
use crate::config::defaults;

const REFERENCE: &str = include_str!("../../../docs/configuration.md");
const EXAMPLE: &str = include_str!("../../../docs/example.toml");

/// The page.
pub(super) fn page() -> Page {
    let mut roff = Roff::new();
    let source = concat!("danelaw ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["danelaw.toml", "5", "", source, "danelaw"]);
    section(
        &mut roff,
        "NAME",
        "danelaw.toml - the configuration of danelaw",
    );
    roff.control("SH", ["SYNOPSIS"])
        .text([bold(defaults::PATH)]);
    roff.control("SH", ["DESCRIPTION"]);
    set(&mut roff, REFERENCE);
    roff.control("SH", ["EXAMPLES"]);
    roff.text([roman("Every key, with its default where it has one:")]);
    verbatim(&mut roff, EXAMPLE);
    section(
        &mut roff,
        "SEE ALSO",
        "danelaw(1), danelaw-config-check(1), danelaw-config-show(1), and /usr/share/doc/danelaw",
    );
    Page {
        file: "danelaw.toml.5".to_owned(),
        text: roff.render(),
    }
}

fn section(roff: &mut Roff, heading: &str, text: &str) {
    roff.control("SH", [heading]).text([roman(text)]);
}

fn verbatim(roff: &mut Roff, text: &str) {
    roff.control("PP", []).control("nf", []);
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

/// Sets Markdown that stands below a heading of the page.
fn set(roff: &mut Roff, markdown: &str) {
    let mut setter = Setter::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        setter.set(roff, event);
    }
}

/// What is being set.
#[derive(Default)]
struct Setter {
    line: Vec<Inline>,
    cells: Vec<Vec<Inline>>,
    face: Face,
    is_code: bool,
}

#[derive(Clone, Copy, Default)]
enum Face {
    #[default]
    Roman,
    Bold,
    Italic,
}

impl Setter {
    fn set(&mut self, roff: &mut Roff, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.begin(&tag),
            Event::End(tag) => self.end(roff, tag),
            Event::Text(text) if self.is_code => verbatim(roff, &text),
            Event::Text(text) => self.push(&text),
            Event::Code(code) => self.line.push(bold(&*code)),
            Event::SoftBreak | Event::HardBreak => self.push(" "),
            // The reference has neither HTML nor mathematics nor footnotes.
            Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::Html(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
    }

    fn push(&mut self, text: &str) {
        self.line.push(match self.face {
            Face::Roman => roman(text),
            Face::Bold => bold(text),
            Face::Italic => italic(text),
        });
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most tags say nothing here")]
    fn begin(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Strong => self.face = Face::Bold,
            Tag::Emphasis => self.face = Face::Italic,
            Tag::CodeBlock(_) => self.is_code = true,
            _ => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most tags say nothing here")]
    fn end(&mut self, roff: &mut Roff, tag: TagEnd) {
        match tag {
            TagEnd::Strong | TagEnd::Emphasis => self.face = Face::Roman,
            TagEnd::CodeBlock => self.is_code = false,
            // The title of the whole, which is the page's own.
            TagEnd::Heading(HeadingLevel::H1) => self.line.clear(),
            TagEnd::Heading(_) => {
                let heading = plain(&std::mem::take(&mut self.line));
                roff.control("SS", [heading.as_str()]);
            }
            TagEnd::Paragraph => {
                roff.control("PP", []).text(std::mem::take(&mut self.line));
            }
            TagEnd::Item => {
                roff.control("IP", ["\\(bu", "2"]);
                roff.text(std::mem::take(&mut self.line));
            }
            TagEnd::TableCell => self.cells.push(std::mem::take(&mut self.line)),
            TagEnd::TableHead => self.cells.clear(),
            TagEnd::TableRow => row(roff, std::mem::take(&mut self.cells)),
            _ => {}
        }
    }
}

/// The first cell is what the row is about; of three the second is the default.
fn row(roff: &mut Roff, cells: Vec<Vec<Inline>>) {
    let mut cells = cells.into_iter();
    let mut head = cells.next().unwrap_or_default();
    let mut rest: Vec<Vec<Inline>> = cells.collect();
    if rest.len() > 1 {
        head.push(roman(" ("));
        head.extend(rest.remove(0));
        head.push(roman(")"));
    }
    roff.control("TP", []).text(head);
    for cell in rest {
        roff.text(cell);
    }
}

fn plain(line: &[Inline]) -> String {
    let words = line.iter().map(|inline| match inline {
        Inline::Roman(text) | Inline::Bold(text) | Inline::Italic(text) => text.as_str(),
        Inline::LineBreak => " ",
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_roff() {
        for (markdown, expected) in [
            ("# Title\n", ""),
            ("## `[dns]`\n", ".SS [dns]\n"),
            ("## Top level\n", ".SS \"Top level\"\n"),
            (
                "One *two* **three**\n`four`, [five](six.md).\n",
                ".PP\nOne \\fItwo\\fR \\fBthree\\fR \\fBfour\\fR, five.\n",
            ),
            ("```toml\n.a = 1\nb\n```\n", ".PP\n.nf\n\\&.a = 1\nb\n.fi\n"),
            (
                "| key | default | meaning |\n|---|---|---|\n| `a` | not set | Why. |\n",
                ".TP\n\\fBa\\fR (not set)\nWhy.\n",
            ),
            (
                "| to | run |\n|---|---|\n| see | `it` |\n",
                ".TP\nsee\n\\fBit\\fR\n",
            ),
        ] {
            let mut roff = Roff::new();
            set(&mut roff, markdown);
            assert_eq!(roff.to_roff(), expected, "{markdown}");
        }
    }

    #[test]
    fn every_key_of_the_reference_stands_on_the_page() {
        let page = page();
        let tables = REFERENCE.split("| key | default | meaning |\n|---|---|---|\n");
        let rows = tables.skip(1).flat_map(|table| {
            let rows = table.lines().take_while(|line| line.starts_with('|'));
            rows.filter_map(|row| row.strip_prefix("| `")?.split_once('`'))
        });
        let keys: Vec<&str> = rows.map(|(key, _)| key).collect();
        assert!(keys.len() > 50, "{keys:?}");
        for key in keys {
            let head = format!("\n.TP\n\\fB{}\\fR (", key.replace('-', "\\-"));
            assert!(page.text.contains(&head), "{key}");
        }
    }
}
