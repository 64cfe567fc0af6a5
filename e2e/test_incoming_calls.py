"""Each command of the requirements' page on incoming calls, as a person would type it for `allo`: `test-incoming` alone and with `--bridge`, at
Kamailio as the registrar, with baresip as the caller. Hosts are loopback addresses and ports are free ones; the rest is as written. Then `allo call`."""

import json
import re
import shlex
import signal
import subprocess

import pytest

from lib.allo import BINARY, Process, clean_environment, wait_for
from lib.audio import speak
from lib.kamailio import PASSWORD, Kamailio
from lib.ports import free_port
from lib.softphone import Baresip, read_growing_wav, tones, write_wav
from lib.wiretap import Wiretap

KEY = "sk-0123456789abcdef"
REGISTERED = "✅ Enregistrement SIP réussi"


@pytest.fixture(scope="module")
def registrar(tmp_path_factory):
    kamailio = Kamailio(tmp_path_factory.mktemp("registrar"), tls=True)
    yield kamailio
    kamailio.stop()


@pytest.fixture
def commands(folder, registrar):
    """Types a command as the page has it; `{at}` is the registrar's address. Ended with the test."""
    made = []

    def make(text, wait=REGISTERED, transport="udp", prefix=(), **environment):
        text = text.format(at=f"127.0.0.1:{registrar.ports.of(transport)}", port=free_port(), password=PASSWORD)
        process = Process([*prefix, BINARY, *shlex.split(text)], folder, f"command{len(made) or ''}", clean_environment(**environment))
        made.append(process)
        if wait:
            wait_for(f"{wait!r}: {process.output()}{process.log()}", lambda: wait in process.output() or not process.alive(), 30)
            assert wait in process.output(), process.output() + process.log()
        return process

    yield make
    for process in made:
        process.stop()


@pytest.fixture
def caller(folder, registrar):
    telephone = Baresip(folder)
    yield telephone
    telephone.stop()


def figures(text):
    """The statistics as the command prints them."""
    calls = re.search(r"📊 Appels reçus : (\d+), répondus : (\d+), en échec : (\d+) ; conversation : (\d+) s ; transcriptions : (\d+)", text)
    packets = re.search(r"📊 Paquets audio reçus : ([\d\s]+), envoyés : ([\d\s]+), perdus : ([\d\s]+)", text)
    assert calls and packets, text
    return [int(re.sub(r"\s", "", number)) for number in (*calls.groups(), *packets.groups())]


def dial(caller, registrar, user="test"):
    caller.dial(f"sip:{user}@127.0.0.1:{registrar.ports.udp}")
    caller.event("CALL_ESTABLISHED")


def ended(command, how=signal.SIGINT):
    """Ctrl+C; the text and the exit status."""
    status = command.stop(how=how)
    return command.output(), status


def test_the_simple_test_registers_answers_echoes_and_leaves(registrar, commands, caller):
    command = commands('test-incoming --sip-uri "sip:test@{at}" --username "test" --password "{password}" --port 0')
    assert "🚀 Initialisation" in command.output() and "📞 En attente d'appels" in command.output()
    assert len(registrar.bindings()) == 1
    dial(caller, registrar)
    # There is no sound card here: callers hear themselves.
    tone = speak("Thank you very much, goodbye.")
    caller.say(tone)
    wait_for("two seconds of the call with an echo", lambda: len(tones(caller.samples())) > 0 and len(caller.samples()) > 16_000, 20)
    caller.command("hangup")
    wait_for("the end of the call", lambda: "📞 Appel terminé" in command.output(), 20)
    text, status = ended(command)
    assert "📞 Appel entrant de" in text and "✅ Appel accepté" in text and "🎵 Audio connecté" in text
    assert "🧹 Nettoyage" in text and status == 0, text
    received, answered, failed, talk, transcripts, heard, sent, lost = figures(text)
    assert (received, answered, failed, transcripts) == (1, 1, 0, 0) and talk >= 1 and heard > 50 and sent > 20 and lost < 5
    assert registrar.bindings() == [], "Ctrl+C removes the registration"


def test_by_tcp_on_a_port_with_a_tone_and_a_recording(folder, registrar, commands, caller):
    command = commands(
        'test-incoming --sip-uri "sip:test@{at}" --username "test" --password "{password}" --transport TCP --port {port} --audio tone:620 --record heard --calls 1',
        transport="tcp",
    )
    assert {kind for kind, _ in registrar.seen("REGISTER")[-2:]} == {"tcp"}
    dial(caller, registrar)
    caller.wait_sounding(620)
    caller.say(speak("Thank you very much, goodbye."))
    wait_for("some speech in the recording", lambda: any(len(tones(read_growing_wav(path))) for path in (folder / "heard").glob("*.wav")), 20)
    caller.command("hangup")
    # --calls 1: the command ends by itself.
    wait_for("the command's end", lambda: not command.alive(), 20)
    text, status = ended(command)
    assert status == 0 and figures(text)[:3] == [1, 1, 0], text
    assert registrar.bindings() == []


def test_the_time_of_the_test_ends_it_in_a_call_too(registrar, commands, caller):
    """`--duration`, under `timeout` as the page's script has it; over TLS; with a file."""
    file = write_wav(caller.quiet.parent / "message.wav", speak("Please tell me a very long story."))
    command = commands(
        f'test-incoming --sip-uri "sip:test@{{at}}" --username "test" --password "{{password}}" --transport TLS --port 0 --duration 6 --audio file:{file}',
        transport="tls", prefix=("timeout", "300"), ALLO_SIP_TLS_CA=registrar.ca,
    )
    dial(caller, registrar)
    wait_for("the file in the caller's ear", lambda: len(tones(caller.samples())) > 0, 20)
    caller.event("CALL_CLOSED", 20)
    wait_for("the command's end", lambda: not command.alive(), 20)
    text, status = ended(command)
    assert status == 0 and "La durée du test est écoulée" in text and figures(text)[:3] == [1, 1, 0], text
    assert registrar.bindings() == []


def test_verbose_says_everything_and_json_is_for_programs(registrar, commands, caller):
    command = commands('test-incoming --sip-uri "sip:test@{at}" --username "test" --password "{password}" --port 0 --verbose --json --calls 1', wait=None)
    wait_for("the registration", lambda: REGISTERED in command.log(), 20)
    dial(caller, registrar)
    wait_for("the sound", lambda: "🎵 Audio connecté" in command.log(), 20)
    caller.command("hangup")
    wait_for("the command's end", lambda: not command.alive(), 20)
    answer = json.loads(command.output())
    assert (answer["registered"], answer["callsReceived"], answer["callsAnswered"], answer["callsFailed"]) == (True, 1, 1, 0)
    log = command.log()
    assert "INVITE" in log and "BYE" in log and PASSWORD not in log, "the ladder of the call, without the password"


def bridged(options=""):
    return 'test-incoming --bridge --sip-uri "sip:test@{at}" --username "test" --password "{password}" --port 0 ' + options


def engine_settings(engine):
    return {"OPENAI_API_KEY": KEY, "OPENAI_REALTIME_URL": engine.url, "ALLO_AGENT_LANGUAGE": "en"}


def test_with_the_bridge_a_model_speaks_and_is_transcribed(standin, registrar, commands, caller):
    command = commands(bridged(), **engine_settings(standin("tone", key=KEY)))
    dial(caller, registrar)
    caller.wait_tone(440, 2000)
    caller.say_for(speak("Thank you very much, goodbye."), 660)
    caller.event("CALL_CLOSED", 25)
    wait_for("the end of the call", lambda: "📞 Appel terminé" in command.output(), 20)
    text, status = ended(command)
    assert "🎵 Premier son de l'agent" in text and "💬" in text and "greeting tone" in text and "Thank you very much" in text, text
    received, answered, failed, _, transcripts, heard, sent, _ = figures(text)
    assert (received, answered, failed) == (1, 1, 0) and transcripts >= 3 and heard > 100 and sent > 100 and status == 0
    assert registrar.bindings() == []


@pytest.mark.parametrize(("options", "session"), [
    ("--voice shimmer", {"voice": "shimmer"}),
    ('--instructions "Vous êtes un robot sympathique qui parle français. Soyez bref et clair."', {"instructions": "Vous êtes un robot sympathique"}),
    ('--voice alloy --instructions "Parlez français et soyez bref"', {"voice": "alloy", "instructions": "Parlez français et soyez bref"}),
    ("--model gpt-realtime-mini --api-key " + KEY, {"model": "gpt-realtime-mini"}),
], ids=["voice", "instructions", "both", "key"])
def test_voice_instructions_model_and_key_reach_the_engine(standin, registrar, commands, caller, options, session):
    tap = Wiretap(standin("tone", key=KEY).url)
    settings = {"OPENAI_API_KEY": KEY, "OPENAI_REALTIME_URL": tap.url, "ALLO_AGENT_LANGUAGE": "en"}
    if "--api-key" in options:
        settings.pop("OPENAI_API_KEY")
    command = commands(bridged(options), **settings)
    dial(caller, registrar)
    caller.wait_tone(440, 2000)
    caller.command("hangup")
    wait_for("the end of the call", lambda: "📞 Appel terminé" in command.output(), 20)
    text, status = ended(command)
    tap.close()
    assert status == 0 and figures(text)[:3] == [1, 1, 0], text
    update = json.dumps(tap.sessions[0].session_updates()[0], ensure_ascii=False) + tap.sessions[0].path
    for value in session.values():
        assert value in update, (value, update)


def run(text, timeout=40, **environment):
    return subprocess.run([str(BINARY), *shlex.split(text)], env=clean_environment(**environment), capture_output=True, text=True, timeout=timeout)


def test_what_is_wrong_is_said_in_french_with_an_exit_status(folder, standin, registrar):
    uri = f"sip:test@127.0.0.1:{registrar.ports.udp}"
    done = run("test-incoming")
    assert done.returncode == 2
    for option in ("--sip-uri", "--username", "--password"):
        assert f"L'option {option} est obligatoire." in done.stderr
    base = f"--sip-uri {uri} --username test --password {PASSWORD}"
    for options, sentence in [
        ("--transport SCTP", "L'option --transport ne peut pas être « sctp »."), ("--port 70000", "L'option --port ne peut pas être « 70000 »."),
        ("--duration long", "L'option --duration ne peut pas être « long »."), ("--voice shimmer", "L'option --voice n'a de sens qu'avec --bridge."),
        ("--bridge", "OPENAI_API_KEY doit être défini."), ("--audio file:nowhere.wav", "WAV, 16 bit, mono"), ("--audio loud", "auto, card, echo"),
    ]:
        done = run(f"test-incoming {base} {options}")
        assert done.returncode == 2 and sentence in done.stderr, (options, done.stderr)
    done = run(f"test-incoming {base} --bridge --voice robot", OPENAI_API_KEY=KEY)
    assert done.returncode == 2 and "alloy, ash, ballad" in done.stderr
    # A wrong password: the registration fails, said with its remedy.
    done = run(f"test-incoming --sip-uri {uri} --username test --password open-sesame --port 0")
    assert done.returncode == 1 and "identifiant ou mot de passe incorrect" in done.stderr and REGISTERED not in done.stdout
    # Nobody calls, and calls were asked for.
    done = run(f"test-incoming {base} --port 0 --duration 1 --calls 2")
    assert done.returncode == 4 and REGISTERED in done.stdout, done.stdout


def call_settings(folder, engine, registrar, **more):
    settings = {
        "server_data_dir": folder / "data", "server_language": "en", "sip_udp": "127.0.0.1:0", "sip_tcp": "off", "sip_tls": "off",
        "rtp_bind": "127.0.0.1", "engine_url": engine.url, "engine_api_key": KEY, "agent_language": "en", "line_username": "test",
        "line_password": PASSWORD, "line_domain": f"127.0.0.1:{registrar.ports.udp}",
    }
    return {f"ALLO_{key.upper()}": value for key, value in (settings | more).items()}


@pytest.fixture
def callee(folder, registrar):
    proxy = f"sip:127.0.0.1:{registrar.ports.udp}"
    account = f"<sip:callee@127.0.0.1>;auth_user=callee;auth_pass={PASSWORD};outbound=\"{proxy}\";regint=60;answermode=auto"
    telephone = Baresip(folder, name="callee", account=account)
    wait_for("the callee's registration", registrar.bindings, 20)
    yield telephone
    telephone.stop()


def test_a_call_is_placed_without_a_server(folder, standin, registrar, commands, callee):
    settings = call_settings(folder, standin("tone", key=KEY), registrar)
    command = commands("call callee", wait="✅ Answered", **settings)
    callee.wait_tone(440, 2000)
    assert "🚀 Calling callee" in command.output()
    callee.say_for(speak("Thank you very much, goodbye."), 660)
    wait_for("the command's end", lambda: not command.alive(), 30)
    text, status = ended(command)
    assert status == 0 and "Thank you very much" in text, text
    # Ctrl+C hangs up; --duration too.
    command = commands("call callee --instructions 'Be brief.'", wait="✅ Answered", **settings)
    callee.wait_sounding(440)
    text, status = ended(command)
    assert status == 0 and "Stop requested" in text, text
    command = commands("call callee --duration 3 --json", wait=None, **settings)
    wait_for("the command's end", lambda: not command.alive(), 30)
    assert command.process.returncode == 0, command.output() + command.log()
    assert json.loads(command.output())["verdict"]["code"].startswith("end_"), command.output()
    # Nobody has this number.
    done = run("call +33999999999", **settings)
    assert done.returncode == 3 and "❌" in done.stdout, done.stdout + done.stderr
    done = run("call callee --line other", **settings)
    assert done.returncode == 1 and 'No line is called "other".' in done.stderr
    done = run("call")
    assert done.returncode == 2


def test_a_call_is_placed_by_the_running_server(folder, standin, registrar, server, callee):
    allo = server(
        standin("tone").url, line_username="test", line_password=PASSWORD, line_domain="127.0.0.1", line_port=registrar.ports.udp,
        line_allow_loopback="false",
    )
    wait_for("the line's registration", lambda: len(registrar.bindings()) == 2, 20)
    to = f"sip:callee@127.0.0.1:{registrar.ports.udp}"
    done = allo.cli("call", to, "--duration", "4", timeout=60)
    assert done.returncode == 0 and "✅ Answered" in done.stdout and "greeting tone" in done.stdout, done.stdout + done.stderr
    assert allo.ended_call()["direction"] == "outbound"
    assert allo.cli("call", "explain", "last").returncode == 0
    done = allo.cli("call", f"sip:nobody@127.0.0.1:{registrar.ports.udp}", timeout=60)
    assert done.returncode == 3, done.stdout + done.stderr
