//! Words of `allo migrate`.

#[rustfmt::skip]
super::table! { Label:
    Info migrate_nothing();
    Info migrate_already(uri: Phone, origin: Text, account: Text);
    Info migrate_would(uri: Phone, origin: Text, account: Text optional);
    Info migrate_done(uri: Phone, origin: Text, account: Text);
    Info migrate_remove_setting();
    Error migrate_unreadable(cause: Text);
}
