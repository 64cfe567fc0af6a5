//! Words of the commands that test a line and place a call.

#[rustfmt::skip]
super::table! { Configuration:
    Error incoming_option_missing(option: Text);
    Error incoming_option_wrong(option: Text, value: Text, expected: Text);
    Error incoming_option_bridge(option: Text);
    Error incoming_option_apart(option: Text);
    Error incoming_no_key();
    Info privacy_erased(calls: Count, chats: Count, recordings: Count, entries: Count);
    Error privacy_in_use();
    Error privacy_failed(cause: Text);
    Error privacy_recordings_left(count: Count);
    Info geo_imported(count: Count, path: Text);
    Error geo_failed(path: Text, cause: Text);
    Error place_no_line(name: Text);
    Error place_no_agent(name: Text);
    Error place_which_line(lines: Text);
    Error place_not_registered(line: Text);
    Error place_lost();
    Info place_given_up();
    Info incoming_starting(account: Text, transport: Text);
    Info incoming_registered(line: Text);
    Info incoming_waiting();
    Info incoming_time_over();
    Info incoming_interrupted();
    Info incoming_call(from: Phone, to: Phone);
    Info incoming_answered();
    Info incoming_sound();
    Info incoming_first_audio(after: Duration);
    Info incoming_call_ended(seconds: Count);
    Info incoming_cleaning();
    Info incoming_unregistered();
    Info incoming_figures(received: Count, answered: Count, failed: Count, seconds: Count, transcripts: Count);
    Info incoming_packets(received: Count, sent: Count, lost: Count);
    Info incoming_audio_card();
    Info incoming_audio_echo();
    Notice incoming_audio_no_card();
    Info incoming_audio_tone(hertz: Text);
    Info incoming_audio_silence();
    Info incoming_audio_file(path: Text);
    Info place_calling(number: Phone);
    Info place_placed();
    Info place_ringing();
    Info place_answered();
    Info place_time_over();
    Info place_hanging_up();
    Info place_callee_said(text: Text);
}
