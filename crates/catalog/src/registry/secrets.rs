//! Encryption at rest: keys, key files, their exchange.

#[rustfmt::skip]
super::table! { Service:
    Error secrets_bad_setting();
    Error secrets_bad_file(path: Text);
    Error secrets_open_file(path: Text, mode: Text);
    Error secrets_file(path: Text, cause: Text);
    Error secrets_missing_key(path: Text);
    Error secrets_wrong_key(origin: Text);
    Error secrets_unreadable(table: Text, id: Text);
    Error secrets_in_use(count: Count);
    Error secrets_failed(cause: Text);
    Error secrets_not_opened(id: Text);
    Error secrets_input(cause: Text);
    Notice secrets_made(path: Text);
    Notice secrets_migrated(count: Count);
    Notice secrets_rotated(count: Count);
    Warning secrets_left(value: Text);
    Warning secrets_outdated(path: Text);
}
