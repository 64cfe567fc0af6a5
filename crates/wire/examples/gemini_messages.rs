//! Prints every message of scripted Gemini sessions, with each setting, as JSON lines. `e2e/test_gemini.py` checks them against
//! the types of the official Python package.

use std::io::{self, Write};
use std::time::Instant;

use wire::gemini::Conversation;
use wire::realtime::{
    Eagerness, Generation, HistoryItem, MaxOutputTokens, ReasoningEffort, ResponseRequest, Role,
    ServerVad, SessionSettings, ToolDefinition, Transcription, Truncation, TurnDetection,
};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    #[expect(clippy::disallowed_methods, reason = "an example has a clock")]
    let now = Instant::now();
    for settings in all_settings() {
        converse(&mut out, now, settings)?;
    }
    let mut resumed = Conversation::new(full());
    resumed.resume_with("handle-1");
    print(&mut out, &mut resumed)
}

fn print(out: &mut impl Write, conversation: &mut Conversation) -> io::Result<()> {
    while conversation.poll_event().is_some() {}
    while let Some(text) = conversation.poll_send() {
        writeln!(out, "{text}")?;
    }
    Ok(())
}

fn full() -> SessionSettings {
    SessionSettings {
        voice: Some("Puck".to_owned()),
        transcription: Some(Transcription::default()),
        tools: vec![ToolDefinition {
            name: "lookup".to_owned(),
            description: "Looks something up.".to_owned(),
            parameters_json: r#"{"type":"object","properties":{"q":{"type":"string"}}}"#.to_owned(),
        }],
        generation: Generation {
            reasoning_effort: Some(ReasoningEffort::Low),
            max_output_tokens: Some(MaxOutputTokens::Limit(2_048)),
            truncation: Some(Truncation::Retention {
                ratio: 0.5,
                post_instructions: Some(8_000),
            }),
            parallel_tool_calls: Some(true),
            temperature: Some(0.7),
        },
        ..SessionSettings::telephone("gemini-3.8-live", "Répondez en « français ».")
    }
}

fn all_settings() -> Vec<SessionSettings> {
    let mut all = vec![
        SessionSettings::telephone("gemini-2.5-flash-native-audio", ""),
        full(),
    ];
    let mut with = |change: &dyn Fn(&mut SessionSettings)| {
        let mut settings = full();
        change(&mut settings);
        all.push(settings);
    };
    for eagerness in [Eagerness::Low, Eagerness::Medium, Eagerness::High] {
        with(&|settings| {
            settings.turn_detection = TurnDetection::Semantic {
                eagerness,
                create_response: true,
                interrupt_response: false,
            };
        });
    }
    with(&|settings| settings.turn_detection = TurnDetection::Manual);
    with(&|settings| {
        settings.turn_detection = TurnDetection::Server(ServerVad {
            threshold: 0.9,
            ..ServerVad::default()
        });
    });
    for effort in [
        ReasoningEffort::Minimal,
        ReasoningEffort::Medium,
        ReasoningEffort::High,
        ReasoningEffort::XHigh,
    ] {
        with(&|settings| settings.generation.reasoning_effort = Some(effort));
    }
    with(&|settings| settings.generation.truncation = Some(Truncation::Disabled));
    with(&|settings| settings.generation.temperature = Some(f32::NAN));
    with(&|settings| settings.text_only = true);
    all
}

/// Greeting, history, audio, tools in parallel, interruption, notes, muting.
fn converse(out: &mut impl Write, now: Instant, settings: SessionSettings) -> io::Result<()> {
    let mut conversation = Conversation::new(settings);
    let item = |role, text: &str| HistoryItem {
        role,
        text: text.to_owned(),
    };
    conversation.replay(&[
        item(Role::User, "Une table \"pour deux\"."),
        item(Role::Assistant, "Pour quelle heure ?"),
        item(Role::System, "The line was cut."),
    ]);
    conversation.append_audio(now, &[0; 640]);
    conversation.create_response(ResponseRequest {
        instructions: Some("Greet.".to_owned()),
        ..ResponseRequest::default()
    });
    print(out, &mut conversation)?;
    conversation.handle_binary(now, br#"{"setupComplete":{"sessionId":"s"}}"#);
    for _ in 0..3 {
        conversation.append_audio(now, &[1; 640]);
    }
    conversation.commit_audio();
    print(out, &mut conversation)?;
    for message in [
        r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=24000","data":"AAAA"}}]}}}"#,
        r#"{"toolCall":{"functionCalls":[{"id":"c1","name":"lookup","args":{"q":"x"}},{"id":"c2","name":"lookup","args":{}}]}}"#,
    ] {
        conversation.handle_text(now, message);
    }
    conversation.submit_tool_output("c2", "closed today");
    conversation.submit_tool_output("c1", r#"{"found":["a","b"]}"#);
    conversation.submit_tool_output("c0", "of before");
    conversation.add_message(Role::User, "[DTMF] 5");
    conversation.create_response(ResponseRequest::default());
    conversation.update_instructions("Be brief.");
    conversation.handle_text(now, r#"{"serverContent":{"interrupted":true}}"#);
    conversation.set_input_muted(true);
    conversation.set_input_muted(false);
    conversation.create_response(ResponseRequest::default());
    print(out, &mut conversation)
}
