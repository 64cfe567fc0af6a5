//! Why a provider profile sets what it sets.

#[rustfmt::skip]
super::table! { Label:
    Info profile_registrar_ovh();
    Info profile_registrar_host();
    Info profile_registrar_given();
    Info profile_registrar_twilio();
    Info profile_registrar_lan();
    Info profile_registrar_exchange();
    Info profile_registrar_gateway();
    Info profile_registers_line();
    Info profile_registers_credentials();
    Info profile_registers_extension();
    Info profile_registers_trunk();
    Info profile_registers_gateway();
    Info profile_transport_udp();
    Info profile_transport_udp_only();
    Info profile_transport_tls();
    Info profile_port_standard();
    Info profile_port_tls();
    Info profile_port_gateway();
    Info profile_expires_long();
    Info profile_expires_medium();
    Info profile_expires_short();
    Info profile_expires_unused();
    Info profile_keep_alive_nat();
    Info profile_keep_alive_health();
    Info profile_keep_alive_lan();
    Info profile_keep_alive_exchange();
    Info profile_caller_id_own_number();
    Info profile_caller_id_from_account();
    Info profile_caller_id_from_number();
    Info profile_caller_id_box();
    Info profile_caller_id_extension();
    Info profile_caller_id_asserted();
    Info profile_caller_id_analogue();
    Info profile_numbers_double_zero();
    Info profile_numbers_digits();
    Info profile_numbers_national();
    Info profile_numbers_e164();
    Info profile_numbers_box();
    Info profile_numbers_exchange();
    Info profile_numbers_analogue();
    Info profile_codecs_europe();
    Info profile_codecs_america();
    Info profile_codecs_exchange();
    Info profile_srtp_none();
    Info profile_srtp_offered();
    Info profile_srtp_lan();
    Info profile_echo_analogue();
}
