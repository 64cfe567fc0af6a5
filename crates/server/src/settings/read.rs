//! Reading the layers and finding every mistake at once.

use super::table::{Kind, NOT_YET, RETIRED, SETTINGS, variable_of};
use super::{Origin, Problem, Settings, Value, canonical};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A settings file larger than this is a mistake.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Variables that stand for options of the command line.
const OF_THE_COMMAND_LINE: &[&str] = &[
    "ALLO_CONFIG",
    "ALLO_PROBE_SECRET",
    crate::apart::orders::VARIABLE,
];

/// The layers, as data, so that tests need no process environment.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) dot_env: BTreeMap<String, String>,
}

impl Sources {
    /// The real environment, `.env` of the current directory, and the given file.
    pub(crate) fn of_process(file: Option<PathBuf>) -> Result<Self, Problem> {
        let mut dot_env = BTreeMap::new();
        if Path::new(".env").exists() {
            let entries = dotenvy::from_path_iter(".env").map_err(|error| {
                Problem::new("config_file_unreadable")
                    .with("path", ".env")
                    .with("cause", error)
            })?;
            for entry in entries {
                let (name, value) = entry.map_err(|error| {
                    Problem::new("config_file_syntax")
                        .with("path", ".env")
                        .with("line", 0)
                        .with("cause", error)
                })?;
                dot_env.insert(name, value);
            }
        }
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self {
            file,
            environment,
            dot_env,
        })
    }
}

/// Resolves every setting, or lists every problem.
pub(crate) fn read(sources: &Sources) -> Result<Settings, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut values: BTreeMap<&'static str, Value> = BTreeMap::new();
    for setting in SETTINGS {
        values.insert(
            setting.key,
            Value {
                text: setting.default.to_owned(),
                origin: Origin::Default,
            },
        );
    }
    if let Some(path) = &sources.file {
        read_file(path, &mut values, &mut problems);
    }
    read_variables(&sources.dot_env, &mut values, |variable| Origin::DotEnv {
        variable,
    });
    read_variables(&sources.environment, &mut values, |variable| {
        Origin::Environment { variable }
    });
    unknown_variables(sources, &mut problems);
    for setting in SETTINGS {
        let value = values
            .get_mut(setting.key)
            .expect("every setting was given its default");
        let may_be_empty = setting.default.is_empty() && value.text.trim().is_empty();
        match canonical(setting.kind, &value.text) {
            Ok(text) => value.text = text,
            Err(_) if may_be_empty => {}
            Err(expected) => problems.push(
                Problem::new("config_bad_value")
                    .with("key", setting.key)
                    .with("origin", &value.origin)
                    .with(
                        "value",
                        if setting.kind == Kind::Secret {
                            "***"
                        } else {
                            value.text.as_str()
                        },
                    )
                    .with("expected", expected),
            ),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Settings {
        values,
        without_effect: without_effect(sources),
    })
}

fn read_variables(
    variables: &BTreeMap<String, String>,
    values: &mut BTreeMap<&'static str, Value>,
    origin: impl Fn(String) -> Origin,
) {
    for setting in SETTINGS {
        let own = variable_of(setting.key);
        let names = setting
            .variables
            .iter()
            .copied()
            .chain(std::iter::once(own.as_str()));
        for name in names {
            // An empty variable counts as unset, as in the `.env` files of the systems that came before.
            if let Some(text) = variables.get(name).filter(|text| !text.trim().is_empty()) {
                values.insert(
                    setting.key,
                    Value {
                        text: text.clone(),
                        origin: origin(name.to_owned()),
                    },
                );
            }
        }
    }
}

/// `ALLO_…` variables that name no setting are mistakes of spelling; other programs' variables are none of our business.
fn unknown_variables(sources: &Sources, problems: &mut Vec<Problem>) {
    let known: Vec<String> = SETTINGS
        .iter()
        .flat_map(|setting| {
            setting
                .variables
                .iter()
                .map(|name| (*name).to_owned())
                .chain([variable_of(setting.key)])
        })
        .collect();
    for name in sources.environment.keys().chain(sources.dot_env.keys()) {
        if name.starts_with("ALLO_")
            && !OF_THE_COMMAND_LINE.contains(&name.as_str())
            && !known.contains(name)
        {
            let nearest = nearest(name, known.iter().map(String::as_str));
            problems.push(
                Problem::new("config_unknown_variable")
                    .with("variable", name)
                    .with("nearest", nearest),
            );
        }
    }
}

fn without_effect(sources: &Sources) -> Vec<(&'static str, &'static str)> {
    let set = |name: &str| {
        [&sources.environment, &sources.dot_env]
            .iter()
            .any(|layer| layer.get(name).is_some_and(|value| !value.is_empty()))
    };
    RETIRED
        .iter()
        .chain(NOT_YET)
        .filter(|retired| set(retired.variable))
        .map(|retired| (retired.variable, retired.why))
        .collect()
}

fn read_file(path: &Path, values: &mut BTreeMap<&'static str, Value>, problems: &mut Vec<Problem>) {
    let shown = path.display().to_string();
    let text = match bounded_text(path) {
        Ok(text) => text,
        Err(cause) => {
            problems.push(
                Problem::new("config_file_unreadable")
                    .with("path", &shown)
                    .with("cause", cause),
            );
            return;
        }
    };
    let table = match toml::de::DeTable::parse(&text) {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            problems.push(
                Problem::new("config_file_syntax")
                    .with("path", &shown)
                    .with("line", line)
                    .with("cause", error.message()),
            );
            return;
        }
    };
    for (section, entry) in table.get_ref() {
        let line = line_of(&text, section.span().start);
        let toml::de::DeValue::Table(entries) = entry.get_ref() else {
            problems.push(unknown_key(&shown, line, section.get_ref()));
            continue;
        };
        for (key, value) in entries {
            let line = line_of(&text, key.span().start);
            let full = format!("{}.{}", section.get_ref(), key.get_ref());
            match file_value(&full, value.get_ref(), &shown, line) {
                Ok((key, value)) => {
                    values.insert(key, value);
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
}

/// The text of a settings file, or what is in the way of reading it.
fn bounded_text(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(format!("{length} bytes, at most {FILE_BYTES_MAX}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// One `key = value` of the file.
fn file_value(
    key: &str,
    value: &toml::de::DeValue<'_>,
    path: &str,
    line: usize,
) -> Result<(&'static str, Value), Problem> {
    let setting = SETTINGS
        .iter()
        .find(|setting| setting.key == key)
        .ok_or_else(|| unknown_key(path, line, key))?;
    let origin = Origin::File {
        path: path.to_owned(),
        line,
    };
    match flat(value) {
        Some(text) => Ok((setting.key, Value { text, origin })),
        None => Err(Problem::new("config_bad_value")
            .with("key", setting.key)
            .with("origin", origin)
            .with("value", "{…}")
            .with("expected", "text, number, true/false, [list]")),
    }
}

fn unknown_key(path: &str, line: usize, key: &str) -> Problem {
    Problem::new("config_unknown_key")
        .with("path", path)
        .with("line", line)
        .with("key", key)
        .with(
            "nearest",
            nearest(key, SETTINGS.iter().map(|setting| setting.key)),
        )
}

fn flat(value: &toml::de::DeValue<'_>) -> Option<String> {
    use toml::de::DeValue;
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(integer) => Some(integer.to_string()),
        DeValue::Float(float) => Some(float.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> =
                items.iter().map(|item| flat(item.get_ref())).collect();
            Some(items?.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// The known name with the smallest edit distance.
fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .min_by_key(|candidate| distance(wanted, candidate))
        .unwrap_or_default()
        .to_owned()
}

fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, b) in right.iter().enumerate() {
            let substitution = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = substitution.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> (tempfile::TempDir, Sources) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("allo.toml");
        std::fs::write(&path, text).unwrap();
        (
            dir,
            Sources {
                file: Some(path),
                ..Sources::default()
            },
        )
    }

    #[test]
    fn environment_beats_dot_env_beats_file_beats_default() {
        let (_dir, mut sources) = with_file("[limits]\ncalls = 20\n");
        assert_eq!(read(&sources).unwrap().integer("limits.calls"), 20);
        sources
            .dot_env
            .insert("MAX_CONCURRENT_CALLS".to_owned(), "30".to_owned());
        assert_eq!(read(&sources).unwrap().integer("limits.calls"), 30);
        sources
            .environment
            .insert("ALLO_LIMITS_CALLS".to_owned(), "40".to_owned());
        let settings = read(&sources).unwrap();
        assert_eq!(settings.integer("limits.calls"), 40);
        assert_eq!(
            settings.origin("limits.calls").to_string(),
            "environment ALLO_LIMITS_CALLS"
        );
        assert_eq!(settings.integer("agent.max_call_duration_s"), 600);
    }

    #[test]
    fn every_mistake_is_listed_with_key_and_line() {
        let (_dir, sources) =
            with_file("[sip]\nudp = \"nowhere\"\ntpc = \"\"\n[rtp]\nports = \"20000-10000\"\n");
        let problems = read(&sources).unwrap_err();
        let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(
            codes,
            ["config_unknown_key", "config_bad_value", "config_bad_value"]
        );
        assert!(problems[0].parameters.contains(&("line", "3".to_owned())));
        assert!(
            problems[0]
                .parameters
                .contains(&("nearest", "sip.tcp".to_owned()))
        );
    }

    #[test]
    fn a_syntax_error_names_the_line() {
        let (_dir, sources) = with_file("[sip]\nudp = \n");
        let problems = read(&sources).unwrap_err();
        assert_eq!(problems[0].code, "config_file_syntax");
        assert!(problems[0].parameters.contains(&("line", "2".to_owned())));
    }

    #[test]
    fn a_missing_file_is_a_clear_problem() {
        let sources = Sources {
            file: Some(PathBuf::from("/nowhere/allo.toml")),
            ..Sources::default()
        };
        assert_eq!(
            read(&sources).unwrap_err()[0].code,
            "config_file_unreadable"
        );
    }

    #[test]
    fn a_variable_of_a_missing_part_is_said_and_a_misspelt_one_refused() {
        let mut sources = Sources::default();
        sources
            .environment
            .insert("SERPAPI_KEY".to_owned(), "x".to_owned());
        assert_eq!(read(&sources).unwrap().without_effect[0].0, "SERPAPI_KEY");
        sources
            .environment
            .insert("ALLO_SIP_UPD".to_owned(), "127.0.0.1:5060".to_owned());
        let problems = read(&sources).unwrap_err();
        assert_eq!(problems[0].code, "config_unknown_variable");
        assert!(
            problems[0]
                .parameters
                .contains(&("nearest", "ALLO_SIP_UDP".to_owned()))
        );
    }

    #[test]
    fn secrets_never_appear_in_problems_or_listings() {
        let mut sources = Sources::default();
        sources.environment.insert(
            "OPENAI_API_KEY".to_owned(),
            "sk-canary-0123456789".to_owned(),
        );
        sources
            .environment
            .insert("SIP_PASSWORD".to_owned(), "geheim".to_owned());
        let settings = read(&sources).unwrap();
        let printed = format!("{:?}", settings.printable());
        assert!(
            !printed.contains("canary") && !printed.contains("geheim"),
            "{printed}"
        );
        assert!(printed.contains("***6789"));
    }
}
