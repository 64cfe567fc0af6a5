//! What the model is told where the operator has said nothing: a receptionist, in the agent's language.

use call::Dictation;
use call::profile::{Language, Phrases};

/// Instructions of the default agent.
pub(crate) fn instructions(language: Language) -> &'static str {
    match language {
        Language::Fr => {
            "Tu es l'agent d'accueil téléphonique. Parle français, avec des phrases courtes et naturelles, sans liste. \
             Réponds aux questions, demande ce qui manque, répète les nombres et les noms importants. \
             Si tu ne sais pas, dis-le simplement et propose de prendre un message. \
             Quand l'appelant a fini, dis au revoir puis appelle l'outil end_call dans le même tour."
        }
        Language::En => {
            "You are the receptionist on the telephone. Speak English in short, natural sentences, without lists. \
             Answer questions, ask for what is missing, repeat numbers and names that matter. \
             If you do not know, say so plainly and offer to take a message. \
             When the caller has finished, say goodbye, then call the tool end_call in the same turn."
        }
    }
}

/// Instruction for the first sentence.
pub(crate) fn greeting(language: Language) -> &'static str {
    match language {
        Language::Fr => {
            "Salue l'appelant en une phrase courte, dis que tu es un assistant vocal, et demande ce que tu peux faire pour lui."
        }
        Language::En => {
            "Greet the caller in one short sentence, say that you are a voice assistant, and ask what you can do."
        }
    }
}

/// Instructions for the words before a call is recorded.
pub(crate) fn recording(language: Language) -> String {
    let notice = agent::recording_notice(language == Language::En);
    format!(
        "Say exactly the following text, word for word, in its own language, and nothing else:\n{notice}"
    )
}

/// What an agent says when it asks for something that people dictate, in both languages: an agent may speak either.
const DICTATED: [&str; 22] = [
    "votre numéro",
    "ton numéro",
    "numéro de téléphone",
    "numéro de commande",
    "numéro de réservation",
    "code postal",
    "adresse e-mail",
    "adresse mail",
    "adresse électronique",
    "votre e-mail",
    "votre mail",
    "épeler",
    "épelez",
    "lettre par lettre",
    "phone number",
    "your number",
    "order number",
    "booking number",
    "postcode",
    "zip code",
    "e-mail",
    "spell",
];

/// How what is dictated is waited for.
pub(crate) fn dictation(language: Language, patience_ms: u32) -> Dictation {
    let keypad_hint = match language {
        Language::Fr => {
            "L'appelant peut aussi taper des chiffres sur le clavier de son téléphone, puis dièse : propose-le s'ils sont mal compris."
        }
        Language::En => {
            "The caller may also type digits on the telephone's keypad, then the hash key: offer it if they are not understood."
        }
    };
    Dictation {
        patience_ms,
        cues: DICTATED.map(str::to_owned).to_vec(),
        keypad_hint: keypad_hint.to_owned(),
    }
}

/// Instructions for what the session itself decides to have said.
pub(crate) fn phrases(language: Language) -> Phrases {
    match language {
        Language::En => Phrases::default(),
        Language::Fr => Phrases {
            reprompt: "L'appelant se tait depuis un moment. Demande en une phrase courte s'il est toujours là.".to_owned(),
            warning: "Dis en une phrase courte que l'appel va bientôt se terminer.".to_owned(),
            goodbye_idle: "L'appelant ne répond plus. Dis un bref au revoir.".to_owned(),
            goodbye_max_duration: "Le temps de cet appel est écoulé. Dis un bref au revoir.".to_owned(),
            goodbye_end_call: "Dis un bref au revoir.".to_owned(),
            goodbye_requested: "L'appel doit se terminer maintenant. Excuse-toi et dis un bref au revoir.".to_owned(),
            resume: "Un bruit t'a interrompu, pas une parole. Reprends où tu en étais, sans te répéter.".to_owned(),
            tool_filler: "Dis en quelques mots que tu regardes et que cela prend un instant. Ne dis rien d'autre.".to_owned(),
            reconnected: "La ligne a été brièvement coupée. Excuse-toi en quelques mots et poursuis la conversation.".to_owned(),
            goodbye_budget: "L'appel ne peut pas continuer. Excuse-toi en une phrase courte, invite l'appelant à rappeler plus tard et dis au revoir.".to_owned(),
            transfer_failed: "L'appelant n'a pas pu être mis en relation. Dis-le en une phrase courte et propose de prendre un message ou d'aider autrement.".to_owned(),
            returned: "La personne à qui l'appelant a été passé a raccroché, et l'appelant est de nouveau avec toi. Demande en une phrase courte si tu peux encore l'aider.".to_owned(),
            conferred: "Une personne de la maison a rejoint l'appel : toi, l'appelant et elle, vous vous entendez tous. Dis en une phrase courte qu'elle est là. Ensuite laisse-les parler, et ne parle que si l'on te demande quelque chose.".to_owned(),
        },
    }
}
