//! The two languages that a restaurant speaks.

use serde::{Deserialize, Serialize};

/// A language of prompts and refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// French, also for every locale that is not English.
    #[default]
    Fr,
    /// English.
    En,
}

impl Lang {
    /// Of a locale such as `fr-FR` or `en_GB`.
    pub fn of(locale: &str) -> Self {
        let head: String = locale.chars().take(2).collect();
        if head.eq_ignore_ascii_case("en") {
            Self::En
        } else {
            Self::Fr
        }
    }

    /// Two letters.
    pub fn tag(self) -> &'static str {
        self.pick("fr", "en")
    }

    /// The text of this language.
    pub fn pick<'a>(self, french: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Fr => french,
            Self::En => english,
        }
    }
}

/// Letters and digits only, lower case, without accents; runs of anything else become one space.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars().flat_map(char::to_lowercase) {
        let folded: &str = match character {
            'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => "a",
            'ç' => "c",
            'è' | 'é' | 'ê' | 'ë' => "e",
            'ì' | 'í' | 'î' | 'ï' => "i",
            'ñ' => "n",
            'ò' | 'ó' | 'ô' | 'õ' | 'ö' => "o",
            'ù' | 'ú' | 'û' | 'ü' => "u",
            'ÿ' | 'ý' => "y",
            'œ' => "oe",
            'æ' => "ae",
            _ if character.is_alphanumeric() => {
                out.push(character);
                continue;
            }
            _ => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
                continue;
            }
        };
        out.push_str(folded);
    }
    out.truncate(out.trim_end().len());
    out
}

/// `a, b et c` or `a, b and c`.
pub fn listed(lang: Lang, words: &[String], joint: (&str, &str)) -> String {
    let joint = lang.pick(joint.0, joint.1);
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} {joint} {last}", head.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_and_signs_fall_away() {
        assert_eq!(plain("  Crème brûlée, l'Œuf! "), "creme brulee l oeuf");
        assert_eq!(plain("SAINT-Étienne"), "saint etienne");
    }

    #[test]
    fn lists_are_spoken() {
        let words = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(listed(Lang::Fr, &words, ("ou", "or")), "a, b ou c");
        assert_eq!(listed(Lang::En, &words[..1], ("ou", "or")), "a");
    }
}
