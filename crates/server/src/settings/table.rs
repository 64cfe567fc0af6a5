//! Every setting of the process, as data: its key in the file, its environment variables, its kind and its default.
//!
//! One table serves reading, checking, `allo check --print` and `docs/settings.md`.

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Text,
    /// Never printed.
    Secret,
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    Switch,
    /// `address:port`; `off` or an empty text switches the listener off.
    Listen,
    Choice(&'static [&'static str]),
    /// A TOML list of texts, or one text with commas.
    List,
    /// `first-last`, both 1024-65535.
    PortRange,
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// `section.key` in the file; also the variable `ALLO_SECTION_KEY`.
    pub(crate) key: &'static str,
    /// Further variables, by the names that existing deployments use.
    pub(crate) variables: &'static [&'static str],
    pub(crate) kind: Kind,
    /// Empty text: not set.
    pub(crate) default: &'static str,
    /// One sentence in plain English, for the documentation.
    pub(crate) about: &'static str,
}

const fn setting(
    key: &'static str,
    variables: &'static [&'static str],
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        key,
        variables,
        kind,
        default,
        about,
    }
}

const SECONDS: Kind = Kind::Integer {
    min: 0,
    max: 86_400,
};
const MILLISECONDS: Kind = Kind::Integer {
    min: 0,
    max: 600_000,
};

#[rustfmt::skip]
pub(crate) const SETTINGS: &[Setting] = &[
    setting("server.language", &[], Kind::Choice(&["fr", "en"]), "fr", "Language of the command line, the logs and the spoken local phrases."),
    setting("server.data_dir", &[], Kind::Text, "data", "Where the database, the recordings and the keys live."),
    setting("server.database", &["DATABASE_URL"], Kind::Text, "", "SQLite file, or postgres://user:password@host:port/database; empty: allo.db in the data directory."),
    setting("server.encryption_key", &["ENCRYPTION_KEY"], Kind::Secret, "", "64 hexadecimal digits that stored passwords and keys are encrypted with; empty: a key file is made in the data directory."),
    setting("server.log_format", &[], Kind::Choice(&["text", "json"]), "text", "One line an event, for people or for machines."),
    setting("server.log_level", &["LOG_LEVEL"], Kind::Text, "info", "A level (error, warn, info, debug, trace) or a filter such as `info,sip=debug`."),
    setting("server.drain_s", &[], SECONDS, "120", "How long calls in progress may go on after SIGTERM."),

    setting("admin.listen", &[], Kind::Listen, "", "Address of the administration API; empty: loopback on the port below."),
    setting("admin.port", &["SERVICE_MANAGER_PORT"], Kind::Integer { min: 0, max: 65_535 }, "8080", "Port of the administration API on loopback."),
    setting("admin.token", &["ALLO_ADMIN_TOKEN"], Kind::Secret, "", "Bearer token of the administration API; empty: one is made in the data directory."),
    setting("admin.tls_certificate", &[], Kind::Text, "", "PEM file; needed to listen on anything but loopback."),
    setting("admin.tls_key", &[], Kind::Text, "", "PEM file of the certificate's private key."),

    setting("admin.agents_unauthenticated", &[], Kind::Switch, "false", "Whether `/agents` and `/refresh` take requests without the token, for scripts on this machine; only on loopback."),

    setting("agents.check_every_s", &["HEALTH_CHECK_INTERVAL"], Kind::Integer { min: 1, max: 3_600 }, "30", "Seconds between two looks at each agent."),
    setting("agents.discover", &[], Kind::Switch, "false", "Whether the back office is asked for its agents (`GET /api/sip/agents`); `allo manager` switches it on."),
    setting("agents.refresh_s", &["REFRESH_INTERVAL"], Kind::Integer { min: 1, max: 86_400 }, "300", "Seconds between two readings of that list."),
    setting("agents.only_id", &["RESTAURANT_ID"], Kind::Text, "", "The back office's id of the one agent that the lines of these settings belong to; no list is read then."),

    setting("agents.isolation", &["AGENT_ISOLATION"], Kind::Choice(&["none", "process"]), "none", "How agents run: all in this process, or each as processes of its own (`allo serve` for it alone, and an `allo bridge` for each of its accounts)."),
    setting("agents.app_base_port", &["APP_BASE_PORT"], Kind::Integer { min: 1, max: 65_535 }, "5050", "First port of the voice addresses of agents that are processes; ports that are in use are passed over."),
    setting("agents.bridge_base_port", &["BRIDGE_BASE_PORT"], Kind::Integer { min: 1, max: 65_535 }, "5060", "First port of the interfaces of their bridges, on loopback; ports that are in use are passed over."),
    setting("agents.memory_mb", &[], Kind::Integer { min: 0, max: 1_048_576 }, "512", "Resident memory of one such process, MiB, beyond which the agent is unhealthy and the process is replaced when no call runs, or after ten minutes; 0: no bound."),
    setting("agents.files_max", &[], Kind::Integer { min: 256, max: 1_048_576 }, "4096", "Open files of one such process (RLIMIT_NOFILE)."),
    setting("agents.cpus", &[], Kind::Integer { min: 0, max: 1_024 }, "0", "Processors that one such process may use (its affinity); 0: all."),
    setting("agents.nice", &[], Kind::Integer { min: 0, max: 19 }, "0", "How far such processes step back where processors are short (nice)."),
    setting("agents.outlive_manager", &[], Kind::Switch, "false", "Whether such processes go on when the manager is told to stop, for the next one to take over."),

    setting("calls.checks_fail", &[], Kind::Choice(&["open", "closed"]), "open", "What happens to a call whose checks before the answer (refusal list, balance) cannot be made: it passes, or it is refused."),

    setting("platform.listen", &[], Kind::Listen, "127.0.0.1:4000", "Address of the platform API (`/api`) and of the web pages (`/admin/`); elsewhere than on loopback only with TLS."),
    setting("platform.tls_certificate", &[], Kind::Text, "", "PEM file; needed to listen on anything but loopback."),
    setting("platform.tls_key", &[], Kind::Text, "", "PEM file of the certificate's private key."),
    setting("platform.unauthenticated", &[], Kind::Switch, "false", "Whether requests without a credential are the owner's, for clients that send none; only on loopback."),
    setting("platform.clear_passwords", &[], Kind::Switch, "false", "Whether `GET /api/sip/agents` gives passwords of lines in clear, for managers that cannot decrypt; only on loopback."),
    setting("platform.proxies", &[], Kind::List, "", "Addresses or networks of proxies in front (127.0.0.1) that are believed when they name client and scheme: X-Forwarded-For, X-Forwarded-Proto."),
    setting("platform.rate_per_s", &[], Kind::Integer { min: 1, max: 100_000 }, "20", "Requests a second of one credential, twice as many at once; more are answered 429."),

    setting("back_office.listen", &[], Kind::Listen, "127.0.0.1:3000", "Address of the restaurant's back office; `off` for none. Unless it is set, there is none where `tools.back_office` names one elsewhere. Elsewhere than on loopback only with TLS."),
    setting("back_office.tls_certificate", &[], Kind::Text, "", "PEM file; needed to listen on anything but loopback."),
    setting("back_office.tls_key", &[], Kind::Text, "", "PEM file of the certificate's private key."),
    setting("back_office.unsigned", &[], Kind::Switch, "false", "Whether requests without a credential or signature are let in as the owner's, for existing clients that send none; only on loopback."),
    setting("back_office.clear_passwords", &[], Kind::Switch, "false", "Whether its `GET /api/sip/agents` gives passwords of lines in clear, for managers that cannot decrypt; only on loopback."),
    setting("back_office.rate_per_s", &[], Kind::Integer { min: 1, max: 100_000 }, "200", "Requests a second of one credential or voice account, twice as many at once; more are answered 429."),
    setting("back_office.own_url", &["NEXT_PUBLIC_APP_URL"], Kind::Text, "", "How the voice server reaches the back office; empty: its own address."),
    setting("back_office.voice_url", &["SIP_AGENT_SERVER_URL", "SIP_AGENT_INTERNAL_URL"], Kind::Text, "http://localhost:4000", "Voice server that restaurants are provisioned at."),
    setting("back_office.voice_key", &["SIP_ACCOUNT_API_KEY"], Kind::Secret, "", "Key of the account there; empty: this process's own, where it is the voice server."),
    setting("back_office.mail_url", &["SMTP_URL"], Kind::Secret, "", "Mail server for confirmations and news to staff: `smtps://user:password@host` or `smtp://user:password@host:587?tls=required`; empty: no mail."),
    setting("back_office.mail_from", &["SMTP_FROM"], Kind::Text, "", "Whom its mails are from: `Pizza Bella <contact@pizza.example>`."),
    setting("back_office.sms_url", &["SMS_URL"], Kind::Secret, "", "Where a short message is posted; may name `{to}`, `{text}`, `{id}`. Empty: none are sent."),
    setting("back_office.sms_headers", &["SMS_HEADERS"], Kind::Secret, "", "Headers of that request, one a line: `authorization: Bearer …`."),
    setting("back_office.sms_body", &["SMS_BODY"], Kind::Text, "", "Its body, JSON or a form, with `{to}` and `{text}`; empty: `{\"to\": \"{to}\", \"text\": \"{text}\"}`."),
    setting("back_office.printers", &[], Kind::List, "", "Kitchen printers that restaurants may name (`host:port`, ESC/POS over TCP); nothing else on the network is reached."),
    setting("back_office.geocoder", &[], Kind::Choice(&["embedded", "nominatim", "google"]), "embedded", "Who says where a delivery's address is: the embedded towns and postcodes, offline, or a service. One that fails is replaced by the embedded ones."),
    setting("back_office.geocoder_url", &[], Kind::Text, "", "Base address of that service; empty: Google's own. Nominatim has none by default: the public server's rules of use are for its operator to weigh. A private address also has to be in `tools.allow_private`."),
    setting("back_office.geocoder_price", &[], Kind::Number { min: 0.0, max: 100.0 }, "0", "What one question to it costs, in the restaurants' currency; counted in the call's costs."),
    setting("back_office.router", &[], Kind::Choice(&["embedded", "osrm", "google"]), "embedded", "Who says how long the way to a delivery is: an estimate from the straight line, offline, or a service."),
    setting("back_office.router_url", &[], Kind::Text, "", "Base address of that service; empty: Google's own."),
    setting("back_office.router_price", &[], Kind::Number { min: 0.0, max: 100.0 }, "0", "What one question to it costs."),
    setting("back_office.google_maps_key", &["GOOGLE_MAPS_API_KEY"], Kind::Secret, "", "Key for Google's geocoder and distances. By itself it asks nobody: `back_office.geocoder` and `back_office.router` say who is asked."),
    setting("back_office.places", &[], Kind::Text, "", "File of postcodes that `allo geo import` wrote; empty: `places.tsv.z` in the data directory where there is one, else the embedded ones of France."),
    setting("back_office.voice_secret", &[], Kind::Secret, "", "Secret by which a voice server elsewhere signs its requests; the accounts of this one have their own."),

    setting("voice.listen", &[], Kind::Listen, "", "Address for the webhooks and audio streams of carriers (Twilio and its like); empty: loopback on the port below."),
    setting("voice.port", &["PORT"], Kind::Integer { min: 0, max: 65_535 }, "5050", "Port of the voice address on loopback."),
    setting("voice.public_url", &[], Kind::Text, "", "Origin that carriers call, such as https://voice.example.com: what their signatures are made of, and where streams are opened."),
    setting("voice.tls_certificate", &[], Kind::Text, "", "PEM file; without it a proxy in front speaks TLS."),
    setting("voice.tls_key", &[], Kind::Text, "", "PEM file of the certificate's private key."),
    setting("voice.twilio_account_sid", &["TWILIO_ACCOUNT_SID"], Kind::Text, "", "Twilio account whose calls are hung up, transferred and placed."),
    setting("voice.twilio_auth_token", &["TWILIO_AUTH_TOKEN"], Kind::Secret, "", "Its token: checks the signatures of webhooks and streams."),
    setting("voice.twilio_shared_keys", &[], Kind::Secret, "", "Shared keys that Twilio may sign with instead, as id:secret, separated by commas."),
    setting("voice.twilio_api_url", &[], Kind::Text, "https://api.twilio.com", "Base address of Twilio's interface."),
    setting("voice.telnyx_public_key", &[], Kind::Text, "", "Public key (base64) that checks the signatures of Telnyx."),
    setting("voice.telnyx_api_key", &[], Kind::Secret, "", "Key of Telnyx's interface, to hang up and transfer."),
    setting("voice.plivo_auth_id", &[], Kind::Text, "", "Plivo account."),
    setting("voice.plivo_auth_token", &[], Kind::Secret, "", "Its token: checks the signatures of Plivo's webhooks."),
    setting("voice.bridge_token", &[], Kind::Secret, "", "What a bridge that signs nothing says as the parameter `token` of its stream to be let in; also the `key` of Exotel's and Vonage's webhook addresses."),
    setting("voice.unsigned_loopback", &[], Kind::Switch, "false", "Whether programs on this machine may announce calls and bring streams without a signature; not together with a public address."),

    setting("sip.udp", &[], Kind::Listen, "0.0.0.0:5060", "SIP over UDP."),
    setting("sip.tcp", &[], Kind::Listen, "0.0.0.0:5060", "SIP over TCP."),
    setting("sip.tls", &[], Kind::Listen, "0.0.0.0:5061", "SIP over TLS."),
    setting("sip.ws", &[], Kind::Listen, "", "SIP over WebSocket in clear, for a proxy in front that does TLS (`platform.proxies` names it) or for trials on one machine; empty: none."),
    setting("sip.wss", &[], Kind::Listen, "", "SIP over WebSocket in TLS, for softphones in browsers: 0.0.0.0:7443, with a certificate that they trust in `sip.tls_certificate`. Empty: none."),
    setting("sip.ws_origins", &[], Kind::List, "", "Origins of pages that may connect by WebSocket (`https://www.example.com`), or `*` for any; empty: pages of the same host name. Programs, which name no origin, always may."),
    setting("sip.hep_server", &[], Kind::Listen, "", "UDP address of a server that is sent each SIP message by HEP version 3, such as Homer: 192.0.2.9:9060. Secrets are redacted in them, numbers are not. Empty: none."),
    setting("sip.hep_agent", &[], Kind::Integer { min: 0, max: 4_294_967_295 }, "2001", "Number by which that server knows this node."),
    setting("sip.hep_key", &[], Kind::Secret, "", "Password that it asks for; empty: none."),
    setting("sip.port", &["SIP_PORT"], Kind::Integer { min: 0, max: 65_535 }, "0", "One port for SIP over UDP and TCP; 0: those of `sip.udp` and `sip.tcp`."),
    setting("sip.public_host", &["SIP_PUBLIC_HOST"], Kind::Text, "", "Host or address that peers can reach, where it is not the bound one."),
    setting("sip.tls_certificate", &[], Kind::Text, "", "PEM file; empty: a self-signed certificate is made in the data directory."),
    setting("sip.tls_key", &[], Kind::Text, "", "PEM file of the certificate's private key."),
    setting("sip.client_ca", &[], Kind::Text, "", "PEM file of the authorities that vouch for the names in TLS client certificates of trunks (`client_names` of an account), where the account names none itself; empty: none does."),
    setting("sip.tls_ca", &[], Kind::Text, "", "PEM file of further authorities to trust on outgoing TLS."),
    setting("sip.session_expires_s", &[], Kind::Integer { min: 90, max: 86_400 }, "1800", "Session timer that we offer (RFC 4028)."),

    setting("rtp.bind", &[], Kind::Text, "0.0.0.0", "Address of the audio sockets."),
    setting("rtp.public_address", &["PUBLIC_IP"], Kind::Text, "", "Address written into the session descriptions; empty: the one that reaches the peer."),
    setting("rtp.capture", &[], Kind::Choice(&["signalling", "headers", "media"]), "signalling", "What the file for Wireshark of each call holds: its SIP messages (signalling); the headers of its RTP packets and its RTCP too (headers); or every packet whole (media), which are the voices of people: personal data."),
    setting("rtp.ports", &[], Kind::PortRange, "10000-20000", "Ports of the audio sockets, even ones for RTP."),

    setting("nat.stun_server", &["STUN_SERVER"], Kind::Text, "", "Server (`host:port`, port 3478 by default) that is asked how it sees the audio sockets of a call, for lines that ask one; empty: nobody is asked."),
    setting("nat.turn_server", &["TURN_SERVER"], Kind::Text, "", "TURN server (`host:port`, UDP) that relays the audio of lines whose way is `turn` and that name none of their own."),
    setting("nat.turn_username", &["TURN_USERNAME"], Kind::Text, "", "Name at that server (long-term credentials)."),
    setting("nat.turn_password", &["TURN_PASSWORD"], Kind::Secret, "", "Password at that server."),

    setting("stir.allow_private", &[], Kind::List, "", "Origins (https://10.0.0.5) or networks outside the public Internet from which the certificates of those signers may be fetched. What is open to tools is not open to them: whoever calls names the address."),
    setting("stir.authorities", &[], Kind::Text, "", "PEM file of the authorities (STI-CA) that are trusted to vouch for the signers of callers' numbers; empty: none is, and no number is vouched for."),

    setting("line.username", &["SIP_USERNAME"], Kind::Text, "", "User name of the telephone line; empty: no line is registered."),
    setting("line.password", &["SIP_PASSWORD"], Kind::Secret, "", "Password of the line; empty: the line needs none."),
    setting("line.domain", &["SIP_DOMAIN"], Kind::Text, "sip.twilio.com", "Domain of the line."),
    setting("line.auth_username", &[], Kind::Text, "", "User name for digest where it differs from the line's."),
    setting("line.port", &[], Kind::Integer { min: 0, max: 65_535 }, "0", "Port of the registrar; 0: found by DNS, else 5060 or 5061."),
    setting("line.transport", &["SIP_TRANSPORT"], Kind::Choice(&["udp", "tcp", "tls"]), "udp", "Transport towards the registrar."),
    setting("line.registrar", &[], Kind::Text, "", "Registrar URI where it differs from the domain."),
    setting("line.outbound_proxy", &[], Kind::Text, "", "URI that every request of the line goes through."),
    setting("line.register", &[], Kind::Switch, "true", "Whether the line registers (false: a static trunk)."),
    setting("line.expires_s", &[], Kind::Integer { min: 60, max: 86_400 }, "300", "Registration lifetime that we ask for."),
    setting("line.display_name", &[], Kind::Text, "", "Name shown to the called party."),
    setting("line.codecs", &[], Kind::List, "pcmu,pcma,g722,opus", "Codecs that calls may use, in the order in which they are offered, for every account that names none; an answer follows the order of the caller's offer. `g729` and `amr-wb` may be named as well; where the list is this one they are taken from callers who have nothing else, and not offered."),
    setting("line.dtmf", &[], Kind::Choice(&["auto", "rfc4733", "info", "inband"]), "auto", "How keys are sent, for every account that does not say it: events where they are agreed, else tones; events only; by SIP INFO; or tones. A key that comes by several ways counts once."),
    setting("line.noise_suppression", &[], Kind::Switch, "false", "Whether steady noise is taken out of callers' audio, for every SIP account that does not say it; it adds some 17 ms of delay."),
    setting("line.automatic_gain", &[], Kind::Switch, "false", "Whether quiet callers are made louder and loud ones quieter (to -22 dBov, by -12 to +18 dB), for every SIP account that does not say it."),
    setting("line.echo_cancellation", &[], Kind::Switch, "false", "Whether the echo of what the agent says is taken out of callers' audio (analogue lines behind a gateway), for every SIP account that neither says it nor has a profile that does."),
    setting("line.echo_tail_ms", &[], Kind::Integer { min: 16, max: 256 }, "64", "How long the echo of a line lasts at most, for every SIP account that does not say it, ms; a delay before it is found by itself."),
    setting("line.noise_interrupts", &[], Kind::Switch, "false", "Whether a sound that is no voice (a cough, a door, a keyboard) interrupts the agent, once the engine takes it for the caller. Otherwise the agent is quieter for line.echo_decision_ms at most and goes on; words that the engine finds in such a sound are answered all the same. An engine that does not write what the caller says is always believed."),
    setting("line.echo_decision_ms", &[], Kind::Integer { min: 0, max: 1_000 }, "200", "When what interrupts the agent may be the agent's own echo, or no voice, the agent is quieter for this long at most, until it is known; then it is interrupted or goes on. 0: it is interrupted at once."),
    setting("line.nat", &[], Kind::Choice(&["auto", "public", "stun", "turn", "ice", "none"]), "auto", "How the address for audio is found, for every SIP account that does not say it: `rtp.public_address`; what `nat.stun_server` sees; a relay of `nat.turn_server` (turn); every address that these give, and checks which of them to use (ice); our own (none); or by the rule of docs/nat.md (auto)."),
    setting("line.srtp", &[], Kind::Choice(&["off", "preferred", "required", "dtls_preferred", "dtls_required"]), "preferred", "Encrypted audio (SRTP): refused, taken when offered, or demanded. Both take keys by SDES and by DTLS, and offer SDES; `dtls_preferred` and `dtls_required` offer DTLS, and the last one takes nothing else."),
    setting("line.allow", &[], Kind::List, "", "Addresses or networks whose calls are taken without registration, such as 192.168.1.0/24."),
    setting("line.allow_loopback", &[], Kind::Switch, "false", "Whether programs on this machine may call."),
    setting("line.users", &[], Kind::List, "", "`user:password` pairs that callers from elsewhere may authenticate with."),
    setting("line.ring_ms", &[], MILLISECONDS, "0", "Fixed ring time before the answer; 0: answer as soon as the voice is ready."),
    setting("line.answer_bound_ms", &[], Kind::Integer { min: 0, max: 30_000 }, "2500", "The call is answered at the latest after this time, ready or not."),

    setting("tools.back_office", &["NEXT_API_URL", "ALLORESTO_CALLBACK_URL"], Kind::Text, "", "Address of the back office; its origin may be reached by tools and webhooks wherever it is."),
    setting("tools.allow_private", &[], Kind::List, "", "Further origins (http://10.0.0.5:3000) or networks (10.1.0.0/16) outside the public Internet that tools and webhooks may reach."),
    setting("traces.endpoint", &["OTEL_EXPORTER_OTLP_ENDPOINT"], Kind::Text, "", "Address of a collector that takes traces by OTLP over HTTP, such as http://localhost:4318 (`/v1/traces` is added): one trace for each call, when it is over, and `traceparent` with the requests of tools, MCP and webhooks. Empty: none."),
    setting("traces.headers", &["OTEL_EXPORTER_OTLP_HEADERS"], Kind::Secret, "", "Headers of the requests to it: `name=value`, separated by commas, with %xx for what cannot stand there."),
    setting("traces.service", &["OTEL_SERVICE_NAME"], Kind::Text, "allo", "What the process is called there (`service.name`)."),
    setting("traces.numbers", &[], Kind::Switch, "false", "Whether traces tell telephone numbers whole; else their last two digits."),

    setting("tools.ca", &[], Kind::Text, "", "PEM file of further authorities to trust for tools and webhooks."),
    setting("tools.deadline_s", &[], Kind::Integer { min: 1, max: 60 }, "10", "How long a tool's request may take where the tool names no time."),

    setting("agent.name", &[], Kind::Text, "accueil", "Name of the agent in records and logs."),
    setting("agent.instructions", &[], Kind::Text, "", "What the agent is and does; empty: a polite receptionist."),
    setting("agent.greeting", &[], Kind::Text, "", "Instruction for the first sentence; empty: a short welcome; `none`: the caller speaks first."),
    setting("agent.language", &[], Kind::Choice(&["fr", "en"]), "fr", "Language that the agent speaks."),
    setting("agent.voice", &[], Kind::Text, "marin", "Voice of the model."),
    setting("agent.dictation_patience_ms", &[], Kind::Integer { min: 0, max: 5_000 }, "1200", "Silence that ends the caller's turn after the agent asked for something that people dictate with pauses (a telephone number, a postcode, an e-mail address, a name to spell), at least; 0: as always. When it has to be asked for again, the model is told that the caller may type it."),
    setting("agent.max_call_duration_s", &["MAX_CALL_DURATION"], SECONDS, "600", "A call ends, with a spoken warning, after this time; 0: never."),
    setting("agent.idle_reprompt_s", &[], Kind::Integer { min: 0, max: 300 }, "10", "Silence after which the agent asks whether the caller is there; 0: never."),
    setting("agent.idle_reprompts", &[], Kind::Integer { min: 0, max: 10 }, "2", "How often it asks before it says goodbye."),

    setting("engine.api_key", &["OPENAI_API_KEY"], Kind::Secret, "", "Key of the voice model's service."),
    setting("engine.url", &["OPENAI_REALTIME_URL"], Kind::Text, "", "WebSocket address of the service; empty: the provider's own. The provider's path is added to a bare host, `model` where the address does not name one."),
    setting("engine.model", &["OPENAI_REALTIME_MODEL"], Kind::Text, "", "Model (with Azure: the deployment); empty: the provider's own, `gpt-realtime-2.1` for OpenAI."),
    setting("engine.provider", &[], Kind::Choice(&["openai", "azure", "azure-preview", "xai", "gemini", "vertex", "custom"]), "openai", "Whose service it is: address, place of the key and protocol follow from it. `custom`: a self-hosted server that speaks as OpenAI does."),
    setting("engine.dialect", &[], Kind::Choice(&["ga", "beta"]), "ga", "Event names of a service that speaks as OpenAI does; `beta` only for old self-hosted servers."),
    setting("engine.auth_header", &[], Kind::Text, "", "Header that carries the key, where it is not the provider's own; with Authorization the key follows `Bearer`."),
    setting("engine.audio", &[], Kind::Choice(&["leg", "linear"]), "leg", "Audio to the service: as the telephone has it where the service takes that, or linear (24 kHz)."),
    setting("engine.fallback_provider", &[], Kind::Choice(&["", "openai", "azure", "azure-preview", "xai", "gemini", "vertex", "custom"]), "", "A second service, asked when the first cannot be had, at the beginning of a call or in its middle; empty: none."),
    setting("engine.fallback_url", &[], Kind::Text, "", "Its address; empty: the provider's own."),
    setting("engine.fallback_model", &[], Kind::Text, "", "Its model; empty: the provider's own."),
    setting("engine.fallback_api_key", &[], Kind::Secret, "", "Its key."),
    setting("engine.fallback_voice", &[], Kind::Text, "", "Its voice; empty: the service's own."),
    setting("engine.append_ms", &[], Kind::Integer { min: 20, max: 200 }, "20", "Length of one audio message to the service; a multiple of 20."),
    setting("engine.busy_append_ms", &[], Kind::Integer { min: 20, max: 200 }, "40", "The same at least while the node is busy (`limits.busy_calls`): fewer and longer messages cost less; 20: never longer."),
    setting("engine.transcription_model", &[], Kind::Text, "gpt-transcribe", "Model that writes down what the caller says; empty: none."),
    setting("engine.turn_detection", &[], Kind::Choice(&["server_vad", "semantic_vad"]), "server_vad", "How the service decides that the caller has finished."),
    setting("engine.vad_threshold", &["VAD_THRESHOLD"], Kind::Number { min: 0.0, max: 1.0 }, "0.5", "Sensitivity of server_vad."),
    setting("engine.vad_silence_ms", &["VAD_SILENCE_MS"], Kind::Integer { min: 100, max: 10_000 }, "500", "Silence that ends the caller's turn."),
    setting("engine.vad_prefix_padding_ms", &["VAD_PREFIX_PADDING_MS"], Kind::Integer { min: 0, max: 5_000 }, "300", "Audio kept from before the speech was noticed."),
    setting("engine.vad_eagerness", &[], Kind::Choice(&["auto", "low", "medium", "high"]), "auto", "Patience of semantic_vad."),
    setting("engine.noise_reduction", &[], Kind::Choice(&["off", "near_field", "far_field"]), "off", "Noise reduction inside the service."),
    setting("engine.reasoning_effort", &[], Kind::Choice(&["", "minimal", "low", "medium", "high", "xhigh"]), "", "Only for models that reason; empty: the model's default."),
    setting("engine.speed", &[], Kind::Number { min: 0.25, max: 1.5 }, "1.0", "Speed of the voice."),
    setting("engine.ca", &[], Kind::Text, "", "PEM file of further authorities to trust towards the service."),

    setting("limits.calls", &["MAX_CONCURRENT_CALLS"], Kind::Integer { min: 1, max: 10_000 }, "10", "Calls at once; the next one is told that the line is busy."),
    setting("limits.busy_calls", &[], Kind::Integer { min: 1, max: 10_000 }, "200", "Calls at once from which on the node counts as busy (`engine.busy_append_ms`)."),
    setting("limits.late_ms", &[], Kind::Integer { min: 0, max: 1_000 }, "50", "New calls are refused (503) while the node wakes later than this again and again, so that its calls stay in time; 0: that is not looked at."),
    setting("limits.cpu_percent", &[], Kind::Integer { min: 0, max: 100 }, "85", "New calls are refused (503) while the node uses this much of the cores that it may use; 0: that is not looked at."),
    setting("limits.strained_calls", &[], Kind::Integer { min: 0, max: 10_000 }, "10", "Calls at once from which on a call may be refused for `limits.late_ms` and `limits.cpu_percent`; fewer are always taken."),

    setting("recording.enabled", &[], Kind::Switch, "false", "Whether calls are recorded (stereo, caller left). Tell the callers: the law asks for it."),
    setting("recording.announce", &[], Kind::Switch, "true", "Whether callers are told so with the first words (agents: `recordingNotice`), and nothing is recorded before; `false` where the line's own announcement tells them."),
    setting("recording.dir", &[], Kind::Text, "", "Where recordings go; empty: `recordings` in the data directory."),

    setting("retention.transcripts_days", &[], Kind::Integer { min: 0, max: 36_500 }, "0", "Days that words and contexts of calls are kept after their end; 0: for ever."),
    setting("retention.recordings_days", &[], Kind::Integer { min: 0, max: 36_500 }, "0", "Days that recordings are kept after the call; 0: for ever."),
    setting("retention.journals_days", &[], Kind::Integer { min: 0, max: 36_500 }, "0", "Days that journals of calls are kept; 0: for ever."),
    setting("retention.tool_runs_days", &[], Kind::Integer { min: 0, max: 36_500 }, "0", "Days that arguments and answers of tools are kept; 0: for ever."),
    setting("retention.deliveries_days", &[], Kind::Integer { min: 0, max: 36_500 }, "0", "Days that delivered and given-up webhooks are kept; 0: for ever."),
    setting("retention.chats_days", &[], Kind::Integer { min: 0, max: 36_500 }, "0", "Days that text chats are kept after their end; 0: for ever."),
    setting("retention.persons_days", &[], Kind::Integer { min: 0, max: 36_500 }, "0", "Days after which a back office of ours forgets who ordered, booked or wrote (the entry stays, its person does not); 0: never."),
];

/// A variable of the systems that came before which has no effect here, and why.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) variable: &'static str,
    pub(crate) why: &'static str,
}

#[rustfmt::skip]
pub(crate) const RETIRED: &[Retired] = &[
    Retired { variable: "BRIDGE_PORT", why: "the manager told the application that a bridge ran beside it; both are one process here" },
    Retired { variable: "WS_TARGET", why: "read by `allo bridge` (as `--ws-target`); the server itself needs no bridge" },
    Retired { variable: "BRIDGE_API_PORT", why: "read by `allo bridge` (as `--api-port`); the server itself needs no bridge" },
    Retired { variable: "STATUS_CALLBACK_URL", why: "read by `allo bridge` (as `--status-callback-url`); the server itself needs no bridge" },
    Retired { variable: "INCOMING_CALLBACK_URL", why: "read by `allo bridge` (as `--incoming-callback-url`); the server itself needs no bridge" },
];

/// Variables that existing deployments set for parts which this version does not have: said once at start, not ignored in silence.
#[rustfmt::skip]
pub(crate) const NOT_YET: &[Retired] = &[
    Retired { variable: "NEXT_PUBLIC_BILLING_CURRENCY", why: "costs are not counted by this version" },
    Retired { variable: "DATABASE_TYPE", why: "DATABASE_URL says it: a path is SQLite, postgres://… is PostgreSQL" },
    Retired { variable: "SERPAPI_KEY", why: "nothing is searched for on the web in this version" },
    Retired { variable: "SIP_AGENT_PUBLIC_URL", why: "the chat widget is /widget/chat.js on the platform address: the address of that is the client's affair" },
    Retired { variable: "SIP_AGENT_WEB_URL", why: "the web pages are not part of this version" },
];

/// The variable that every setting has besides its own names: `sip.udp` is `ALLO_SIP_UDP`.
pub(crate) fn variable_of(key: &str) -> String {
    format!("ALLO_{}", key.replace('.', "_").to_uppercase())
}
