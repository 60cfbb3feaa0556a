//! `quadrille explain`

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context;
use quadrille_topology::codes;

use crate::terminal;

#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// A code such as Q0103; without one, all codes are listed
    code: Option<String>,
}

impl Explain {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(code) = self.code else {
            let list = codes::TABLE.iter().fold(String::new(), |mut list, entry| {
                let _ = writeln!(list, "{}  {}", entry.code, entry.title);
                list
            });
            terminal::print(&list)?;
            return Ok(ExitCode::SUCCESS);
        };
        let entry = codes::explain(&code)
            .with_context(|| format!("there is no code {code}; `quadrille explain` lists all codes"))?;
        terminal::print(&format!("{}: {}\n\n{}\n", entry.code, entry.title, wrapped(entry.text)))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Breaks a paragraph into lines of at most 80 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a last line");
        match line.is_empty() {
            true => line.push_str(word),
            false if line.chars().count() + 1 + word.chars().count() <= 80 => {
                line.push(' ');
                line.push_str(word);
            }
            false => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}
