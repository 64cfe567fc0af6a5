# English texts. The code of each sentence is in the registry (src/registry/); `none` is an absent parameter.


## End

end_caller_hung_up = The caller hung up.
end_caller_hung_up_speaking = The caller hung up while the agent was speaking.
end_caller_hung_up_unheard = The caller hung up before hearing the agent.
    .remedy = Look at the time from answer to first audio.
end_transferred = The caller was transferred.
end_transfer_failed = The caller could not be transferred.
    .remedy = Check the number of the transfer, and that the carrier accepts transfers.
end_agent_hung_up = The agent hung up.
end_agent_hung_up_complete = The agent hung up after its goodbye, spoken to the end.
end_agent_hung_up_cut = The agent hung up; its goodbye was not heard to the end.
end_answering_machine = An answering machine took the call, and no message was left.
end_message_left = An answering machine took the call, and the message was left on it.
end_caller_cancelled = The caller gave up before the answer.
end_busy = The called party is busy.
end_no_answer = The called party did not answer.
end_idle_timeout = The agent hung up: the caller had stopped speaking.
end_max_duration = The agent hung up: the call had reached its maximum duration.
    .remedy = Raise the agent's maximum duration if conversations need it.
end_engine_unavailable = The voice engine could not be reached when the call began.
    .remedy = Check the engine's address and this server's network.
end_engine_lost = The voice engine was lost during the call and did not come back.
    .remedy = Look at the cause below; if it repeats, plan a fallback engine.
end_engine_refused = The voice engine refused the key or the agent's settings.
    .remedy = Replace the key or correct the setting that is named.
end_media_lost = The caller's audio stopped coming: the call was released.
end_one_way_audio = The caller could hear us, we could not hear the caller: { $sent } packets sent, 0 received.
    .remedy = Open the audio UDP ports (rtp.ports, 10000-20000) towards this server; behind a router, set the public address (rtp.public_address), or let the line find it (nat).
end_one_way_audio_private = One-way audio: we sent { $sent } packets to { $address }, a private address, and nothing came back.
    .remedy = The other side is behind a router and its audio does not reach us: open the audio UDP ports (rtp.ports, 10000-20000) towards this server, and behind a router of our own set the public address (rtp.public_address) or let the line find it (nat).
end_one_way_audio_ours_private = One-way audio: we sent { $sent } packets and nothing came back; the audio address we announced is private ({ $address }).
    .remedy = Set the public address (rtp.public_address), or a STUN server (nat.stun_server); behind a router that gives each peer another port, a relay (nat = turn).
end_one_way_audio_stun = One-way audio: we sent { $sent } packets and nothing came back, at the address that the STUN server saw.
    .remedy = The router in front of us gives each peer another port (symmetric NAT), so that this address is of no use to the other side: let a TURN server relay the audio of this line (nat = turn), or forward the audio ports and set rtp.public_address.
end_session_expired = The other side vanished without hanging up: the session was not refreshed.
end_operator_hung_up = An operator ended the call.
end_draining = The process stopped during the call: the service was shutting down.
    .remedy = Allow the shutdown more time (server.drain_s) if calls are cut by it.
end_overload = Call refused or cut: the service was at its limit.
    .remedy = Raise the limits or add a server.
end_rejected = Call refused by a rule.
end_rejected_blocked = Call refused: the caller is on the refusal list.
end_agent_stopped = Call refused: the agent of this line is stopped.
    .remedy = Start it: POST /agents/ID/start.
end_closed = Call refused: outside the opening hours.
end_no_balance = Call refused or ended: the balance or the budget is spent.
    .remedy = Recharge the balance or raise the budget.
end_concurrency = Call refused: as many calls as allowed run at the same time.
    .remedy = Raise the number of simultaneous calls of the account or of the agent.
end_rate_limited = Call refused: the line or the account had as many new calls this second as allowed.
    .remedy = Raise the calls a second of the line or of the account, or ask the other side for fewer.
end_rejected_offer = Call refused: the operator's audio offer cannot be used.
    .remedy = Look at the SDP offer in the messages below.
end_rejected_srtp_required = Call refused: this line requires encrypted audio (SRTP) and the operator does not offer it.
    .remedy = Enable SRTP at the operator or make it optional on the line.
end_encryption_failed = Call ended: its audio was to be encrypted by DTLS, and the two sides did not agree on keys.
    .remedy = Look at the cause below; if the other side does no DTLS, set SRTP of the line to preferred or required (SDES).
end_encryption_failed_fingerprint = Call ended: who answered the encryption of the audio (DTLS) is not who the call was agreed with: the fingerprint of the certificate is another.
    .remedy = Look for a device between the two sides that rewrites calls, or for somebody who listens; carry the signalling by TLS.
end_no_common_codec = Call refused: no common codec.
    .remedy = Enable G.711 (PCMA or PCMU) at the operator.
end_no_common_codec_one = Call refused: no common codec, the operator offers { $offered } alone.
    .remedy = Enable G.711 (PCMA or PCMU) at the operator.
end_no_common_codec_many = Call refused: no common codec, the operator offers { $offered }.
    .remedy = Enable G.711 (PCMA or PCMU) at the operator.
end_unauthorized = Call refused: the source did not prove its identity.
    .remedy = Add its address to the line (line.allow) or give it credentials.
end_certificate_refused = Call refused: the line asks for a TLS client certificate of its own, and the other side showed no valid one.
    .remedy = Look at what is said of it below; client_certificates, client_names and client_ca of the account say which ones are the line's.
end_caller_unproven = Call refused: the line asks for a proof of the caller's number (STIR/SHAKEN), and the call has no sufficient one.
    .remedy = Look at what is said of it below; caller_identity of the account says what the line asks for.
end_unknown_number = Call refused: { $to ->
    [none] the number called
   *[other] { $to }
 } is not connected to any agent.
    .remedy = Connect the number to an agent.
end_not_parked = Call refused: nobody is parked in the place that was dialled.
    .remedy = A parked caller is dialled as *85 and the number of the place; without a number where one caller alone waits. Places belong to the account of the telephone.
end_no_such_call = Call refused: no running call is the one that was dialled.
    .remedy = Dial *86, *87 or *88 and the last digits (four at most) of the caller's number; without digits where one call alone runs. A telephone comes into calls of its own account only.
end_transport_lost = The connection that carried the signalling was lost.
end_ack_missing = Our answer was never acknowledged: the call was released.
    .remedy = A firewall or router probably loses the messages; try TCP or set the public address.
end_missing_answer = The other side gave no answer to our audio offer.
end_leg_failed = The telephone leg failed.
end_process_lost = The process died during the call{ $after ->
    [none] {""}
   *[other] {" "}(last sign of life after { $after })
 }; the call's record was completed at the next start.
    .remedy = Look at the system log of that time: out of memory, forced stop or fault.
end_internal = A fault of this program ended the call.
    .remedy = Report it with the call's JSON explanation.
end_running = The call is in progress.
end_unknown = The call ended for a reason that this version does not know.

## Configuration

config_ok = The configuration is good.
config_unknown_key = { $path } line { $line }: there is no setting "{ $key }".{ $nearest ->
    [none] {""}
   *[other] {" "}Did you mean "{ $nearest }"?
 }
    .remedy = Correct or remove the line.
config_unknown_variable = The variable { $variable } names no setting.{ $nearest ->
    [none] {""}
   *[other] {" "}Did you mean { $nearest }?
 }
    .remedy = Correct or remove the variable.
config_bad_value = { $key } ({ $origin }): "{ $value }" cannot be used. Expected: { $expected }.
    .remedy = Correct the value.
config_missing_key = The setting { $key }{ $variable ->
    [none] {""}
   *[other] {" "}(variable { $variable })
 } is missing.
    .remedy = Give it a value.
config_missing_pair = { $key } and { $other } belong together: one of them is missing.
    .remedy = Give both, or neither.
config_missing_engine_key = There is no key for the voice engine: { $variable } is empty.
    .remedy = Give a key, or try without one with "allo demo".
config_file_unreadable = The file { $path } cannot be read: { $cause }.
    .remedy = Check the path and the permissions.
config_file_syntax = { $path } line { $line }: the syntax is wrong ({ $cause }).
    .remedy = Correct the line; texts go between quotation marks.
config_public_without_tls = { $key } ({ $origin }): { $address } is visible from the network without TLS and a token. The service does not start like this.
    .remedy = Give a certificate and a token, or listen on 127.0.0.1.
config_open_without_loopback = { $key } ({ $origin }): { $address } is visible from the network, and { $switch } gives without a credential what is not for everybody. The service does not start like this.
    .remedy = Listen on 127.0.0.1, or switch { $switch } off.
config_no_listener = No SIP address is set: nobody could call.
    .remedy = Set sip.udp, sip.tcp or sip.tls.
config_no_line = No line is set: every call will be refused.
    .remedy = Give SIP_USERNAME and SIP_PASSWORD, or line.allow.
config_no_effect = The variable { $variable } has no effect: { $why }.
port_in_use = Cannot listen on { $protocol } { $address }: { $cause }.
    .remedy = Stop the other program that holds this port, or choose another.
start_failed = The service could not start: { $cause }.
espeak_missing = The synthesiser espeak-ng is not installed: the stand-in engine cannot speak.
    .remedy = Install it: apt install espeak-ng
scenario_unusable = The scenario { $path } cannot be used: { $cause }.

## Registration

registration_registered = { $line ->
    [none] The line
   *[other] The line "{ $line }"
 } is registered{ $registrar ->
    [none] {""}
   *[other] {" "}with { $registrar }
 }.
registration_registering = { $line ->
    [none] The line
   *[other] The line "{ $line }"
 } is registering.
registration_unregistered = { $line ->
    [none] The line
   *[other] The line "{ $line }"
 } is not registered.
registration_wrong_credentials = { $registrar ->
    [none] The operator
   *[other] { $registrar }
 } refuses { $line ->
    [none] the line
   *[other] the line "{ $line }"
 }: wrong user name or password. No further attempt is made, so that your account is not locked.
    .remedy = Correct the user name or the password.
registration_refused = { $registrar ->
    [none] The operator
   *[other] { $registrar }
 } refuses { $line ->
    [none] the line
   *[other] the line "{ $line }"
 }{ $status ->
    [none] {""}
   *[other] {" "}(answer { $status })
 }.
    .remedy = Ask the operator whether the account is active.
registration_timeout = No answer from { $registrar ->
    [none] the operator
   *[other] { $registrar }
 }{ $protocol ->
    [none] {""}
   *[other] {" "}over { $protocol }
 }{ $after ->
    [none] {""}
   *[other] {" "}after { $after }
 } for { $line ->
    [none] the line
   *[other] the line "{ $line }"
 }. A firewall probably blocks it.
    .remedy = Try TCP, or open the SIP port.
registration_unreachable = { $registrar ->
    [none] The operator
   *[other] { $registrar }
 } cannot be reached for { $line ->
    [none] the line
   *[other] the line "{ $line }"
 }: the connection is refused or its encryption fails.
    .remedy = Check the address, the port and the protocol.
registration_dns = { $host ->
    [none] The operator's name
   *[other] { $host }
 } does not exist in the DNS: { $line ->
    [none] the line
   *[other] the line "{ $line }"
 } cannot register.
    .remedy = Check the spelling of the name.

## Test of a line

line_test_address_unusable = "{ $address }" is not a usable SIP address.
    .remedy = Write it as sip:user@domain, with a registrar and a proxy of the same form.
line_test_dns_ok = { $host } is found: { $found }.
line_test_dns_unknown = The name { $host } does not exist in the DNS.
    .remedy = Check the spelling of the domain or the registrar.
line_test_dns_empty = The name { $host } exists but leads to no address.
    .remedy = Ask the operator for the name of its SIP server, or give the port.
line_test_dns_silent = No name server answers for { $host }.
    .remedy = Check the network and the DNS of this machine.
line_test_inward = { $host } leads to a private address: it is not tested for this account.
    .remedy = Ask the operator of the service to make this test.
line_test_port_ok = { $address } answers by { $protocol }.
line_test_port_closed = { $address } refuses { $protocol }: nobody listens on this port.
    .remedy = Check the port and the transport (UDP, TCP or TLS).
line_test_port_silent = { $address } does not answer by { $protocol }.
    .remedy = A firewall is probably in the way: open the SIP port, or try another transport.
line_test_port_failed = { $address } cannot be reached by { $protocol }: { $cause }.
    .remedy = Check the network of this machine.
line_test_tls_ok = The certificate of { $name } is valid for { $days } more { $days ->
    [one] day
   *[other] days
 }.
line_test_tls_soon = The certificate of { $name } expires in { $days } { $days ->
    [one] day
   *[other] days
 }.
    .remedy = Tell the operator: without a new one the line will fail on that day.
line_test_tls_expired = The certificate of { $name } has expired.
    .remedy = Ask the operator to renew it, or use TCP meanwhile.
line_test_tls_name = The certificate is not for { $name }{ $names ->
    [none] {""}
   *[other] {" "}but for { $names }
 }.
    .remedy = Give as domain or proxy a name that is in the certificate.
line_test_tls_untrusted = The certificate of { $name } comes from an authority that this machine does not know.
    .remedy = Give the certificate of that authority in sip.tls_ca.
line_test_tls_failed = The TLS connection{ $name ->
    [none] {""}
   *[other] {" "}to { $name }
 } failed: { $cause }.
    .remedy = Check that this port speaks TLS.
line_test_options_ok = The server speaks SIP (answer { $status }{ $server ->
    [none] {""}
   *[other] {", "}{ $server }
 }).
line_test_options_silent = No answer to OPTIONS; some operators never answer it.
line_test_register_ok = { $registrar } takes the account and registers it ({ $expires } s); the trial registration is removed.
line_test_register_proved = { $registrar } takes the password; { $count ->
    [0] no registration was made
    [one] one running registration was not touched
   *[other] { $count } running registrations were not touched
 }.
line_test_register_open = { $registrar } takes the account without asking for a password{ $expires ->
    [none] {""}
   *[other] {" "}({ $expires } s)
 }.
    .remedy = Check that the operator knows the line otherwise, by the address of this machine.
line_test_register_off = This line does not register.
line_test_register_wrong = { $registrar } refuses "{ $username }": wrong user name or password.
    .remedy = Correct the user name or the password; further attempts may lock the account.
line_test_register_forbidden = { $registrar } forbids "{ $username }" (answer 403) after the password.
    .remedy = Check the password, then ask the operator whether the account is active and your address allowed.
line_test_register_unknown = { $registrar } does not know "{ $username }" (answer 404).
    .remedy = Check the user name and the domain.
line_test_register_brief = { $registrar } refuses the lifetime of the registration{ $minimum ->
    [none] {""}
   *[other] {" "}and asks for at least { $minimum } s
 }.
    .remedy = Raise the line's registration lifetime.
line_test_register_unsupported = { $registrar } asks for a proof of identity that this program cannot give.
    .remedy = Ask the operator for digest authentication with MD5 or SHA-256 for this account.
line_test_register_refused = { $registrar } refuses the registration (answer { $status }{ $reason ->
    [none] {""}
   *[other] {" "}{ $reason }
 }).
    .remedy = Ask the operator whether the account is active.
line_test_register_silent = { $registrar } does not answer the registration.
    .remedy = A firewall is probably in the way: try TCP, or ask the operator whether your address is allowed.
line_test_call_answered = { $number } answered after { $after } and sound arrives ({ $packets } packets in 2 s).
line_test_call_silent = { $number } answered but no sound arrives.
    .remedy = Open the audio ports (rtp.ports) and check the announced address (rtp.public_address).
line_test_call_rang = { $number } rang; nobody answered within 25 s.
line_test_call_refused = The call to { $number } is refused (answer { $status }{ $reason ->
    [none] {""}
   *[other] {" "}{ $reason }
 }).
    .remedy = Check the number, the form that the operator expects (+33… or 0…) and that the account may call.
line_test_call_nothing = The call to { $number } got no answer.
    .remedy = Check that the account may call by this server.
line_test_call_unusable = "{ $number }" cannot be called.
    .remedy = Give a number such as +33123456789 or a sip: address.
line_test_skipped = Not tried: an earlier step failed.

## What the doctor finds

doctor_server_running = allo { $version } is running ({ $calls } { $calls ->
    [one] call
   *[other] calls
 } now): its ports and registrations are left alone.
doctor_server_stopped = allo is not running: the settings alone are examined.
doctor_data_ok = { $path } can be written; { $free } MB are free.
doctor_data_unwritable = { $path } cannot be written: { $cause }.
    .remedy = Let this user write to server.data_dir, or choose another directory.
doctor_data_open = { $path } is a secret that other users can read (mode { $mode }).
    .remedy = chmod 600 on this file.
doctor_disk_low = Only { $free } MB are free for { $path }.
    .remedy = Make room, or keep recordings for a shorter time.
doctor_disk_full = Only { $free } MB are free for { $path }: calls will not be recorded in the database.
    .remedy = Make room now.
doctor_key_ok = The encryption key can be read.
doctor_key_new = There is no encryption key yet: it is made on first start.
doctor_database_ok = The database { $path } answers.
doctor_database_new = The database { $path } does not exist yet: it is made on first start.
doctor_database_failing = The database { $path } does not answer the service.
    .remedy = Look at the log of the service and at the database server.
doctor_port_free = { $name }: { $address } is free.
doctor_port_ours = { $name }: allo listens on { $address }.
doctor_port_taken = { $name }: { $address } cannot be taken ({ $cause }).
    .remedy = Stop the other program that holds this port, or choose another one.
doctor_rtp_ok = Audio ports { $range }: { $free } pairs are free.
doctor_rtp_few = Audio ports { $range }: { $free } pairs are free for { $calls } calls.
    .remedy = Widen rtp.ports, or stop the program that holds these ports.
doctor_rtp_none = Audio ports { $range }: no pair is free.
    .remedy = Correct rtp.ports and rtp.bind, or stop the program that holds these ports.
doctor_tls_ok = The certificate of { $name } is valid for { $days } more { $days ->
    [one] day
   *[other] days
 }.
doctor_tls_soon = The certificate of { $name } expires in { $days } { $days ->
    [one] day
   *[other] days
 }.
    .remedy = Renew it.
doctor_tls_expired = The certificate of { $name } has expired.
    .remedy = Renew it and restart the service.
doctor_tls_early = The certificate of { $name } is not valid yet.
    .remedy = Check the clock of this machine and the certificate.
doctor_tls_name = The certificate of { $name } is not for { $host }{ $names ->
    [none] {""}
   *[other] {" "}but for { $names }
 }.
    .remedy = Have a certificate made for this name.
doctor_tls_unreadable = The certificate of { $name } cannot be read.
    .remedy = Give a PEM file with the certificate first.
doctor_tls_self = { $name } uses a certificate that allo made itself; an operator that verifies will not take it.
doctor_clock_ok = The clock is right by { $source } (to { $seconds } s).
doctor_clock_off = The clock is off by { $seconds } s by { $source }.
    .remedy = Switch time synchronisation (NTP) on.
doctor_clock_wrong = The clock is wrong by { $seconds } s by { $source }: TLS and signatures will fail.
    .remedy = Set the time and switch synchronisation (NTP) on.
doctor_clock_unknown = No server told the time: the clock is not compared.
doctor_clock_jumps = The clock jumped by { $ms } ms during the examination.
    .remedy = Let NTP slew the clock instead of stepping it.
doctor_nat_none = No NAT: the operator sees us at our address { $seen }.
doctor_nat_handled = The announced address { $announced } is the one that the operator sees.
doctor_nat_found = This machine ({ $local }) is behind NAT: the operator sees it at { $seen }. The STUN server tells calls the address of their audio.
doctor_stun = The STUN server { $server } sees this machine at { $seen }.
doctor_stun_silent = The STUN server { $server } does not answer.
    .remedy = Check nat.stun_server (STUN_SERVER) and that UDP packets may leave for it; or set rtp.public_address (PUBLIC_IP).
doctor_nat_behind = This machine ({ $local }) is behind NAT: the operator sees it at { $seen }.
    .remedy = Set rtp.public_address (PUBLIC_IP) to that address and open the audio ports towards this machine; or set a STUN server (nat.stun_server), or a relay (docs/nat.md).
doctor_nat_wrong = The announced address { $announced } is not the one that the operator sees ({ $seen }).
    .remedy = Correct rtp.public_address (PUBLIC_IP).
doctor_back_office_ok = The back office { $url } answers ({ $status }).
doctor_back_office_ill = The back office { $url } answers with an error ({ $status }).
    .remedy = Look at the log of that service.
doctor_back_office_down = The back office { $url } cannot be reached: { $cause }.
    .remedy = Check tools.back_office (NEXT_API_URL) and that this service runs.
doctor_well = All is well.
doctor_first = To do first: { $remedy }

## Commands that test a line and place a call

incoming_option_missing = The option { $option } is needed.
    .remedy = Example: allo test-incoming --sip-uri sip:user@domain.com --username user --password secret
incoming_option_wrong = The option { $option } cannot be "{ $value }".
    .remedy = Expected: { $expected }
incoming_option_bridge = The option { $option } makes sense with --bridge only.
    .remedy = Add --bridge, or leave this option out.
incoming_option_apart = The option { $option } makes no sense with --bridge: the voice model speaks.
    .remedy = Leave out --bridge, or this option.
incoming_no_key = OPENAI_API_KEY must be set.
    .remedy = export OPENAI_API_KEY="sk-…", or --api-key "sk-…".
place_no_line = No line is called "{ $name }".
    .remedy = Give --line with the name of a line that is set.
place_no_agent = No agent "{ $name }" can call.
    .remedy = Give --agent with an agent that has a line, or --line.
place_which_line = There are several lines: { $lines }.
    .remedy = Choose one with --line.
place_not_registered = The line { $line } could not register: the call was not placed.
    .remedy = Run allo doctor to learn why.
place_lost = The call did not follow when it was told to hang up.
place_given_up = The call is given up.
incoming_starting = Starting: account { $account } by { $transport }.
incoming_registered = SIP registration succeeded: { $line }
incoming_waiting = Waiting for incoming calls (Ctrl+C to stop).
incoming_time_over = The time of the test is over.
incoming_interrupted = Stop requested.
incoming_call = Incoming call from { $from } for { $to }
incoming_answered = Call accepted
incoming_sound = Audio connected
incoming_first_audio = First sound of the agent { $after } after the answer
incoming_call_ended = Call ended ({ $seconds } s)
incoming_cleaning = Cleaning up: calls end, the registration is removed.
incoming_unregistered = Account unregistered, everything released.
incoming_figures = Calls received: { $received }, answered: { $answered }, failed: { $failed }; conversation: { $seconds } s; transcripts: { $transcripts }
incoming_packets = Audio packets received: { $received }, sent: { $sent }, lost: { $lost }
incoming_audio_card = Audio: microphone and loudspeaker of this machine.
incoming_audio_echo = Audio: callers hear themselves (echo).
incoming_audio_no_card = Audio: no sound card here; callers hear themselves (echo).
incoming_audio_tone = Audio: callers hear a tone of { $hertz } Hz.
incoming_audio_silence = Audio: callers hear nothing.
incoming_audio_file = Audio: callers hear { $path }.
place_calling = Calling { $number }
place_placed = The call has left
place_ringing = It rings
place_answered = Answered
place_time_over = The time is over: the agent hangs up.
place_hanging_up = Stop requested: the agent hangs up.
place_callee_said = Callee: { $text }

## Engine

engine_refused = The voice engine refuses the key{ $key ->
    [none] {""}
   *[other] {" "}ending in { $key }
 }{ $status ->
    [none] {""}
   *[other] {" "}(answer { $status })
 }. It is revoked or belongs to another project.
    .remedy = Replace the key.
engine_rate_limited = The voice engine refuses calls: no credit left or too many requests (429){ $since ->
    [none] {""}
   *[other] {" "}since { $since }
 }.
    .remedy = Top up the account or ask for a higher limit.
engine_unavailable = The voice engine is failing on its side{ $status ->
    [none] {""}
   *[other] {" "}(answer { $status })
 }{ $detail ->
    [none] {""}
   *[other] {" "}– { $detail }
 }.
    .remedy = Look at the service's status page.
engine_unreachable = The voice engine cannot be reached{ $host ->
    [none] {""}
   *[other] {" "}at { $host }
 }: name, network or encryption{ $detail ->
    [none] {""}
   *[other] {" "}({ $detail })
 }.
    .remedy = Check the engine's address and this server's network.
engine_timeout = The voice engine did not answer in time{ $after ->
    [none] {""}
   *[other] {" "}({ $after })
 }.
engine_closed = The voice engine closed the connection{ $close_code ->
    [none] {""}
   *[other] {" "}(code { $close_code })
 }{ $detail ->
    [none] {""}
   *[other] {" "}– { $detail }
 }.
engine_rejected = The voice engine rejects the agent's settings{ $param ->
    [none] {""}
   *[other] {" "}({ $param })
 }{ $detail ->
    [none] {""}
   *[other] {" "}– { $detail }
 }.
    .remedy = Correct the setting that is named (model, voice, tools).
engine_expired = The voice engine's session reached its maximum age.
engine_fault = The voice engine reports a fault{ $detail ->
    [none] {""}
   *[other] {" "}– { $detail }
 }.
engine_test_ok = The voice engine answers: { $engine } takes the key, the model and the agent's settings ({ $after }).
engine_test_model = The voice engine does not know the model { $model }{ $detail ->
    [none] {""}
   *[other] {" "}({ $detail })
 }.
    .remedy = Correct engine.model (OPENAI_REALTIME_MODEL), or ask for access to this model.
engine_serves = The voice engine { $engine } speaks for this agent.
engine_fallback_serves = The first voice engine is not there: { $engine } speaks in its place.

## Service

store_unusable = The database { $path } cannot be used: { $cause }.
store_unsupported = Databases of the kind "{ $scheme }" are not supported by this version.
    .remedy = Give the path of an SQLite file, or postgres://… for PostgreSQL.
store_directory = The directory { $path } cannot be used: { $cause }.
    .remedy = Check the path and the permissions.
store_unreadable = The database { $path } cannot be opened: { $cause }.
    .remedy = Check the path and the permissions.
store_corrupt = { $path } is not a sound database: the file is damaged or of another kind.
    .remedy = Restore a backup, or move the file away to begin with an empty one.
store_locked = The database { $path } is locked by another process.
    .remedy = Stop the other process.
store_disk_full = No space is left on the disk of { $path }.
    .remedy = Free some space; nothing that was written is lost.
store_too_new = The database { $path } was written by a later version (schema { $found }).
    .remedy = Use the latest version of the program.
store_migration = The schema of { $path } could not be brought up to date: { $cause }.
    .remedy = Restore a backup and report this fault.
store_missing = There is no database { $path }.
    .remedy = Run "allo serve" once, or give the right configuration.
store_write_disk_full = No space is left on the disk of the database; what was written stays.
    .remedy = Free some space.
store_write_locked = The database stayed locked for too long.
store_write_corrupt = The database is damaged.
    .remedy = Restore a backup.
store_write_failed = The database refused the write: { $cause }.
store_read_failed = The database could not be read: { $cause }.
store_unknown_call = This call does not exist in the database.
store_duplicate_call = A call with this id exists already.
store_unknown_tenant = This tenant does not exist.
store_batch_too_large = Too many entries in one write.
journal_too_long = An event ({ $type }) was too long for the journal.
call_not_found = There is no call { $id }.
    .remedy = "allo calls" lists the calls.
api_bad_request = The request cannot be understood: { $cause }.
api_unauthorized = The administration token is missing or wrong.
    .remedy = Send "Authorization: Bearer …" with the service's token.
api_not_found = There is nothing at this address.
api_method_not_allowed = This address does not know this method.
api_store_failed = The database does not answer.
api_no_recording = The call { $id } has no recording.
api_call_ended = The call{ $id ->
    [none] {""}
   *[other] {" "}{ $id }
 } is over already.
api_call_elsewhere = The call{ $id ->
    [none] {""}
   *[other] {" "}{ $id }
 } is not held by this process.
api_internal = A fault of this program prevented the answer.
recording_incomplete = The recording is incomplete: { $state ->
    [disk_full] no space left on the disk
    [gaps] it has gaps
    [failed] it could not be written
   *[other] { $state }
 }. The call went on.
    .remedy = Check the room and the speed of the disk.
no_rtp_port = No audio port is free ({ $cause }).
    .remedy = Widen the range rtp.ports.
media_address_seen = The STUN server { $server } sees our audio at { $address }: that is the address announced.
media_address_relayed = The TURN server { $server } relays our audio at { $address }: that is the address announced.
media_path_direct = The checks of ICE found the way of the audio: straight to { $address }.
media_path_relayed = The checks of ICE found the way of the audio: by the relay { $relay } to { $address }.
media_path_none = None of the ways that were tried (ICE) leads to the other side: the audio goes to the address that its call announces.
    .remedy = Name a TURN server for the line (turn_server): a relay gets through every router.
srtp_failures = Encrypted audio packets that could not be read: { $count }.
dtls_agreed = The audio is encrypted: keys by DTLS after { $ms }, { $suite }.
dtls_wrong_fingerprint = The certificate of the other side's DTLS is not the one that its call announced: no keys.
dtls_without_srtp = The other side's DTLS agreed on no SRTP that we know: no keys.
    .remedy = Enable SRTP_AES128_CM_HMAC_SHA1_80 on the other side.
dtls_refused = The other side gave up the DTLS handshake, or cannot do what we can (DTLS 1.2): no keys.
dtls_silence = The DTLS handshake did not come to its end within ten seconds: no keys.
    .remedy = Look whether UDP reaches both sides at the addresses of the SDP.
leg_replaced = A call with Replaces asked to take this leg over (from: { $from }).
not_parked = The caller was not parked by the keys of the person: { $cause }.
offer_failed = The other side refused our audio change (answer { $status }).
sip_command_refused = A SIP command came too late ({ $command }).
sip_refused = The other side refused our call: { $status }{ $reason ->
    [none] {""}
   *[other] {" "}{ $reason }
 }.
delayed_offer = The call came without an audio description: ours leaves with the answer.
dtmf_not_sent = The keypad tones could not be sent: { $cause }.
call_refused_because = call refused: { $cause ->
    [source_not_allowed] this address is not allowed
    [other_identity] the caller names another user than the password proved
    [unknown_number] the number called is not connected to any agent
    [certificate] its certificate does not open the line
    [certificate_of_stranger] its certificate does not open the line that it names
    [draining] the service is shutting down
    [too_many_invites] too many calls a second
    [too_many_calls] too many calls at the same time
    [line_busy] the line has all its calls
    [nobody_parked] nobody is parked in that place of the account
    [several_parked] several callers are parked: the number of the place is missing behind *85
    [no_such_call] no running call of this account has a caller whose number ends like that
    [several_calls] more than one running call is meant: digits of the caller's number are missing
    [may_not_join] this telephone may not come into running calls
   *[other] { $cause }
 }{ $source ->
    [none] {""}
   *[other] {" "}({ $source })
 }
certificate_recognised = the line was recognised by the other side's TLS certificate: { $by ->
    [fingerprint] this very one ({ $fingerprint })
   *[other] its name { $name ->
        [none] {""}
       *[other] { $name }
     }, which an authority of the line vouches for ({ $fingerprint })
 }
certificate_refused = the TLS certificate of the other side opens no line: { $cause ->
    [missing] it showed none, and the line asks for one
    [other] it is none of those that lines list
    [unproven] it did not prove to have the key, or the key is of no kind that is read (RSA from 2048 bits, P-256, P-384, Ed25519)
    [untrusted] it carries the line's name, but no authority of the line vouches for it
    [early] it is not valid yet
    [expired] it has expired
    [ambiguous] lines of several accounts of the platform list it
   *[other] { $cause }
 }{ $names ->
    [none] {""}
   *[other] {" "}– { $names }
 }{ $fingerprint ->
    [none] {""}
   *[other] {" "}– SHA-256 { $fingerprint }
 }{ $source ->
    [none] {""}
   *[other] {" "}({ $source })
 }
    .remedy = Write its fingerprint into client_certificates of the account, or its name into client_names with the authority in client_ca; ask the other side for a certificate that is valid.
caller_vouched = the caller's number is vouched for{ $attestation ->
    [none] {""}
    [A] : attestation A (its operator knows the caller and the right to the number)
    [B] : attestation B (its operator knows the caller, not the right to the number)
    [C] : attestation C (the call came to its operator from elsewhere)
   *[other] {" "}({ $attestation })
 }
    .remedy = If the call was refused for it: the line asks for more (caller_identity of the account).
caller_unsigned = nobody vouches for the caller's number: the call has no Identity header (STIR/SHAKEN)
    .remedy = Ask the operator whether it signs and passes Identity on; a line that refuses such calls has caller_identity set to require.
caller_not_vouched = the proof of the caller's number (STIR/SHAKEN) is not valid: { $cause ->
    [malformed] the Identity header cannot be read or lacks what it has to say
    [algorithm] it is not signed by ES256
    [stale] it was signed more than a minute ago or ahead
    [caller] it is of another caller
    [called] it is for another number than the one called
    [unfetched] its certificate could not be fetched
    [certificate] what its address gave is no certificate that can have signed it
    [expired] its certificate has expired or is not valid yet
    [untrusted] no authority of stir.authorities vouches for its certificate
    [signature] its signature is not that of its certificate
   *[other] { $cause }
 }
    .remedy = { $cause ->
    [stale] Look at the clocks of both sides.
    [unfetched] Look whether this machine reaches that address, and at tools.allow_private where it is a private one.
    [untrusted] The setting stir.authorities names a PEM file of the authorities that are trusted.
   *[other] Ask the operator that signed the call.
 }
call_limited = call refused, a limit is reached: { $limit ->
    [line_rate] the line had its new calls of this second
    [tenant_rate] the account had its new calls of this second
    [process_rate] the server had its new calls of this second
    [line_calls] the line has all its calls
    [tenant_calls] the account has all its calls
    [agent_calls] the agent has all its calls
    [process_calls] the server has all its calls
    [process_late] the server has no time for more: it is late by more than (ms)
    [process_cpu] the server has no time for more: its processor is used by (percent)
   *[other] { $limit }
 }, { $max }{ $name ->
    [none] {""}
   *[other] {" "}({ $name })
 }{ $source ->
    [none] {""}
   *[other] {" "}({ $source })
 }
    .remedy = { $limit ->
    [line_rate] “New calls a second” (calls_per_s_max) in the form of that line or device, or calls_per_s_max of the phone line's settings.
    [tenant_rate] “New calls a second” in the form of the account (settings.inbound.callsPerS).
    [process_rate] Ask the other sides for fewer calls a second, or add a server.
    [line_calls] “Simultaneous calls” (calls_max) in the form of that line or device, or maxParallelCalls of the phone line.
    [tenant_calls] “Simultaneous calls” in the form of the account (callsMax).
    [agent_calls] “Simultaneous calls” in the agent's settings (limits.maxParallelCalls).
    [process_calls] The setting limits.calls.
    [process_late] Look for what else uses this machine, give the server more cores, or add a server. The setting limits.late_ms.
    [process_cpu] Give the server more cores, or add a server. The setting limits.cpu_percent.
   *[other] Raise that limit.
 }

## Secrets

secrets_bad_setting = The encryption key of the settings (ENCRYPTION_KEY) is not 64 hexadecimal digits.
    .remedy = “allo secrets generate” makes one.
secrets_bad_file = The key file { $path } does not hold 64 hexadecimal digits.
    .remedy = Restore it from a backup: without the right key, what is encrypted stays unreadable.
secrets_open_file = The key file { $path } may be read by others than its owner (mode { $mode }).
    .remedy = chmod 600 { $path }
secrets_file = The key file { $path } cannot be used: { $cause }.
    .remedy = Check the path and the permissions.
secrets_missing_key = The database holds encrypted values and there is no key: neither ENCRYPTION_KEY nor { $path }.
    .remedy = Set ENCRYPTION_KEY, or restore the key file from a backup.
secrets_wrong_key = The encryption key ({ $origin }) is not the one of this database.
    .remedy = Give the key that it was written with; “allo secrets rotate” changes it afterwards. Nothing was changed.
secrets_unreadable = An encrypted value does not open with the key: { $table }, { $id }.
    .remedy = Save that value again, or restore it from a backup.
secrets_in_use = { $count ->
    [one] A process uses
   *[other] { $count } processes use
 } this database.
    .remedy = Stop the server, then try again.
secrets_failed = The value could not be encrypted: { $cause }.
secrets_not_opened = The value is not encrypted under this key for { $id }.
    .remedy = Check the id of the line and the key.
secrets_input = The input could not be read: { $cause }.
secrets_made = A file with an encryption key was made: { $path }. Back it up apart from the database.
secrets_migrated = { $count ->
    [one] A clear value was encrypted.
   *[other] { $count } clear values were encrypted.
 }
secrets_rotated = The encryption key was changed; { $count ->
    [one] one value was encrypted
   *[other] { $count } values were encrypted
 } anew.
secrets_left = This value opens with neither of the two keys and stays as it is: { $value }.
secrets_outdated = ENCRYPTION_KEY is still the key of before the change.
    .remedy = Put the content of { $path } there, then delete that file.

## Store

store_bad_address = The address of the database server cannot be read.
    .remedy = Write it as postgres://user:password@host:5432/database, special characters percent-encoded.
store_unavailable = The database cannot be reached.
    .remedy = Check that the database server runs and takes connections; what was written stays.
store_not_found = There is no such entry ({ $what }).
store_version_conflict = The entry was changed meanwhile; its version is now { $current }.
    .remedy = Read it again, then repeat the change.
store_duplicate = This entry is not available: { $what } is taken.
store_unknown_reference = The request names an entry that does not exist.
store_in_use = The entry is still in use ({ $what }).
store_refused = The entry cannot be stored: { $cause }.

## Log

log_started = allo{ $version ->
    [none] {""}
   *[other] {" "}{ $version }
 } started.
log_shedding = New calls are refused: { $cause ->
    [late] the server is late by more than { $max } ms
   *[other] the server uses more than { $max } % of its processor
 }.
log_shedding_over = New calls are taken again after { $seconds } s; { $refused } were refused.
log_listening = Listening on { $protocol } { $address }.
log_accounts_loaded = { $count ->
    [0] No active SIP account
    [one] Found { $count } active SIP account
   *[other] Found { $count } active SIP accounts
 }.
log_registration_succeeded = SIP registration succeeded with { $registrar }{ $line ->
    [none] {""}
   *[other] {" "}(line { $line })
 }.
log_registration = Registration of the line { $line }: { $state }.
log_agent_selected = Agent selected: { $agent }{ $line ->
    [none] {""}
   *[other] {" "}(line { $line })
 }.
log_voice_bridge_started = Realtime voice bridge started{ $call ->
    [none] {""}
   *[other] {" "}({ $call })
 }.
log_call_answered = Call answered{ $call ->
    [none] {""}
   *[other] {" "}({ $call })
 }{ $after ->
    [none] {""}
   *[other] {" "}after { $after }
 }.
log_call_ended = Call ended{ $call ->
    [none] {""}
   *[other] {" "}({ $call })
 }{ $duration ->
    [none] {""}
   *[other] {" "}after { $duration }
 }{ $reason ->
    [none] {""}
   *[other] {" "}· { $reason }
 }.
log_call_overloaded = A call did not keep up with its events: it is ended.
log_calls_recovered = { $count ->
    [one] { $count } call of a dead process was completed
   *[other] { $count } calls of a dead process were completed
 }.
log_provisioned = [sip-provisioning] The restaurant { $house } has its agent { $agent }, with its tools.
log_provisioning_failed = [sip-provisioning] The restaurant { $house } is not provisioned yet ({ $step }: { $cause }). It is saved; another attempt follows.
demo_not_provisioned = The restaurant did not get its agent in time: the log says why ([sip-provisioning]).
demo_order = Order no. { $number }: { $total } € with { $fee } € for the way, { $address }, promised for { $time }
demo_order_line = { $quantity } × { $name } ({ $options }): { $price } €
demo_reservation = Reservation: { $guests } guests, { $name }, { $time }
demo_cost = Cost of the call: { $cost } { $currency } (engine of the demonstration, at the model's prices)
log_retention_swept = { $count ->
    [one] { $count } entry that was too old was removed
   *[other] { $count } entries that were too old were removed
 }.
log_drain_started = Shutdown requested: calls in progress have { $seconds } s to finish, no new call is taken.
log_drain_finished = Shutdown complete.
log_record_late = The journal of the call { $call } is waiting for the database.
log_journal_recovered = The database answers again: the waiting journals are written.
log_recording_recovered = The disk can be written again: calls are recorded.
log_greeting_not_kept = The greeting that the model has just said could not be kept: { $error }.
    .remedy = Check the space and the rights of the folder "greetings" of the data. Until then the model says each greeting itself.
log_greeting_discarded = A greeting that was kept was broken: it is deleted, and made again by the next call.
log_recording_failed = A recording failed{ $error ->
    [none] {""}
   *[other] {" "}({ $error })
 }.
log_source_banned = { $source } gave a wrong password too often, or scans: it is not answered for { $minutes } minutes.
log_device_registered = Device { $device } has registered from { $source }.
log_device_gone = Device { $device } is not registered any more.
log_device_refused = A registration from { $source } as "{ $device }" was refused: { $cause }.
log_device_left_out = Device { $device } cannot register: its password cannot be read with this key.
log_bindings_unwritten = Where a device is registered could not be kept for the next process: { $cause }
log_accept_failed = An incoming connection could not be accepted{ $error ->
    [none] {""}
   *[other] {" "}({ $error })
 }.
log_connection_aborted = A connection was aborted.
log_tls_refused = The encrypted connection{ $destination ->
    [none] {""}
   *[other] {" "}to { $destination }
 } was refused{ $error ->
    [none] {""}
   *[other] {" "}({ $error })
 }.
log_datagram_not_sent = A packet could not leave{ $destination ->
    [none] {""}
   *[other] {" "}for { $destination }
 }{ $error ->
    [none] {""}
   *[other] {" "}({ $error })
 }.
log_sip_command_refused = A SIP command came too late{ $command ->
    [none] {""}
   *[other] {" "}({ $command })
 }.
log_no_name_servers = No name server is set: only numeric addresses will be reached.
log_call_started = Incoming SIP call{ $to ->
    [none] {""}
   *[other] {" "}for { $to }
 }{ $from ->
    [none] {""}
   *[other] {" "}from { $from }
 }{ $line ->
    [none] {""}
   *[other] {" "}on the line { $line }
 } ({ $call }).
log_call_placed = Call placed{ $to ->
    [none] {""}
   *[other] {" "}to { $to }
 }{ $from ->
    [none] {""}
   *[other] {" "}from { $from }
 }{ $line ->
    [none] {""}
   *[other] {" "}by the line { $line }
 } ({ $call }).
log_call_refused = Call refused{ $call ->
    [none] {""}
   *[other] {" "}({ $call })
 }{ $from ->
    [none] {""}
   *[other] {" "}from { $from }
 }{ $source ->
    [none] {""}
   *[other] {" "}at { $source }
 }{ $reason ->
    [none] {""}
   *[other] {" "}· { $reason }
 }{ $cause ->
    [none] {""}
   *[other] {" "}· { $cause }
 }.
log_journal_late = The journal is not written as fast as it should be: the database is slow or its disk full.
    .remedy = Check the room and the speed of the disk.
log_drain_incomplete = The time of the shutdown is over: calls cut { $calls }.
log_unregister_incomplete = Not every line could be unregistered before the shutdown.
log_engine_event_ignored = Unknown event of the voice engine ignored{ $event_type ->
    [none] {""}
   *[other] {" "}({ $event_type })
 }.

## Label

privacy_erased = Erased: calls { $calls }, chats { $chats }, recordings { $recordings }, other entries { $entries }. Costs stay, without the number.
privacy_in_use = A call or chat of this number is in progress: nothing was erased. Try again when it is over.
privacy_failed = The request failed: { $cause }
privacy_recordings_left = { $count ->
    [one] { $count } recording could not be removed from the disk
   *[other] { $count } recordings could not be removed from the disk
 }: the paths are in the log. Remove them by hand.
geo_imported = Postcodes and towns read: { $count }. They are in { $path }; the back office reads them at its next start.
geo_failed = Postcodes cannot be read or written: { $path }: { $cause }
calls_none = No call.
calls_running = in progress
label_who = Ended by
label_why = Why
label_remedy = What to do
label_call = Call
label_from = From
label_to = To
label_line = Line
label_agent_name = Agent
label_started = Started
label_duration = Duration
label_recording = Recording
label_timings = Timings
label_turns = Turns
label_sdp = Audio decisions (SDP)
label_rtp = Audio (RTP)
label_tools = Tools
label_playout = What the caller heard
label_timeline = Timeline
label_ladder = SIP ladder
label_peer = peer
who_caller = the caller
who_agent = the agent
who_operator = an operator
who_network = the network
who_engine = the voice engine
who_system = this service
who_nobody = nobody: the call is in progress
timing_invite_to_ring = call to ringing: { $value }
timing_invite_to_answer = call to answer: { $value }
timing_answer_to_first_audio = answer to the agent's first audio: { $value }
timing_answer_to_first_packet = answer to the caller's first audio: { $value }
timing_turns = { $count ->
    [one] { $count } answer of the agent
   *[other] { $count } answers of the agent
 }, median { $median }, slowest { $worst }
turn = answered in { $latency }{ $text ->
    [none] {""}
   *[other] {" "}after "{ $text }"
 }
turn_unanswered = unanswered{ $text ->
    [none] {""}
   *[other] {" "}after "{ $text }"
 }
sdp_accepted = { $codec } chosen{ $offered ->
    [none] {""}
   *[other] {" "}from { $offered }
 }{ $direction ->
    [none] {""}
   *[other] {" "}· { $direction }
 }
sdp_refused = offer refused: { $refusal ->
    [no_common_codec] no common codec
    [no_audio] no audio stream
    [bad_sdp] unreadable description
    [srtp_required] the line requires encrypted audio
    [srtp_refused] the offered encryption is refused
    [unusable_address] unusable audio address
   *[other] { $refusal }
 }{ $offered ->
    [none] {""}
   *[other] {" "}(offered: { $offered })
 }
sdp_details = us { $local }, the other side { $remote }, { $srtp ->
    [none] plain audio
   *[other] encrypted audio ({ $srtp })
 }, { $tones ->
    [yes] RFC 4733 keys
   *[other] no RFC 4733 keys
 }
rtp_counts = packets sent: { $sent }, received: { $received }, lost: { $lost }, late: { $late }
rtp_quality = jitter { $jitter } ms{ $round_trip ->
    [none] {""}
   *[other] {" "}· round trip { $round_trip } ms
 }{ $remote_loss ->
    [none] {""}
   *[other] {" "}· lost at the other side { $remote_loss }
 }{ $mos ->
    [none] {""}
   *[other] {" "}· quality { $mos } of 4.5
 }
rtp_refused = { $count } packets of another source or unreadable were refused
rtp_one_way = audio went one way only: { $address ->
    [none] nothing came from the caller
   *[other] { $sent } packets sent to { $address }, nothing came from the caller
 }
rtp_stun_unreached = the address that a STUN server saw was announced, and nothing came to it
rtp_none = no audio went either way
rtp_private_remote = the other side gave a private address ({ $address })
rtp_private_local = we announced a private address ({ $address })
playout_whole = { $item }: heard to the end ({ $played })
playout_cut = { $item }: cut after { $played }
playout_open = { $item }: end unknown
tool_ok = { $name }: succeeded{ $took ->
    [none] {""}
   *[other] {" "}in { $took }
 }
tool_failed = { $name }: { $outcome }{ $took ->
    [none] {""}
   *[other] {" "}after { $took }
 }
tool_open = { $name }: no answer before the end of the call
fact_silent_caller = nothing was heard of the caller
fact_slow_answer = the agent took { $value } to speak after the answer
fact_apology_heard = the caller heard an apology before the end
fact_apology_unheard = the caller did not hear an apology to its end
fact_retry = the same call may work a little later
fact_sip_status = SIP answer: { $status }
line_invited = call received
line_placed = call placed
line_ringing = ringing
line_answered = answered
line_established = the conversation is open
line_first_audio = first audio of the agent
line_first_packet = first audio of the caller
line_sdp_accepted = audio agreed: { $codec }
line_sdp_refused = audio refused: { $refusal ->
    [no_common_codec] no common codec
    [no_audio] no audio stream
    [bad_sdp] unreadable description
    [srtp_required] the line requires encrypted audio
    [srtp_refused] the offered encryption is refused
    [unusable_address] unusable audio address
   *[other] { $refusal }
 }
line_latched = audio comes from { $from }
line_source_refused = packets of another source refused ({ $from })
line_media_lost = no audio from the caller for { $ms }
line_media_resumed = the caller's audio is back
line_speech_started = the caller speaks
line_speech_stopped = the caller stops
line_caller_said = caller: "{ $text }"
line_agent_said = agent: "{ $text }"
line_agent_cut = agent: "{ $text }" (cut, heard { $heard })
line_system_said = service: { $text }
line_engine_connecting = connecting to the voice engine (attempt { $attempt })
line_engine_ready = voice engine ready
line_engine_lost = voice engine lost
line_engine_rotating = voice engine session being renewed
line_engine_closed = voice engine left
line_engine_stalled = the voice engine is connected but answers nothing
line_engine_event = engine: { $name }{ $detail ->
    [none] {""}
   *[other] {" "}· { $detail }
 }
line_barge_in = the caller interrupts the agent after { $played }
line_false_interruption = it was only a noise: the agent goes on
line_false_barge_in = no voice of the caller's (a noise, or the agent's own echo): nothing is interrupted
line_dictation = the agent asked for something to be dictated: pauses are waited for
line_dictation_over = pauses end the caller's turn as always again
line_playout_started = the agent begins ({ $item })
line_playout_finished = the agent has finished ({ $item }, { $played })
line_playout_cleared = the agent is cut ({ $item }, { $played } heard)
line_tool_called = tool requested: { $name }
line_tool_started = tool started: { $name }
line_tool_refused = tool refused: { $name } ({ $outcome })
line_tool_finished = tool finished: { $name } ({ $outcome }){ $took ->
    [none] {""}
   *[other] {" "}in { $took }
 }
line_goodbye_started = the goodbye begins and is protected
line_goodbye_complete = the goodbye is spoken to its end
line_goodbye_cut = the goodbye could not be spoken to its end
line_reprompted = the agent asks whether the caller is there ({ $count })
line_max_duration_warned = the agent announces that the end is near
line_dead_air = silence of { $silent } covered by a sound
line_answered_by = answered by { $who ->
    [human] a person
    [machine] an answering machine
    [machine_beep] an answering machine, which records now
   *[other] nobody that could be told: taken for a person
 }
line_hold = put on hold
line_unhold = taken back
line_transfer_started = transfer asked of the caller's side: { $target }
line_transfer_declined = the caller's side hands nobody over ({ $reason }): a second leg is called
line_target_called = second leg called: { $target }
line_target_rings = it rings there, the caller hears it
line_target_announced = the person of the second leg was told who waits
line_target_not_announced = the announcement to the second leg could not be played to its end
line_target_screened = the person of the second leg was asked for a key: { $outcome }
line_returned = the caller is back with the agent
line_person_came = { $name } came into the call from a page
line_conferred = caller, agent and person hear each other
line_agent_left = the agent left; the caller and the person go on
line_parked = { $by } parked the caller in place { $place }
line_retrieved = { $by } took the caller from parking place { $place } after { $waited }
line_parking_timed_out = nobody took the caller from parking place { $place } in { $waited }
line_parking_given = the caller of parking place { $place } was given to the agent after { $waited }
announcement_not_spoken = The engine did not say the announcement for the person who was called.
line_target_ended = the person whom the caller was handed to left: { $reason }
line_transfer_done = the caller was handed over
line_transfer_failed = the caller was not handed over: { $reason }
line_dtmf_received = key { $digit } received
line_dtmf_sent = key { $digit } sent
line_session = conversation: { $name }
line_ended = end of the call
line_unknown = event of a later version
demo_recording = Recording: { $path } (caller left, agent right)
demo_explanation = Explanation: { $path }
demo_stop = Ctrl+C to stop.
demo_ringing = ringing
demo_answered = answered
demo_ended = end of the call
demo_standin_engine = Demonstration without key or network: a stand-in voice engine answers, a scripted caller telephones.
demo_real_engine = OPENAI_API_KEY is set: the demonstration talks to the real service.
demo_passed = The conversation was right.
demo_failed = The conversation was not right: { $cause }.

demo_no_record = The call { $id } left no record.
demo_not_answered = The demonstration's call was not answered: { $cause }
demo_softphone = To talk to the agent yourself, call sip:{ $address } with a softphone.
demo_calling = Calling { $address }…
demo_caller_said = caller  { $text }
demo_agent_said = agent   { $text }
demo_interrupted = {"        "}(interrupted by the caller after { $played })
demo_real_key = For a real voice: OPENAI_API_KEY=… allo demo
demo_ringing_after = ringing after { $ms } ms
demo_answered_after = answered after { $ms } ms
demo_first_audio_after = first audio of the agent { $ms } ms after the answer
demo_turn_after = the agent answers { $ms } ms after the end of the sentence
demo_silent_after = the agent is silent { $ms } ms after the interruption

## Platform API

platform_unauthorized = The credential is missing, wrong or expired.
    .remedy = Send "X-API-Key: …" with an account's key, or "Authorization: Bearer …" with the token of an agent or a session.
api_forbidden = This credential does not allow this operation.
    .remedy = Ask the account's administrator for a wider role or scope.
api_unknown = There is no such thing.
api_invalid = The request is understood, but it has { $count ->
    [one] one fault
   *[other] { $count } faults
 }.
    .remedy = The field "errors" gives each fault with its place.
api_rate_limited = Too many requests: the next one is welcome in { $seconds } s.
api_body_too_large = The body of the request is over 1 MB.
api_body_too_deep = The request's JSON has more than { $depth } levels.
api_body_slow = The body of the request did not arrive in time.
api_media_type = The body must be JSON.
    .remedy = Send "Content-Type: application/json".
api_precondition_failed = It has changed since you read it.
    .remedy = Read it again and send its "ETag" in "If-Match".
api_precondition_required = This account asks for "If-Match" on every change.
    .remedy = Read it and send its "ETag" in "If-Match".
api_idempotency_mismatch = This idempotency key was used for another request.
    .remedy = Take a new key for each different request.
api_idempotency_in_progress = The same request is in progress.
    .remedy = Wait for its result, then repeat it.
api_idempotency_key = The idempotency key must have 1 to 255 visible ASCII characters.
api_exists = Something of this name exists already.
api_in_use = It is still used by others.
api_number_taken = This number is not available.
api_login_failed = The address or the password is wrong.
api_login_blocked = Too many failed log-ins: try again in { $seconds } s.
api_forged = The request does not come from a page of this address, or its token is missing.
    .remedy = Load the page again. A program sends its credential in a header, not in a cookie.
api_link_used = This link is wrong, was used already, or is too old.
    .remedy = Restart the server, or run allo admin link: both print a new one.
server_fault_engine = Its voice engine cannot be reached.
server_fault_registration = One of its SIP accounts is not registered.
server_fault_media = No port for a call's audio can be had.
server_fault_hung = It does not answer: it is ended and begun anew.
server_fault_died = It ended without having been told to.
server_fault_memory = It uses more memory than it may.
server_fault_settings = It cannot be used as it is written: { $cause }
first_run_link = The first administrator is made here (once, within { $hours } h): { $link }
first_run_unneeded = There is an administrator already; this link makes another one.
first_run_failed = The link for the administrator could not be made: { $cause }
pages_missing = This server was built without its web pages.
    .remedy = Build them with make ui, then build the server again; the API and calls work all the same.
api_ticket_used = This ticket is wrong, was used already, or is too old.
    .remedy = Begin the call again.
api_too_many_watchers = Too many event streams are open.
    .remedy = Close one before you open another.
api_too_many_listeners = Too many are listening.
    .remedy = Stop listening to one call before you listen to another.
api_call_not_heard = The call { $id } cannot be listened to now.
    .remedy = Try again once it is answered. The audio of a call that another program holds is heard in that program.
api_person_not_now = Nobody can come into the call { $id } or change places in it at this moment.
    .remedy = Try again in a moment, once the call is answered, who answered is known and the caller has heard that a machine speaks. A call that is ending takes nobody.
api_person_there = A person is on the line of the call { $id } already, or is being called.
    .remedy = One at a time: wait until they leave, or hand the caller back to the agent first.
api_person_nobody = Nobody but the agent is with the caller of { $id }.
    .remedy = Join the call first.
api_person_too_often = People have come into this call too often.
    .remedy = Listen to it, or have the caller handed over.
api_call_not_parked = The caller of { $id } is not parked.
    .remedy = Look at parked of GET /api/calls/live; somebody else may have taken the caller, or the agent has them again.
api_parking_full = All { $max } parking places of the account are taken.
    .remedy = Take one of the callers who wait, or hand this one back to the agent.
api_invite_nobody = Nobody is being called for the caller of { $id }.
    .remedy = Whoever has the caller already leaves by hand-back, or by hanging up.
api_invite_not_allowed = The line of this call may not call that number.
    .remedy = Allow it in the line's outboundPrefixes, or in those of its account, for example "+33" or "sip:pbx.example". Premium and satellite numbers are never called.
api_invite_no_way = The line of the call { $id } has no way to that number.
    .remedy = Give a "sip:" address, or call from a call that came by a SIP account.
api_no_chat = This agent does not chat.
api_call_not_allowed = No line of this agent may call that number.
    .remedy = Allow it in the line's outboundPrefixes, for example "+33". Premium and satellite numbers are never called.
api_call_premium = Premium, satellite and personal numbers are never called.
    .remedy = Call another number; no setting opens these.
api_call_at_night = This account places no calls to that number now: its night lasts until { $until }.
    .remedy = Call again in the day, or change outbound.night in the account's settings.
api_calls_at_once = { $max } calls of this account run already, as many as it may place at once.
    .remedy = Wait for one to end, or have the operator raise outbound.callsMax in the account's settings.
api_calls_per_hour = This account has placed { $max } calls within the hour, as many as it may.
    .remedy = Wait, or have the operator raise outbound.callsPerHour in the account's settings.
api_calls_spent = The calls that this account placed have cost as much in a day as they may.
    .remedy = Wait, or have the operator raise outbound.spendPerDay in the account's settings.
api_calls_no_balance = The balance or the budget of this account is spent: it places no calls.
    .remedy = Add to the balance, or raise the budget of the day.
api_chat_unavailable = This agent cannot answer now: it is paused, or its settings need correcting.
api_chat_ended = This chat has ended: begin another one.
api_chat_busy = The agent has not finished answering the message before: wait for its answer.
api_chat_full = This chat has reached { $max } messages: begin another one.
api_chat_too_many = Too many chats are open at the moment: try again in a moment.
api_chat_origin = Pages of { $origin } may not open this chat. Add the origin to the agent's chatOrigins.
chat_turn_failed = The answer could not be given ({ $cause }): send your message once more.
log_chat_started = Chat { $chat } begun with agent { $agent }.
log_chat_ended = Chat { $chat } ended: { $reason }.
log_chat_failed = Chat { $chat } cannot go on for now: { $cause }.
log_chats_not_ended = Chats that nobody goes on with could not be ended: { $cause }.
api_line_tests_busy = Too many line tests are running.
    .remedy = Wait a few seconds, then try again.
api_trials_busy = Too many trials are running.
    .remedy = Wait a few seconds, then try again.
api_trial_failed = The trial could not be made: { $cause }.
api_share_over = This link is wrong, is too old, or was taken back.
    .remedy = Ask whoever sent it for a new one.
api_shares_full = This call has many links already.
    .remedy = Wait until old links are forgotten, or share one that exists.
api_call_runs = The call { $id } is not over yet.
    .remedy = Share it once it is.
api_call_refused = The call could not be placed: { $cause }.
api_offer_no_audio = The offer has no audio that may flow.
    .remedy = Add the microphone to the RTCPeerConnection before you make its offer.
api_offer_no_codec = None of the codecs of the offer is one of ours: { $offered }
    .remedy = Offer Opus, PCMU or PCMA.
api_offer_unusable = The offer cannot be used: { $cause }
    .remedy = Send the whole SDP text of the RTCPeerConnection's local description, once its candidates are gathered.
api_no_media_port = No port is free for audio by WebRTC.
    .remedy = Call without an offer, which is by WebSocket; if it repeats, widen the range of RTP ports.

carrier_stream = Call brought by { $carrier } under the name { $call }.
log_carrier_refused = { $carrier } did not do what it was asked ({ $request }): { $cause }.
log_stream_refused = Audio stream of { $carrier } refused, from { $source }: { $cause }.
log_webhook_refused = Request of { $carrier } refused, from { $source }: { $cause }.
log_carrier_status = { $carrier } says of call { $call }: { $state }.
## Requests that leave the house

log_webhook_failing = { $destination } does not take its webhooks ({ $cause ->
    [none] no cause given
   *[other] { $cause }
}). They are tried again for a day.
log_traces_lost = The collector of traces does not take them ({ $cause }). Calls go on; what it does not take is lost.
    .remedy = Check traces.endpoint and traces.headers, and that the collector runs.
log_traces_taken = The collector takes traces again.
log_webhook_recovered = { $destination } takes its webhooks again.
log_webhook_dead = The webhook { $delivery } for { $destination } was given up ({ $cause ->
    [none] no cause given
   *[other] { $cause }
}). It can be replayed.
log_outbox_store_failing = The database does not answer the outbox: webhooks wait.
log_outbox_store_recovered = The database answers the outbox again.
courier_allow_invalid = tools.allow_private: “{ $entry }” is neither an origin such as http://10.0.0.5:3000 nor a network such as 10.0.0.0/8.
carrier_call_refused = The call was not placed: { $cause }.

## Calls of agents of the database

call_check_unanswered = A check before the call got no answer ({ $reply }): the call goes on.
call_check_refused = The check "{ $check }" refused the call.
call_checks_failed = The checks before the call could not be made: { $cause }.
    .remedy = Check the database; calls.checks_fail says what becomes of such calls.
session_data_missing = The data of the call are missing: { $cause }.
    .remedy = Check the agent's externalSessionUrl and that the service answers.
tool_refused_by_policy = The tool { $tool } was not run: { $why }.
log_tool_run_left = { $count } tool runs did not end in time after their call; they will be resumed.
log_line_left_out = The line { $line } is not in use: its agent cannot be.
log_agent_left_out = The agent { $agent } takes no calls: { $cause }.
    .remedy = Correct the agent; its lines come back by themselves.
log_directory_unread = Lines and agents could not be read again: { $cause }. Those of before stay in use.
log_line_password_unread = The password of the line { $line } cannot be read: it does not register.
    .remedy = Enter it again, or check the encryption key.
log_calls_closed = { $count } calls of a dead process were closed with their cost and their webhook.
log_tool_runs_resumed = { $count } tool runs of a dead process are resumed with the same key.

## The bridge between SIP and somebody's application

log_application_unreachable = The application of call { $call } could not be reached: { $cause }.
    .remedy = Check that the application runs at the address of --ws-target.
log_bridge_callback_failed = { $destination } did not take the notification { $event }: { $cause }. The call goes on by the bridge's settings.
bridge_username_missing = The SIP user name is missing.
    .remedy = Give --sip-username, or the variable SIP_USERNAME.
bridge_option_invalid = { $option } cannot be “{ $value }”.
    .remedy = Example: { $example }.
bridge_sound_unsupported = { $option } asks for a treatment of sound which this version does not have.
    .remedy = Leave the option out.
bridge_token_missing = The interface at { $address } would be open to other machines without a token.
    .remedy = Give --api-token (16 characters at least), or leave --api-host at 127.0.0.1.
bridge_call_over = This call is over already.
bridge_call_not_ringing = This call does not wait for an answer.
bridge_busy = The bridge has all the calls that it may have ({ $count }).
    .remedy = Wait for the end of a call, or raise --max-concurrent-calls.
bridge_transfer_running = A transfer of this call is under way already.
bridge_transfer_refused = The transfer was not accepted: { $cause }.
    .remedy = Check the destination, and that the line permits transfers (REFER).

## The service manager

log_agent_state = The agent { $agent } went from { $from } to { $to }{ $cause ->
    [none] {""}
   *[other] {" "}({ $cause })
 }.
log_agent_failed = The agent { $agent } failed too often and is tried again only every { $minutes } minutes: { $cause }.
    .remedy = GET /agents/{ $agent }/status says what is wrong; correct it, then POST /agents/{ $agent }/start.
log_agent_process_begun = The { $role } process of the agent { $agent } was begun as { $pid }, port { $port }.
log_agent_process_found = The { $role } process { $pid } of the agent { $agent } runs, port { $port }: it is taken over.
log_agent_processes_found = { $count ->
    [one] A process of an agent was found running: its calls go on.
   *[other] { $count } processes of agents were found running: their calls go on.
}
log_agent_process_died = The { $role } process { $pid } of the agent { $agent }, port { $port }, is gone without having been told to end. Its log is in the folder of the agent, under agents in the data directory.
log_agent_process_not_begun = A process of the agent { $agent } could not be begun: { $cause }.
apart_second_manager = Another manager keeps the agents of this data directory: it holds { $path }.
    .remedy = Stop it first, or give this one a data directory of its own.

log_agents_managed = { $count ->
    [one] { $count } agent is managed and looked at every { $seconds } s.
   *[other] { $count } agents are managed and looked at every { $seconds } s.
 }
log_agents_discovered = { $count ->
    [one] { $count } agent found at { $address }: { $added } new, { $changed } changed, { $removed } gone.
   *[other] { $count } agents found at { $address }: { $added } new, { $changed } changed, { $removed } gone.
 }
log_discovery_failed = The list of agents could not be read from { $address }: { $cause }. The agents of before go on.
    .remedy = Check that the back office runs and that NEXT_API_URL leads to it.
log_discovery_back = The list of agents can be read again from { $address }.
log_discovery_doubted = The list of { $address } names { $listed } of { $known } agents: it is read again before any is stopped.
log_discovered_left_out = The agent { $agent } of the list cannot be used: { $cause }. What was known of it stays in use.
    .remedy = Correct it in the back office; the next reading takes it.
api_agent_unknown = There is no agent { $id }.
    .remedy = GET /agents lists them.
api_agent_not_written = The order could not be written down, so it was not carried out.
    .remedy = Look at the database, then give the order again.
api_discovery_failed = The list of agents could not be read from { $address }: { $cause }. The agents of before go on.
    .remedy = Check that the back office runs and that NEXT_API_URL leads to it.
api_foreign_page = A page of another site may not steer this server.
    .remedy = Use curl or the administration pages on this machine.

log_accounts_loading = Loading SIP accounts from the database.
log_account_default = Default SIP account: { $label } (ID: { $account }).
log_account_created = Created SIP registration for '{ $label }' (URI: { $uri }).
log_accounts_starting = Starting all SIP registrations ({ $count } account(s)).
log_account_started = SIP registration started for ID { $account }.
log_passwords_sealed = Clear passwords that were encrypted: { $count }.
log_workflow_selected = SIP workflow selected: { $workflow }.
log_workflow_account = Workflow is associated with SIP account ID: { $account }.
log_nat_not_set = The line { $line } finds its audio address by { $way }, but { $setting } is not set: { $address } is announced.
    .remedy = Set { $setting }, or choose another way (nat) for the line.
log_stun_silent = The STUN server { $server } did not answer in time: the line { $line } announces { $address } for its audio.
    .remedy = Check nat.stun_server (STUN_SERVER) and that UDP packets may leave for it; or set rtp.public_address (PUBLIC_IP).
log_stun_refused = The STUN server { $server } refuses ({ $code }): the line { $line } announces { $address } for its audio.
    .remedy = Name a server that answers without credentials (nat.stun_server), or set rtp.public_address (PUBLIC_IP).
log_turn_silent = The TURN server { $server } did not answer in time: the line { $line } announces { $address } for its audio, without a relay.
    .remedy = Check the address of the TURN server and that UDP packets may leave for it.
log_turn_refused = The TURN server { $server } gave no address: the line { $line } announces { $address } for its audio, without a relay.
    .remedy = Check the name and the password at the TURN server, and that it has free ports and quota.
log_turn_password_unread = The password at the TURN server of the line { $line } cannot be decrypted: nothing is relayed for it.
    .remedy = Enter the password again (turn_password).
log_call_failed_over = Nobody was reached ({ $status ->
    [0] the operator cannot be reached
   *[other] answer { $status }
 }): the call goes by SIP account ID: { $account }.
log_account_failing = Alert: SIP account ID: { $account } does not work.
log_account_recovered = SIP account ID: { $account } works again.
log_alert_not_written = The alert could not be written: { $cause }.

profile_registrar_ovh = The domain of the line (sip.ovh.fr, sip3.ovh.fr…) as the customer area gives it; REGISTER names no user.
profile_registrar_host = The operator's registrar, the same for all its customers.
profile_registrar_given = The domain that the operator gives with the access; it differs between customers.
profile_registrar_twilio = The trunk's termination domain (name.pstn.twilio.com): nothing registers.
profile_registrar_lan = The box itself, by its name in the local network; it silently drops a REGISTER whose target names a user.
profile_registrar_exchange = The exchange: its address and port.
profile_registrar_gateway = The gateway itself: its address in the local network.
profile_registers_line = The line can be called only while it is registered.
profile_registers_credentials = A connection by credentials registers; one by IP address does not.
profile_registers_extension = allo is an extension there, as any other telephone.
profile_registers_trunk = A trunk calls a fixed address: the operator takes no REGISTER.
profile_registers_gateway = The gateway calls allo directly; there is nothing to register.
profile_transport_udp = The transport that the operator documents first; TCP avoids messages that are too long for UDP.
profile_transport_udp_only = The box takes its extensions over UDP only.
profile_transport_tls = The operator offers it, and the trunk crosses the Internet, where numbers could be read without TLS.
profile_port_standard = The usual port of SIP.
profile_port_tls = The usual port of SIP over TLS.
profile_port_gateway = The port of the first line; each further line of the gateway has its own.
profile_expires_long = The operator accepts 30 minutes and may limit clients that renew too often.
profile_expires_medium = Ten minutes: short enough to find a line again after an outage, without a load for the operator.
profile_expires_short = The registration stays in the local network: a short one is found again soon after a restart.
profile_expires_unused = Without a registration this is not used.
profile_keep_alive_nat = A router forgets a UDP path after 30 seconds of silence: two empty lines every 25 seconds keep it open.
profile_keep_alive_health = Nothing registers: OPTIONS tells whether the trunk answers, and failover uses that.
profile_keep_alive_lan = No router in between: not needed.
profile_keep_alive_exchange = The exchange answers OPTIONS: an outage is seen without waiting for the renewal.
profile_caller_id_own_number = The operator shows the line's own number only and refuses a foreign From.
profile_caller_id_from_account = From must be the account (403 otherwise); the number to show goes into P-Preferred-Identity.
profile_caller_id_from_number = The operator reads the caller's number in From; it must be yours there, or verified.
profile_caller_id_box = The box chooses the number that is shown by the extension.
profile_caller_id_extension = The extension is known by From; the number that is shown is set in the exchange.
profile_caller_id_asserted = From stays the extension; chan_pjsip reads P-Asserted-Identity of a trusted one (trust_id_inbound).
profile_caller_id_analogue = An analogue line always shows its own number.
profile_numbers_double_zero = The operator documents 0033… for all calls.
profile_numbers_digits = The operator wants the international number without a plus.
profile_numbers_national = National calls are dialled as in France, others with 00.
profile_numbers_e164 = The operator demands E.164 with the plus.
profile_numbers_box = The box has dialling rules of its own; internal extensions (**1) pass as they are.
profile_numbers_exchange = The exchange's outbound rules rewrite the number.
profile_numbers_analogue = The gateway dials on a telephone line: as a telephone does.
profile_codecs_europe = The European network uses A-law: nothing is converted.
profile_codecs_america = The operator's network uses µ-law: nothing is converted.
profile_codecs_exchange = Both laws of G.711; the exchange chooses.
profile_srtp_none = The operator has no SRTP on this access: an encrypted offer is refused there (488).
profile_srtp_offered = Sound is encrypted where the other side offers it (SDES, hence with TLS).
profile_srtp_lan = Sound does not leave the local network.
profile_echo_analogue = The hybrid of an analogue line sends back what the agent says.

api_certificate_shared = Another account of the platform recognises its calls by this certificate already ({ $certificate }): a call with it could be that of either. Nothing was changed.
    .remedy = Take another certificate for this trunk, or recognise it by its addresses (allow).
api_rotation_untested = The new password cannot be tried: the account is not active or does not register. Change it directly (PATCH).
api_rotation_refused = The account could not be registered with the new password ({ $cause }). Nothing was changed.

migrate_nothing = Nothing to migrate: no SIP account in the settings, no usable row in app_settings.
migrate_already = Done before: the account { $uri } ({ $origin }) is there, ID { $account }. Nothing was changed.
migrate_would = Would be made: a SIP account for { $uri } ({ $origin }). Nothing was changed (--dry-run).
migrate_done = SIP account made for { $uri } ({ $origin }): ID { $account }, its password encrypted.
migrate_remove_setting = Now remove SIP_USERNAME and SIP_PASSWORD from the settings, or the line registers twice.
migrate_unreadable = The settings before cannot be read: { $cause }.

## Back office

office_missing = "{ $field }" is missing.
    .remedy = Add this field to the request.
office_field = "{ $field }" is not acceptable; expected: { $expected }.
office_unauthorized = The credential or the signature is missing, wrong or expired.
    .remedy = Send "Authorization: Bearer …" with the token of a session, "X-API-Key: …" with an account's key, or sign the request with the account's secret.
office_reference = The request names something that does not exist, or it is still used by others.
    .remedy = Check the ids; remove what depends on it first.
back_office_address_taken = The address { $address } of the back office is taken ({ $cause }): this server runs without it.
    .remedy = Free the address, give another by "back_office.listen", or write "off".
office_text = "{ $field }" must be a text, not empty where it is needed, of at most { $max } bytes.
office_word = "{ $field }" must be one of: { $words }.
office_whole = "{ $field }" must be a whole number from { $min } to { $max }.
office_number = "{ $field }" must be a number from { $min } to { $max }.
office_amount = "{ $field }" must be an amount with at most two decimals.
office_flag = "{ $field }" must be true or false.
office_instant = "{ $field }" must be an instant such as 2026-11-29T12:30:00Z.
office_clock = "{ $field }" must be a time HH:MM.
office_date = "{ $field }" must be a date YYYY-MM-DD.
office_json = "{ $field }" must be JSON of at most { $max } bytes.
office_list = "{ $field }" must be a list of at most { $max } texts.

## Messages to a restaurant's guests and staff
notice_order_created = { $house }: order no. { $number } confirmed, { $total }, { $mode ->
    [delivery] delivery about { $when }
    [dine_in] served about { $when }
   *[other] ready about { $when }
 }. { $dishes }
notice_order_ready = { $house }: your order no. { $number } { $mode ->
    [delivery] is on its way
   *[other] is ready
 }.
notice_order_cancelled = { $house }: your order no. { $number } is cancelled.
notice_reservation_created = { $house }: table booked for { $party }, { $when }. To cancel, please call us.
notice_reservation_updated = { $house }: your booking is now for { $party }, { $when }.
notice_reservation_cancelled = { $house }: your booking ({ $when }) is cancelled.
notice_staff_order = Order no. { $number }, { $total }, { $mode ->
    [delivery] delivery
    [dine_in] dine in
   *[other] pickup
 } { $when }
notice_staff_order_cancelled = Order no. { $number } cancelled ({ $total })
notice_staff_order_updated = Order no. { $number }: { $status }
notice_staff_reservation = Booking for { $party }, { $when }, { $name }
notice_staff_reservation_updated = Booking changed: { $party } guests, { $when }, { $name }
notice_staff_reservation_cancelled = Booking cancelled: { $party } guests, { $when }, { $name }
notice_staff_message = { $urgent ->
    [yes] URGENT: message from { $name }
   *[other] Message from { $name }
 }
notice_settings = "{ $member }" will not do: { $cause }
    .remedy = Correct that member; the others stay as they were.
log_notice_dead = The restaurant { $house }: a message ({ $channel }) could not be delivered and was given up: { $cause }
    .remedy = Mend the cause, then send it again (POST /api/notices/ID/replay).
log_notices_unread = Messages of restaurants could not be read: { $cause }
log_notice_no_sender = The restaurant { $house } asks for messages ({ $channel }), but nothing sends them.
    .remedy = Set { $setting }.
