//! What a restaurant's guests and staff are sent.

#[rustfmt::skip]
super::table! { Service:
    Info notice_order_created(house: Text, number: Number, total: Text, mode: Text, when: Text, dishes: Text);
    Info notice_order_ready(house: Text, number: Number, mode: Text);
    Info notice_order_cancelled(house: Text, number: Number);
    Info notice_reservation_created(house: Text, party: Number, when: Text);
    Info notice_reservation_updated(house: Text, party: Number, when: Text);
    Info notice_reservation_cancelled(house: Text, when: Text);
    Info notice_staff_order(number: Number, total: Text, mode: Text, when: Text);
    Info notice_staff_order_cancelled(number: Number, total: Text);
    Info notice_staff_order_updated(number: Number, status: Text);
    Info notice_staff_reservation(party: Number, when: Text, name: Text);
    Info notice_staff_reservation_updated(party: Number, when: Text, name: Text);
    Info notice_staff_reservation_cancelled(party: Number, when: Text, name: Text);
    Info notice_staff_message(name: Text, urgent: Text);
    Warning notice_settings(member: Text, cause: Text);
    Warning log_notice_dead(house: Text, channel: Text, cause: Text);
    Warning log_notices_unread(cause: Text);
    Warning log_notice_no_sender(house: Text, channel: Text, setting: Text);
}
