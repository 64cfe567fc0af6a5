//! What the store refuses, beside what it says of its file or server.

#[rustfmt::skip]
super::table! { Service:
    Error store_bad_address();
    Error store_unavailable();
    Warning store_not_found(what: Text);
    Warning store_version_conflict(current: Number);
    Warning store_duplicate(what: Text);
    Warning store_unknown_reference();
    Warning store_in_use(what: Text);
    Warning store_refused(cause: Text);
}
