//! Sounds of the product itself, so that a caller hears something sensible when no engine speaks.

use call::{Language, LocalSound};
use media::{Form, Law, reform};

/// G.711 µ-law, 8 kHz.
fn ulaw(sound: LocalSound, language: Language) -> &'static [u8] {
    match (sound, language) {
        (LocalSound::Apology, Language::Fr) => {
            include_bytes!("../../../assets/sounds/fr/apology.ulaw")
        }
        (LocalSound::Apology, Language::En) => {
            include_bytes!("../../../assets/sounds/en/apology.ulaw")
        }
        (LocalSound::OneMoment, Language::Fr) => {
            include_bytes!("../../../assets/sounds/fr/one-moment.ulaw")
        }
        (LocalSound::OneMoment, Language::En) => {
            include_bytes!("../../../assets/sounds/en/one-moment.ulaw")
        }
    }
}

/// Somebody who is called is asked for a key, in the form of their leg.
pub(crate) fn press_a_key(language: Language, form: Form) -> Vec<u8> {
    let audio: &[u8] = match language {
        Language::Fr => include_bytes!("../../../assets/sounds/fr/press-a-key.ulaw"),
        Language::En => include_bytes!("../../../assets/sounds/en/press-a-key.ulaw"),
    };
    reform::whole(Form::G711(Law::Pcmu), form, audio.to_vec())
}

/// The sound in the form of a leg.
pub(crate) fn load(sound: LocalSound, language: Language, form: Form) -> Vec<u8> {
    let audio = ulaw(sound, language).to_vec();
    reform::whole(Form::G711(Law::Pcmu), form, audio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sound_can_be_heard_in_every_form() {
        for sound in [LocalSound::Apology, LocalSound::OneMoment] {
            for language in [Language::Fr, Language::En] {
                for form in [Form::G711(Law::Pcmu), Form::G711(Law::Pcma), Form::Wide] {
                    let audio = load(sound, language, form);
                    assert!(
                        audio.len() > 1_000 * form.bytes_per_ms(),
                        "{sound:?} {language:?} lasts at least a second"
                    );
                    let mut samples = vec![0; audio.len() / form.sample_bytes()];
                    form.decode_into(&audio, &mut samples);
                    let loudest = samples
                        .iter()
                        .map(|sample: &i16| sample.unsigned_abs())
                        .max();
                    assert!(
                        loudest > Some(4_000),
                        "{sound:?} {language:?} {form:?} is not silent"
                    );
                }
            }
        }
    }
}
