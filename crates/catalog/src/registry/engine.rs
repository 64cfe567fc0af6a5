//! What the voice engine answered, or that it did not.

#[rustfmt::skip]
super::table! { Engine:
    Error engine_refused(key: Key optional, detail: Text optional, status: Number optional);
    Error engine_rate_limited(since: Text optional, detail: Text optional, status: Number optional);
    Error engine_unavailable(detail: Text optional, status: Number optional);
    Error engine_unreachable(host: Text optional, detail: Text optional, status: Number optional);
    Error engine_timeout(after: Duration optional, detail: Text optional, status: Number optional);
    Warning engine_closed(close_code: Number optional, detail: Text optional, status: Number optional);
    Error engine_rejected(param: Text optional, detail: Text optional, status: Number optional);
    Notice engine_expired(detail: Text optional, status: Number optional);
    Warning engine_fault(detail: Text optional);
    Info engine_test_ok(engine: Text, after: Duration);
    Error engine_test_model(model: Text, detail: Text optional);
    Info engine_serves(engine: Text);
    Warning engine_fallback_serves(engine: Text);
}
