"""What happens around the conversation of an agent of the database: who is served, what is asked while the phone rings, slow tools,
secrets that the caller types, money, and the words that nobody interrupts. The back office and the engine are the contract's.
"""

import json
import pathlib
import socket
import subprocess
import time
import urllib.request

import pytest
from lib.allo import wait_for
from lib.audio import dominant_hz, loud_spans, read_wav, tone
from lib.backoffice import RESTAURANT
from lib.house import CALLER, House
from lib.provisioning import TOOLS
from lib.sipp import Script
from lib.wiretap import Wiretap


@pytest.fixture
def house(standin, server):
    made = []

    def make(**options):
        made.append(House(standin, server, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


def calls(world):
    rows = world.client.get(f"/calls?accountId={world.account}&limit=20")
    return rows if isinstance(rows, list) else rows["calls"]


def ended_call(world):
    return wait_for("the end of the call", lambda: next((call for call in calls(world) if call.get("endedAt")), None), 30)


def refused(sipp, world, peer, status):
    """A call that is refused while it rings, with this status."""
    script = Script(f"refused-{status}").invite().receive(100, 180, status).ack_refusal()
    sipp(script, world.allo, peer, service=world.number).wait()
    return ended_call(world)


def told_of(world, call, outcome):
    """The one call-end body of a call that was refused while it rang."""
    [body] = wait_for("the webhook", lambda: list(world.office.calls_ended().values()), 20)
    assert body["outcome"] == outcome
    assert (body["restaurantId"], body["callerPhone"], body["durationSec"]) == (RESTAURANT, CALLER, 0)
    assert (body["transcript"], body["toolCalls"], body["costs"]["costTotal"]) == ([], [], 0)
    assert body["finalContext"]["call_id"] == call["id"]


def test_a_blocked_caller_is_refused_before_any_session(house, sipp, peer):
    world = house().provision().ready()
    world.client.post("/blocked-numbers", {"accountId": world.account, "phoneNumber": CALLER, "reason": "nuisance"})
    call = refused(sipp, world, peer, 603)
    assert call["endReason"] == "rejected_blocked"
    assert world.office.to("/api/ai") == [], "the back office was not asked for a session"
    told_of(world, call, "abandoned")


def test_outside_the_opening_hours_nobody_answers(house, sipp, peer):
    world = house().provision(openingHours={"days": {}, "closedAction": "hangup"}).ready()
    call = refused(sipp, world, peer, 480)
    assert call["endReason"] == "closed"
    told_of(world, call, "abandoned")


def test_a_spent_balance_refuses_the_call(house, sipp, peer):
    world = house().provision().ready()
    world.client.put(f"/accounts/{world.account}", {"budgetDaily": 0})
    call = refused(sipp, world, peer, 480)
    assert (call["endReason"], call["outcome"]) == ("no_balance", "no_balance")
    told_of(world, call, "no_balance")


def test_of_four_who_call_at_once_for_one_place_one_has_it(house, sipp, peer):
    """sipp sends the four INVITEs in one burst: each call of it goes one of the two ways."""
    world = house().provision(limits={"maxParallelCalls": 1}).ready()
    script = Script("crowd").invite()
    script.steps += [f'<recv response="{status}" optional="true"/>' for status in (100, 180)]
    script.steps.append('<recv response="486" optional="true" next="1"/>')
    script.receive(200).ack().until_bye()
    script.steps.append('<nop next="2"/><label id="1"/>')
    script.ack_refusal()
    script.steps.append('<label id="2"/>')
    crowd = sipp(script, world.allo, peer, service=world.number, calls=4, extra=("-r", "1000"))
    ended = lambda: [call["endReason"] for call in calls(world) if call.get("endedAt")]  # noqa: E731
    assert wait_for("three refusals", lambda: len(ended()) > 2 and ended(), 20) == ["concurrency"] * 3
    (running,) = [call for call in calls(world) if not call.get("endedAt")]
    wait_for("the answer", lambda: crowd.received("SIP/2.0 200"), 10)
    world.client.request("DELETE", f"/calls/{running['id']}")
    crowd.wait()


@pytest.mark.parametrize("whose", ["agent", "line"])
def test_a_caller_for_whom_no_place_is_left_is_told_of_too(house, sipp, peer, whose):
    options = {"limits": {"maxParallelCalls": 1}} if whose == "agent" else {}
    world = house().provision(**options)
    if whose == "line":
        world.client.put(f"/agents/{world.agent}/phone-lines/{world.line['id']}", {"maxParallelCalls": 1})
    world.ready()
    first = sipp(Script("first").call().until_bye(), world.allo, peer, service=world.number)
    world.tap.wait_session()
    script = Script("second").invite().receive(100, *([180] if whose == "agent" else []), 486).ack_refusal()
    sipp(script, world.allo, peer, service=world.number).wait()
    call = wait_for("the refused call", lambda: next((call for call in calls(world) if call.get("endedAt")), None), 30)
    assert call["endReason"] == "concurrency"
    assert call["agentId"] == world.agent
    told_of(world, call, "abandoned")
    peer.wait_tone(440, 550, ended=True, timeout=20)
    peer.press("#")
    first.wait()


@pytest.mark.allowed_log("session_data_missing")
@pytest.mark.parametrize("how", [{"status": 500}, {"delay": 30.0}, {"drop": "before"}], ids=["error", "slow", "lost"])
def test_without_session_data_the_agent_apologises_and_has_no_tools(house, sipp, peer, how):
    world = house().provision().ready()
    world.office.rule("/api/ai", **how)
    began = time.monotonic()
    phone = sipp(Script("no-session").call().until_bye(), world.allo, peer, service=world.number)
    session = world.tap.wait_session()
    # An apology and a goodbye: the scenario's goodbye tone, after the disclosure.
    peer.wait_tone(660, 550, ended=True, timeout=20)
    assert time.monotonic() - began < 15, "the wait is bounded"
    assert not [name for name in session.offered() if name in ("confirm_order", "check_availability")]
    [call] = calls(world)
    world.client.post(f"/calls/{call['id']}/hangup?accountId={world.account}", {})
    phone.wait()


def test_a_slow_tool_is_covered_and_answered(house, sipp, peer):
    world = house().provision(limits={"toolFillerMs": 800}).ready()
    world.office.rule("/api/availability/check", delay=4.0)
    phone = sipp(Script("slow").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(440, 550, ended=True)
    session = world.tap.wait_session()
    asked = len(session.sent("response.create"))
    peer.press("1")
    wait_for("the filler", lambda: len(session.sent("response.create")) > asked, 5)
    assert session.outputs() == [], "the filler came before the answer of the tool"
    wait_for("the output", lambda: len(session.outputs()) == 1, 15)
    assert json.loads(session.outputs()[0][1])["available"] is True
    peer.wait_tone(580, 250, ended=True, timeout=15)
    peer.press("#")
    phone.wait()


SECRET = "4970105171920173"


def in_use(world):
    """What was changed of the tools is what the next call gets: a line may be known before."""
    assert world.allo.request("/refresh", "POST")[0] == 200


def test_digits_typed_in_secrecy_reach_the_tool_and_nothing_else(house, sipp, peer):
    """Key 4 makes the engine call save_customer_info; here it is a tool that wants a card number."""
    tools = [dict(tool) for tool in TOOLS]
    pay = next(tool for tool in tools if tool["name"] == "save_customer_info")
    pay["secureDigits"] = {"argument": "delivery_notes", "max": 19, "waitSec": 30}
    pay["http"] = {"method": "POST", "url": "={{BASE_URL}}/api/customers", "bodyTemplate": {"card": "={{$ai.delivery_notes}}"}}
    pay.pop("contextUpdates", None)
    world = house(rtp_capture="media")
    world.provision()
    for tool in world.client.get(f"/agents/{world.agent}/tools"):
        if tool["name"] == pay["name"]:
            world.client.put(f"/agents/{world.agent}/tools/{tool['id']}", pay)
    in_use(world.ready())
    phone = sipp(Script("secure").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(440, 550, ended=True)
    session = world.tap.wait_session()
    peer.press("4")
    wait_for("secure input", lambda: "secure_input" in journal(world), 10)
    for digit in SECRET:
        peer.press(digit)
    peer.press("#")
    request = wait_for("the request", lambda: next(iter(world.office.to("/api/customers")), None), 20)
    assert json.loads(request.body) == {"card": SECRET}
    wait_for("the output", lambda: session.outputs(), 10)
    peer.wait_tone(580, 250, ended=True, timeout=15)
    peer.press("#")
    phone.wait()
    ended_call(world)
    wait_for("the webhook", lambda: world.office.calls_ended(), 20)
    # Those before and after the secrecy; where the telephone stalls in the key that ends it, the rest of that key comes late.
    before, *after = keys_in_the_capture(world)
    assert before == "4" and set(after) == {"#"}, after
    world.allo.stop()
    for path in pathlib.Path(world.allo.folder).rglob("*"):
        if path.is_file() and path.suffix != ".wav":
            data = path.read_bytes()
            assert SECRET.encode() not in data, path
    assert SECRET not in repr(session.updates if hasattr(session, "updates") else session.sent("conversation.item.create"))


def keys_in_the_capture(world):
    """The keys that Wireshark finds in the packets of the call, which are kept whole; one event has several."""
    [call] = calls(world)
    path = pathlib.Path(world.allo.folder) / "call.pcapng"
    with urllib.request.urlopen(f"{world.client.base}/api/calls/{call['id']}/capture.pcapng", timeout=10) as answer:
        path.write_bytes(answer.read())
    read = ["tshark", "-n", "-r", path, "-Y", "rtpevent", "-T", "fields", "-e", "rtp.timestamp", "-e", "rtpevent.event_id"]
    told = subprocess.run(read, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    events = dict(line.split("\t") for line in told)
    return ["0123456789*#"[int(event)] for event in events.values()]


def test_a_code_typed_in_secrecy_proves_the_caller(house, sipp, peer):
    """Key 4 calls the tool that recognises the caller, key 7 the one that wants them recognised: refused, then done."""
    tools = {tool["name"]: dict(tool) for tool in TOOLS}
    prove = tools["save_customer_info"]
    prove["secureDigits"] = {"argument": "delivery_notes", "max": 8, "waitSec": 30}
    prove["http"] = {"method": "POST", "url": "={{BASE_URL}}/api/identity", "bodyTemplate": {"code": "={{$ai.delivery_notes}}"}}
    prove["verifiesCaller"] = "={{$res.verified}}"
    prove.pop("contextUpdates", None)
    world = house().provision()
    for tool in world.client.get(f"/agents/{world.agent}/tools"):
        if tool["name"] == "save_customer_info":
            world.client.put(f"/agents/{world.agent}/tools/{tool['id']}", prove)
        if tool["name"] == "check_order_status":
            world.client.put(f"/agents/{world.agent}/tools/{tool['id']}", {"requiresVerifiedCaller": True})
    world.office.rule("/api/identity", status=200, body={"verified": True})
    world.office.rule("/api/identity", times=1, status=200, body={"verified": "no", "caller_verified": True})
    in_use(world.ready())
    phone = sipp(Script("prove").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(440, 550, ended=True)
    session = world.tap.wait_session()

    def press(key, count):
        peer.press(key)
        return lambda: wait_for("the output", lambda: session.outputs() if len(session.outputs()) == count else None, 20)[-1]

    def prove_by(code, count):
        before = journal(world).count("secure_input")
        output = press("4", count)
        wait_for("secure input", lambda: journal(world).count("secure_input") > before, 10)
        for digit in code + "#":
            peer.press(digit)
        return output()

    assert "save_customer_info first" in str(press("7", 1)())
    assert "verified" in str(prove_by("1111", 2))
    assert "save_customer_info first" in str(press("7", 3)())
    assert world.office.to("/api/orders/status") == []
    assert "true" in str(prove_by("739173", 4))
    assert "save_customer_info" not in str(press("7", 5)())
    assert len(world.office.to("/api/orders/status")) == 1
    assert [json.loads(request.body) for request in world.office.to("/api/identity")] == [{"code": "1111"}, {"code": "739173"}]
    peer.press("#")
    phone.wait()
    ended_call(world)
    [body] = wait_for("the webhook", lambda: list(world.office.calls_ended().values()), 20)
    assert body["finalContext"]["caller_verified"] is True
    assert "739173" not in json.dumps(body)


def journal(world):
    [call] = calls(world)
    return json.dumps(world.client.get(f"/calls/{call['id']}/events?accountId={world.account}"))


def test_the_disclosure_is_not_cut(house, sipp, peer):
    """A key pressed 0.3 s into the first words, and the caller's voice over them: they are played to their end all the same."""
    world = house().provision().ready()
    phone = sipp(Script("disclosed").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(440, 200)
    peer.press("7")
    peer.wait_tone(440, 550, ended=True)
    session = world.tap.wait_session()
    first = session.sent("response.create")[0]
    assert "word for word" in json.dumps(first)
    assert session.sent("conversation.item.truncate") == []
    wait_for("the key's tool", lambda: world.office.to("/api/orders/status"), 15)
    peer.press("#")
    phone.wait()
    assert RESTAURANT in world.office.to("/api/orders/status")[0].target


def listening(world, call, folder, key=None):
    """Somebody listens to a call with curl, which writes what it hears as it comes."""
    path = folder / "listened.wav"
    headers = ["-H", f"X-API-Key: {key}"] if key else []
    command = ["curl", "--silent", "--no-buffer", "--fail", *headers, "-o", str(path), f"{world.client.base}/api/calls/{call}/listen.wav"]
    return subprocess.Popen(command), path


def heard_hz(samples):
    """The loud tones of one side, in order."""
    spans = [(start * 8, end * 8) for start, end in loud_spans(samples) if end - start > 200]
    return [round(dominant_hz(samples[start:end])[0]) for start, end in spans]


def answered_to(peer, hz):
    """Says something that the agent does not understand, and waits until it has said so."""
    peer.say(tone(hz, 600), str(hz))
    peer.wait_tone(350, 250, ended=True, after=peer.said_at(str(hz)))


def test_a_supervisor_hears_both_sides_of_a_live_call(house, sipp, peer, tmp_path):
    world = house().provision().ready()
    phone = sipp(Script("listened").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(440, 550, ended=True)
    [call] = calls(world)
    ear, path = listening(world, call["id"], tmp_path)
    # Another one connects and never reads.
    host, port = world.allo.addresses["platform"].rsplit(":", 1)
    deaf = socket.create_connection((host, int(port)))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(f"GET /api/calls/{call['id']}/listen.wav HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    wait_for("the listener", lambda: path.exists() and path.stat().st_size > 44, 10)
    answered_to(peer, 700)
    peer.press("1")
    peer.wait_tone(580, 250, ended=True, timeout=15)
    secure = f"/calls/{call['id']}/secure-input"
    world.client.post(secure, {"on": True})
    wait_for("secure input", lambda: "secure_input" in journal(world), 10)
    peer.say(tone(900, 600))
    wait_for("silence", lambda: not peer.saying(), 10)
    world.client.post(secure, {"on": False})
    size = path.stat().st_size
    # A second more: the sound of the secrecy has left every buffer.
    wait_for("a second", lambda: path.stat().st_size > size + 32_000, 10)
    answered_to(peer, 1100)
    peer.press("#")
    phone.wait()
    assert ear.wait(10) == 0, "the stream ends with the call"
    deaf.close()
    caller, agent = read_wav(path)
    assert [hz for hz in heard_hz(caller) if hz in range(600, 1200)] == pytest.approx([700, 1100], abs=10)
    said = heard_hz(agent)
    for hz in (580, 660):
        assert any(abs(found - hz) < 10 for found in said), said
    listened = [line for line in world.client.get(f"/audit?accountId={world.account}") if line["action"] == "listen"]
    assert len(listened) == 2, "who listened is written"
    again, _ = listening(world, call["id"], tmp_path)
    assert again.wait(10) == 22, "there is nothing to hear after the end"


def test_nothing_is_recorded_before_the_caller_was_told(house, sipp, peer):
    """The notice is said with the first words, as the account words it, and the recording begins after them: of these words, and of
    what the caller says meanwhile, nothing is in it."""
    notice = "Cet appel est gardé pour la qualité du service."
    world = house(recording_announce="true").provision(recordingNotice=notice).ready()
    recordings = pathlib.Path(world.allo.settings["server_data_dir"]) / "recordings"
    phone = sipp(Script("told").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(480, 100)
    peer.say(tone(900, 200), "too early")
    assert not list(recordings.glob("*.wav")), "recorded before the notice was said"
    # What was said meanwhile reaches the engine afterwards, which does not understand it.
    peer.wait_tone(350, 250, ended=True)
    answered_to(peer, 700)
    peer.press("#")
    phone.wait()
    call = ended_call(world)
    [first, *_] = world.tap.wait_session().sent("response.create")
    said = json.dumps(first, ensure_ascii=False)
    assert "intelligence artificielle" in said and notice in said and "word for word" in said
    caller, agent = read_wav(recordings / f"{call['id']}.wav")
    assert not [hz for hz in heard_hz(agent) if abs(hz - 480) < 10], "the first words are in it"
    assert [hz for hz in heard_hz(agent) if abs(hz - 350) < 10], "what was said after them is not"
    assert [round(hz, -2) for hz in heard_hz(caller) if hz in range(600, 1200)] == [700]


def test_an_agent_that_records_nothing_says_nothing_of_it(house, sipp, peer):
    """The server records; this agent's calls are neither recorded nor announced as recorded."""
    notice = "Cet appel est gardé pour la qualité du service."
    world = house(recording_announce="true").provision(recordingNotice=notice, recordingEnabled=False).ready()
    phone = sipp(Script("unrecorded").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(440, 250, ended=True)
    answered_to(peer, 700)
    peer.press("#")
    phone.wait()
    assert not ended_call(world)["hasRecording"]
    [first, *_] = world.tap.wait_session().sent("response.create")
    said = json.dumps(first, ensure_ascii=False)
    assert "intelligence artificielle" in said and notice not in said
    assert not list((pathlib.Path(world.allo.settings["server_data_dir"]) / "recordings").glob("*.wav"))


FIXED = {"disclosure": "Je suis un assistant virtuel.", "greeting": {"cachedText": "Les Tilleuls, bonjour !"}}


def begin(world, sipp, peer, name):
    """A call up to the end of its greeting: its record, the seconds from the INVITE to the first sound, and what was heard."""
    known = {call["id"] for call in calls(world)}
    began, peer.remote = time.monotonic(), None
    phone = sipp(Script(name).call().until_bye(), world.allo, peer, service=world.number)
    _, _, disclosure = peer.wait_tone(470, 450, after=began, timeout=20)
    # A late packet of the call before may have come after it was forgotten: keys go to where this call's sound comes from.
    peer.remote = disclosure[0].source
    _, _, greeting = peer.wait_tone(520, 200, after=began, timeout=20)
    [call] = [call for call in calls(world) if call["id"] not in known]
    return phone, call["id"], disclosure[0].at - began, greeting


def transcript(world, call):
    return world.client.get(f"/calls/{call}/transcript?accountId={world.account}")


def test_a_cached_greeting_is_heard_at_the_answer_whatever_the_engine_takes(house, standin, sipp, peer):
    slow = standin("contract", replace=[("first_byte_ms = 20", "first_byte_ms = 1800")])
    world = house(engine=Wiretap(slow.url)).provision(**FIXED).ready()
    folder = pathlib.Path(world.allo.settings["server_data_dir"]) / "greetings"
    phone, _, first, _ = begin(world, sipp, peer, "made")
    assert first > 1.7, "the engine says it for the first caller"
    wait_for("the sounds", lambda: len(list(folder.glob("*.greeting"))) == 2, 10)
    peer.wait_tone(520, 2900, ended=True)
    peer.press("#")
    phone.wait()
    phone, call, second, _ = begin(world, sipp, peer, "kept")
    print(f"INVITE to first sound: {first:.2f} s by the engine, {second:.2f} s kept")
    assert second < 1.0, "nobody waits for the engine"
    # The caller presses a key 0.2 s into the greeting: it stops, and the engine knows what was heard.
    peer.press("7")
    session = world.tap.wait_session(2)
    wait_for("the key at the engine", lambda: "[DTMF] 7" in json.dumps(session.sent("conversation.item.create")), 10)
    items = [event["item"] for event in session.sent("conversation.item.create") if event["item"]["role"] == "assistant"]
    told = [item["content"][0] for item in items]
    assert told[0] == {"type": "output_text", "text": FIXED["disclosure"]}
    assert told[1]["text"] in ("Les…", "Les Tilleuls,…", "Les Tilleuls, bonjour…"), told
    assert session.sent("conversation.item.truncate") == [], "the engine has no such sound"
    assert not [event for event in session.sent("response.create") if "word for word" in json.dumps(event)]
    wait_for("the key's tool", lambda: world.office.to("/api/orders/status"), 15)
    peer.press("#")
    phone.wait()
    lines = transcript(world, call)
    assert [line["content"] for line in lines[:2]] == [FIXED["disclosure"], FIXED["greeting"]["cachedText"]]
    assert 0 < lines[1]["interruptedAtMs"] < 2950, lines[1]


def test_a_broken_cached_greeting_is_made_again(house, sipp, peer):
    world = house().provision(**FIXED).ready()
    folder = pathlib.Path(world.allo.settings["server_data_dir"]) / "greetings"
    for name in ("made", "again"):
        phone, *_ = begin(world, sipp, peer, name)
        wait_for("the sounds", lambda: [path.stat().st_size > 100 for path in folder.glob("*.greeting")] == [True, True], 10)
        peer.press("#")
        phone.wait()
        for path in folder.glob("*.greeting"):
            path.write_bytes(b"broken")
