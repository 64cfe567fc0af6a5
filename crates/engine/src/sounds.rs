//! Sounds of the product itself, so that a caller hears something sensible when no engine speaks.

use call::{Language, LocalSound};
use media::tone::Sine;
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

/// The playout item of [`not_now`].
pub(crate) const NOT_NOW: &str = "local:not_now";
/// Frequency and peak of its two tones, and the length of each and of the silence behind it, ms: the busy tone of most of Europe
/// (ITU-T E.180 supplement 2), cut short.
const NOT_NOW_HZ: f32 = 425.0;
const NOT_NOW_PEAK: f32 = 4_000.0;
const NOT_NOW_MS: usize = 200;

/// What a person asked for by keys cannot be done, in the form of their leg.
pub(crate) fn not_now(form: Form) -> Vec<u8> {
    let form_made = Form::G711(Law::Pcmu);
    let bytes = NOT_NOW_MS * form_made.bytes_per_ms();
    let mut audio = Vec::with_capacity(4 * bytes);
    for _ in 0..2 {
        let mut tone = vec![0; bytes];
        Sine::new(NOT_NOW_HZ, NOT_NOW_PEAK).fill_coded(Law::Pcmu, &mut tone);
        audio.extend_from_slice(&tone);
        audio.resize(audio.len() + bytes, form_made.silence());
    }
    reform::whole(form_made, form, audio)
}

/// The digits, spoken.
macro_rules! digits {
    ($language:literal) => {
        [
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-0.ulaw"
            )),
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-1.ulaw"
            )),
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-2.ulaw"
            )),
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-3.ulaw"
            )),
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-4.ulaw"
            )),
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-5.ulaw"
            )),
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-6.ulaw"
            )),
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-7.ulaw"
            )),
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-8.ulaw"
            )),
            include_bytes!(concat!(
                "../../../assets/sounds/",
                $language,
                "/digit-9.ulaw"
            )),
        ]
    };
}

/// Whoever parked a caller is told the place, digit by digit, in the form of their leg.
pub(crate) fn parked_in(place: u16, language: Language, form: Form) -> Vec<u8> {
    let (begin, digits): (&[u8], [&[u8]; 10]) = match language {
        Language::Fr => (
            include_bytes!("../../../assets/sounds/fr/parked-in-place.ulaw"),
            digits!("fr"),
        ),
        Language::En => (
            include_bytes!("../../../assets/sounds/en/parked-in-place.ulaw"),
            digits!("en"),
        ),
    };
    let mut audio = begin.to_vec();
    for digit in place.to_string().bytes() {
        let spoken = digits.get(usize::from(digit.wrapping_sub(b'0')));
        audio.extend_from_slice(spoken.copied().unwrap_or_default());
    }
    reform::whole(Form::G711(Law::Pcmu), form, audio)
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
    fn each_place_sounds_otherwise() {
        let form = Form::G711(Law::Pcmu);
        for language in [Language::Fr, Language::En] {
            let all: std::collections::BTreeSet<Vec<u8>> = (1..=crate::limits::PARKING_PLACES_MAX)
                .map(|place| parked_in(place, language, form))
                .collect();
            assert_eq!(all.len(), usize::from(crate::limits::PARKING_PLACES_MAX));
            let longest = all.iter().map(Vec::len).max().unwrap_or_default();
            let within = crate::limits::PLACE_TOLD_WITHIN.as_millis();
            let longest_ms = (longest / form.bytes_per_ms()) as u128;
            assert!((800..within).contains(&longest_ms), "{longest_ms} ms");
        }
    }

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
