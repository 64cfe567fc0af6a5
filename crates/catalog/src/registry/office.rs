//! The back office beside the core.

#[rustfmt::skip]
super::table! { Service:
    Warning office_missing(field: Text);
    Warning office_field(field: Text, expected: Text);
    Warning office_unauthorized();
    Warning office_reference();
    Warning back_office_address_taken(address: Text, cause: Text);
}
