//! The back office beside the core.

#[rustfmt::skip]
super::table! { Service:
    Warning office_missing(field: Text);
    Warning office_field(field: Text, expected: Text);
    Warning office_text(field: Text, max: Text);
    Warning office_word(field: Text, words: Text);
    Warning office_whole(field: Text, min: Text, max: Text);
    Warning office_number(field: Text, min: Text, max: Text);
    Warning office_amount(field: Text);
    Warning office_flag(field: Text);
    Warning office_instant(field: Text);
    Warning office_clock(field: Text);
    Warning office_date(field: Text);
    Warning office_json(field: Text, max: Text);
    Warning office_list(field: Text, max: Text);
    Warning office_unauthorized();
    Warning office_reference();
    Warning back_office_address_taken(address: Text, cause: Text);
}
