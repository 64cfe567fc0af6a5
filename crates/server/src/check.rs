//! `allo check`: what is wrong with the settings, before anything is started.

use crate::cli::{CheckArguments, report};
use crate::settings::read::{Sources, read};
use crate::settings::table::{Kind, NOT_YET, RETIRED, SETTINGS, variable_of};
use crate::settings::{Problem, Settings};
use crate::terminal::{Terminal, line};
use crate::{cli, config};
use std::fmt::Write as _;
use std::process::ExitCode;

/// Runs the command: 0 when the settings are usable, 2 when not.
pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    if arguments.markdown {
        line(markdown().trim_end());
        return ExitCode::SUCCESS;
    }
    let sources = match Sources::of_process(arguments.config.config.clone()) {
        Ok(sources) => sources,
        Err(problem) => return report(&[problem], None),
    };
    let mut settings = match read(&sources) {
        Ok(settings) => settings,
        Err(problems) => return report(&problems, Some(&sources)),
    };
    crate::compat::complete(&mut settings);
    if arguments.print {
        print(&settings);
    }
    let terminal = Terminal::new(config::language(&settings));
    say_without_effect(terminal, &settings);
    match config::build(&settings) {
        Ok(config) => {
            if let Err(error) = config.keys.check() {
                terminal.complain(&error.message());
                return ExitCode::from(crate::secrets::EXIT_SECRETS);
            }
            terminal.say(&catalog::Message::new("config_ok"));
            ExitCode::SUCCESS
        }
        Err(problems) => {
            problems
                .iter()
                .for_each(|problem| terminal.problem(problem));
            ExitCode::from(cli::EXIT_BAD_SETTINGS)
        }
    }
}

/// Says each variable that is set and has no effect.
pub(crate) fn say_without_effect(terminal: Terminal, settings: &Settings) {
    for (variable, why) in &settings.without_effect {
        terminal.problem(
            &Problem::new("config_no_effect")
                .with("variable", variable)
                .with("why", why),
        );
    }
}

fn print(settings: &Settings) {
    let rows = settings.printable();
    let width = rows.iter().map(|(key, ..)| key.len()).max().unwrap_or(0);
    for (key, value, origin) in rows {
        line(&format!("{key:width$} = {value:?}  ({origin})"));
    }
}

/// The table of every setting, as docs/settings.md holds it.
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "# Settings\n\nEvery setting can stand in the file (`allo serve --config allo.toml`), in `.env`, or in the environment as \
         `ALLO_SECTION_KEY`.\nThe environment beats `.env`, which beats the file, which beats the default. `allo check --print` shows \
         each value and its origin.\nThis page is printed by `allo check --markdown`; a test compares the two.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let own_section = setting.key.split('.').next().unwrap_or_default();
        if own_section != section {
            section = own_section;
            let _ = write!(
                text,
                "\n## [{section}]\n\n| key | variables | values | default | |\n|---|---|---|---|---|\n"
            );
        }
        let variables: Vec<String> = setting
            .variables
            .iter()
            .map(|name| format!("`{name}`"))
            .chain([format!("`{}`", variable_of(setting.key))])
            .collect();
        let default = if setting.default.is_empty() {
            String::new()
        } else {
            format!("`{}`", setting.default)
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {default} | {} |",
            setting.key,
            variables.join(" "),
            kind_words(setting.kind),
            setting.about
        );
    }
    text.push_str("\n## Retired variables\n\nKnown from the systems that came before; they have no effect.\n\n");
    for retired in RETIRED {
        let _ = writeln!(text, "- `{}`: {}.", retired.variable, retired.why);
    }
    text.push_str("\n## Variables of parts that this version does not have\n\nSaid once at start when set.\n\n");
    for retired in NOT_YET {
        let _ = writeln!(text, "- `{}`: {}.", retired.variable, retired.why);
    }
    text
}

fn kind_words(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Secret => "text, never shown".to_owned(),
        Kind::Integer { min, max } => format!("{min} to {max}"),
        Kind::Number { min, max } => format!("{min} to {max}"),
        Kind::Switch => "`true`, `false`".to_owned(),
        Kind::Listen => "address:port, or `off`".to_owned(),
        Kind::Choice(choices) => choices
            .iter()
            .map(|choice| {
                if choice.is_empty() {
                    "(empty)".to_owned()
                } else {
                    format!("`{choice}`")
                }
            })
            .collect::<Vec<_>>()
            .join(" "),
        Kind::List => "list".to_owned(),
        Kind::PortRange => "first-last".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    /// The committed page is what the code says.
    #[test]
    fn settings_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
        let committed = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            committed.trim_end(),
            super::markdown().trim_end(),
            "run: allo check --markdown > docs/settings.md"
        );
    }
}
