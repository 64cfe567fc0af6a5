//! What `allo doctor` finds.

#[rustfmt::skip]
super::table! { Service:
    Info doctor_server_running(version: Text, calls: Count);
    Info doctor_server_stopped();
    Info doctor_data_ok(path: Text, free: Count);
    Error doctor_data_unwritable(path: Text, cause: Text);
    Warning doctor_data_open(path: Text, mode: Text);
    Warning doctor_disk_low(path: Text, free: Count);
    Error doctor_disk_full(path: Text, free: Count);
    Info doctor_key_ok();
    Info doctor_key_new();
    Info doctor_database_ok(path: Text);
    Info doctor_database_new(path: Text);
    Error doctor_database_failing(path: Text);
    Info doctor_port_free(name: Text, address: Text);
    Info doctor_port_ours(name: Text, address: Text);
    Error doctor_port_taken(name: Text, address: Text, cause: Text);
    Info doctor_rtp_ok(range: Text, free: Count);
    Warning doctor_rtp_few(range: Text, free: Count, calls: Count);
    Error doctor_rtp_none(range: Text);
    Info doctor_tls_ok(name: Text, days: Count);
    Warning doctor_tls_soon(name: Text, days: Count);
    Error doctor_tls_expired(name: Text);
    Error doctor_tls_early(name: Text);
    Error doctor_tls_name(name: Text, host: Text, names: Text optional);
    Error doctor_tls_unreadable(name: Text);
    Info doctor_tls_self(name: Text);
    Info doctor_clock_ok(source: Text, seconds: Count);
    Warning doctor_clock_off(source: Text, seconds: Count);
    Error doctor_clock_wrong(source: Text, seconds: Count);
    Info doctor_clock_unknown();
    Warning doctor_clock_jumps(ms: Text);
    Info doctor_nat_none(seen: Text);
    Info doctor_nat_handled(announced: Text);
    Info doctor_nat_found(local: Text, seen: Text);
    Info doctor_stun(server: Text, seen: Text);
    Error doctor_stun_silent(server: Text);
    Warning doctor_nat_behind(local: Text, seen: Text);
    Error doctor_nat_wrong(announced: Text, seen: Text);
    Info doctor_back_office_ok(url: Text, status: Number);
    Warning doctor_back_office_ill(url: Text, status: Number);
    Error doctor_back_office_down(url: Text, cause: Text);
    Info doctor_well();
    Info doctor_first(remedy: Text);
}
