//! The agent asks for something that is dictated (a number, a postcode, an address, a name letter by letter): people pause in it,
//! and the engine is to wait longer before it takes the turn for over. When it has to be asked for again, the keypad is offered.

/// How an agent takes dictation. Nothing is done with a patience of 0 or without cues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictation {
    /// Silence that ends the caller's turn while something is dictated, in milliseconds; 0: as always.
    pub patience_ms: u32,
    /// What the agent says when it asks for something that is dictated, in small letters.
    pub cues: Vec<String>,
    /// What the model is told when it asks a second time: that the caller may type it. Empty: nothing.
    pub keypad_hint: String,
}

/// Digits in what the agent says that make it a repetition and not a question.
const DIGITS_REPEATED: usize = 4;
/// Sentences at the end of what the agent says that are looked at.
const SENTENCES: usize = 2;

impl Dictation {
    /// Whether these words of the agent's ask for something that is dictated.
    fn asks(&self, words: &str) -> bool {
        if self.patience_ms == 0 {
            return false;
        }
        let words = words.to_lowercase();
        let ends = |letter: char| matches!(letter, '.' | '?' | '!' | '…');
        let sentences = words.split_terminator(ends).map(str::trim);
        let mut last: Vec<&str> = sentences.filter(|one| !one.is_empty()).collect();
        let last = last.split_off(last.len().saturating_sub(SENTENCES));
        let digits = last.iter().flat_map(|one| one.chars());
        digits.filter(char::is_ascii_digit).count() < DIGITS_REPEATED
            && last
                .iter()
                .any(|one| self.cues.iter().any(|cue| one.contains(cue.as_str())))
    }
}

/// What the agent's words ask of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The engine's patience changes: it waits longer, or as always.
    pub(crate) patient: Option<bool>,
    /// The model is told of the keypad.
    pub(crate) hint: bool,
}

/// Whether something is dictated now.
#[derive(Debug, Default)]
pub(crate) struct Dictating {
    patient: bool,
    hinted: bool,
}

impl Dictating {
    /// The agent said this.
    pub(crate) fn agent_said(&mut self, dictation: &Dictation, words: &str) -> Asked {
        let asks = dictation.asks(words);
        let again = asks && self.patient;
        let changed = std::mem::replace(&mut self.patient, asks) != asks;
        let hint = again && !self.hinted && !dictation.keypad_hint.is_empty();
        self.hinted |= hint;
        Asked {
            patient: changed.then_some(asks),
            hint,
        }
    }

    /// Another session of the engine is as patient as always.
    pub(crate) fn engine_gone(&mut self) {
        self.patient = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictation() -> Dictation {
        let cues = ["votre numéro", "code postal", "épeler"];
        Dictation {
            patience_ms: 1_200,
            cues: cues.map(str::to_owned).to_vec(),
            keypad_hint: "keys".to_owned(),
        }
    }

    #[test]
    fn only_the_end_of_what_is_said_asks() {
        let asks = |words: &str| dictation().asks(words);
        assert!(asks("Très bien. Quel est votre numéro de téléphone ?"));
        assert!(asks("Et le CODE POSTAL ? Prenez votre temps."));
        assert!(asks("Pouvez-vous l'épeler"));
        assert!(!asks(
            "J'ai votre numéro. Une pizza. Pour quelle heure la voulez-vous ?"
        ));
        assert!(!asks(
            "Votre numéro est le 06 12 34 56 78, c'est bien cela ?"
        ));
        assert!(!asks("Que désirez-vous ?"));
        assert!(!asks(""));
        let never = Dictation {
            patience_ms: 0,
            ..dictation()
        };
        assert!(!never.asks("Quel est votre numéro ?"));
    }

    #[test]
    fn patience_ends_with_another_question_and_the_keypad_is_offered_once() {
        let mut dictating = Dictating::default();
        let mut said = |words: &str| dictating.agent_said(&dictation(), words);
        let asked = |patient, hint| Asked { patient, hint };
        assert_eq!(said("Bonjour !"), asked(None, false));
        assert_eq!(said("Votre numéro ?"), asked(Some(true), false));
        assert_eq!(said("Pardon, votre numéro ?"), asked(None, true));
        assert_eq!(said("Encore votre numéro ?"), asked(None, false));
        assert_eq!(said("Merci. À quelle heure ?"), asked(Some(false), false));
        assert_eq!(said("Et le code postal ?"), asked(Some(true), false));
    }
}
