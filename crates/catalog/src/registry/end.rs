//! How calls end: the verdict of a call. Each end reason `x` has the plain verdict `end_x`; the others are chosen when the journal knows more.

#[rustfmt::skip]
super::table! { End:
    Info end_caller_hung_up();
    Info end_caller_hung_up_speaking();
    Notice end_caller_hung_up_unheard();
    Info end_transferred();
    Warning end_transfer_failed();
    Info end_agent_hung_up();
    Info end_agent_hung_up_complete();
    Notice end_agent_hung_up_cut();
    Info end_answering_machine();
    Info end_message_left();
    Info end_caller_cancelled();
    Info end_busy();
    Info end_no_answer();
    Info end_idle_timeout();
    Notice end_max_duration();
    Error end_engine_unavailable();
    Error end_engine_lost();
    Error end_engine_refused();
    Warning end_media_lost();
    Warning end_one_way_audio(sent: Count);
    Warning end_one_way_audio_private(sent: Count, address: Text);
    Warning end_one_way_audio_ours_private(sent: Count, address: Text);
    Warning end_one_way_audio_stun(sent: Count);
    Warning end_session_expired();
    Info end_operator_hung_up();
    Notice end_draining();
    Error end_overload();
    Notice end_rejected();
    Notice end_rejected_blocked();
    Notice end_agent_stopped();
    Notice end_closed();
    Warning end_no_balance();
    Notice end_concurrency();
    Notice end_rate_limited();
    Warning end_rejected_offer();
    Warning end_rejected_srtp_required();
    Warning end_encryption_failed();
    Warning end_encryption_failed_fingerprint();
    Warning end_no_common_codec();
    Warning end_no_common_codec_one(offered: Text);
    Warning end_no_common_codec_many(offered: Text);
    Notice end_unauthorized();
    Notice end_certificate_refused();
    Notice end_caller_unproven();
    Warning end_unknown_number(to: Phone optional);
    Notice end_not_parked();
    Warning end_transport_lost();
    Warning end_ack_missing();
    Warning end_missing_answer();
    Warning end_leg_failed();
    Error end_process_lost(after: Duration optional);
    Error end_internal();
    Info end_running();
    Warning end_unknown();
}
