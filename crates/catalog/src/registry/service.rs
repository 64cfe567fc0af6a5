//! The store, the recordings and the administration API.

#[rustfmt::skip]
super::table! { Service:
    Error store_unusable(path: Text, cause: Text);
    Error store_unsupported(scheme: Text);
    Error store_directory(path: Text, cause: Text);
    Error store_unreadable(path: Text, cause: Text);
    Error store_corrupt(path: Text);
    Error store_locked(path: Text);
    Error store_disk_full(path: Text);
    Error store_too_new(path: Text, found: Number);
    Error store_migration(path: Text, cause: Text);
    Error store_missing(path: Text);
    Error store_write_disk_full();
    Error store_write_locked();
    Error store_write_corrupt();
    Error store_write_failed(cause: Text);
    Error store_read_failed(cause: Text);
    Warning store_unknown_call();
    Warning store_duplicate_call();
    Warning store_unknown_tenant();
    Warning store_batch_too_large();
    Notice journal_too_long(type: Text);
    Warning call_not_found(id: Text);
    Warning api_bad_request(cause: Text);
    Warning api_unauthorized();
    Warning api_not_found();
    Warning api_method_not_allowed();
    Error api_store_failed();
    Notice api_no_recording(id: Text);
    Notice api_call_ended(id: Text optional);
    Notice api_call_elsewhere(id: Text optional);
    Error api_internal();
    Warning recording_incomplete(state: Text);
    Warning no_rtp_port(cause: Text);
    Info media_address_seen(server: Text, address: Text);
    Info media_address_relayed(server: Text, address: Text);
    Info media_path_direct(address: Text);
    Info media_path_relayed(relay: Text, address: Text);
    Warning media_path_none();
    Warning srtp_failures(count: Count);
    Info dtls_agreed(suite: Text, ms: Duration);
    Warning dtls_wrong_fingerprint();
    Warning dtls_without_srtp();
    Warning dtls_refused();
    Warning dtls_silence();
    Notice leg_replaced(from: Text);
    Notice offer_failed(status: Number);
    Notice sip_command_refused(command: Text);
    Warning sip_refused(status: Number, reason: Text optional);
    Info delayed_offer();
    Notice dtmf_not_sent(cause: Text);
    Notice call_refused_because(cause: Text, source: Text optional);
    Info caller_vouched(attestation: Text optional);
    Info caller_unsigned();
    Notice caller_not_vouched(cause: Text);
    Notice call_limited(limit: Text, max: Count, name: Text optional, source: Text optional);
}
