//! Sounds of the product itself, so that a caller hears something sensible when no engine speaks.

use call::{Language, LocalSound};
use media::{Codec, g711};

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

/// The sound in the codec of a leg.
pub(crate) fn load(sound: LocalSound, language: Language, codec: Codec) -> Vec<u8> {
    let mut audio = ulaw(sound, language).to_vec();
    g711::transcode(Codec::Pcmu, codec, &mut audio);
    audio
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sound_can_be_heard_in_every_codec() {
        for sound in [LocalSound::Apology, LocalSound::OneMoment] {
            for language in [Language::Fr, Language::En] {
                for codec in [Codec::Pcmu, Codec::Pcma] {
                    let audio = load(sound, language, codec);
                    assert!(
                        audio.len() > 8_000,
                        "{sound:?} {language:?} lasts at least a second"
                    );
                    let loudest = audio
                        .iter()
                        .map(|byte| g711::decode(codec, *byte).unsigned_abs())
                        .max();
                    assert!(
                        loudest > Some(4_000),
                        "{sound:?} {language:?} {codec:?} is not silent"
                    );
                }
            }
        }
    }
}
