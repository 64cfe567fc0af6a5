"""The provisioning contract from end to end: an agent is made over HTTP as the existing client makes it, then a caller's keys make the
engine call each of its 12 tools. What the back office receives is compared byte for byte.
"""

import hashlib
import hmac
import json
import time

import pytest
from lib.allo import wait_for
from lib.backoffice import MENU_ITEM, RESTAURANT
from lib.house import CALLER, House
from lib.provisioning import TOOLS, Client, Refused
from lib.sipp import Script, header
from standardwebhooks import Webhook

ENCODED_CALLER = CALLER.replace("+", "%2B")
ITEM_MAP = f'{{"1":{{"id":"{MENU_ITEM}","name":"Margherita"}}}}'
AVAILABILITY = (
    '{"available":true,"mode":"delivery","estimatedTime":"20:30","estimatedTimeISO":"2026-11-21T19:30:00.000Z","deliveryDistanceKm":2.4,'
    '"deliveryDurationMin":11,"deliveryFee":3.5,"customerAddressFormatted":"12 rue des Lilas, 75020 Paris","customerLat":48.8739,'
    '"customerLng":2.4012,"apiCosts":0.005}'
)
ITEMS = (
    '[{"id":1,"notes":"sans oignons & bien cuite","quantity":2,"selected_options":[{"choice":"Fine","extra_price":1.5,"name":"Pâte"}],'
    '"unit_price":12.5}]'
)

#: key -> (method, target, body; CALL stands for the id of the call, what the model is told: None for the reply itself)
STEPS = {
    "1": (
        "POST", "/api/availability/check",
        f'{{"restaurantId":"{RESTAURANT}","mode":"delivery","customerAddress":"12 rue des Lilas","customerCity":"Paris",'
        f'"customerLat":48.8566,"customerLng":2.3522}}',
        json.loads(AVAILABILITY),
    ),
    "2": (
        "POST", "/api/ai/tools/confirm-order",
        f'{{"restaurantId":"{RESTAURANT}","order_type":"delivery","items":{ITEMS},"subtotal":26.5,"delivery_fee":3.5,"total":31.5,'
        f'"payment_method":"card","item_map":{ITEM_MAP},"call_id":"CALL","customer_id":"cust-1","customer_name":"Zoé",'
        f'"caller_phone":"{CALLER}","last_availability_check":{AVAILABILITY}}}',
        None,
    ),
    "3": (
        "POST", "/api/reservations",
        f'{{"restaurantId":"{RESTAURANT}","callId":"CALL","customerId":"cust-1","customerName":"Zoé Martin","customerPhone":"{CALLER}",'
        f'"partySize":2,"reservationTime":"2026-11-21T19:30:00.000Z","status":"confirmed","seatingPreference":"window"}}',
        None,
    ),
    "4": (
        "POST", "/api/customers",
        f'{{"restaurantId":"{RESTAURANT}","phone":"{CALLER}","firstName":"Zoé \\"Z\\"","deliveryAddress":"12 rue des Lilas",'
        f'"deliveryLat":48.8739,"deliveryLng":2.4012}}',
        None,
    ),
    "5": (
        "POST", "/api/faq",
        f'{{"restaurantId":"{RESTAURANT}","question":"Y a-t-il un parking ?","category":"parking","callerPhone":"{CALLER}"}}',
        {"success": "true", "message": "Question notée"},
    ),
    "6": (
        "POST", "/api/messages",
        f'{{"restaurantId":"{RESTAURANT}","callId":"CALL","callerPhone":"{CALLER}","callerName":"Zoé","content":"Rappelez-moi demain",'
        f'"category":"callback_request","isUrgent":true}}',
        {"success": "true", "message": "Message transmis"},
    ),
    "7": ("GET", f"/api/orders/status?restaurantId={RESTAURANT}&phone={ENCODED_CALLER}", "", None),
    "8": (
        "POST", "/api/ai/tools/cancel-order",
        f'{{"restaurantId":"{RESTAURANT}","order_number":101,"caller_phone":"{CALLER}"}}',
        {"success": True, "message": "Commande annulée"},
    ),
    "9": ("GET", f"/api/reservations/lookup?restaurantId={RESTAURANT}&phone={ENCODED_CALLER}", "", None),
    "0": ("PATCH", "/api/reservations", '{"id":"resa-1","status":"cancelled"}', {"success": "true", "message": "Réservation annulée"}),
}  # fmt: skip
NAMES = [tool["name"] for tool in TOOLS]


@pytest.fixture
def house(standin, server):
    made = []

    def make(**options):
        made.append(House(standin, server, **options))
        return made[-1]

    yield make
    for house in made:
        house.close()


def tools_asked(house):
    """Requests that tools made, the session's and the webhooks apart."""
    return [r for r in house.office.requests if r.path not in ("/api/ai", "/api/calls", "/api/blocked-phones/check")]


def press(house, peer, key, count, done=True):
    """Presses a key and waits until its tool has asked, the model was told and the agent has spoken about it."""
    before = time.monotonic()
    peer.press(key)
    request = wait_for(f"the request of key {key}", lambda: tools_asked(house)[count] if len(tools_asked(house)) > count else None, 15)
    session = house.tap.sessions[-1]
    wait_for(f"the output of key {key}", lambda: len(session.outputs()) > count, 10)
    peer.wait_tone(580, 250, ended=True, timeout=15, after=before)
    return request


def signed(request, secret):
    """The signature of a tool's request, computed from its description alone."""
    text = f"{request.header('x-allo-timestamp')}.{request.method}.{request.target}.".encode() + request.body
    return "v1=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def test_a_provisioned_agent_takes_a_call_and_uses_each_tool(house, sipp, peer):
    world = house().provision(onCallEndWebhook="={{BASE_URL}}/api/calls").ready()
    phone = sipp(Script("contract").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(440, 550, ended=True)
    call = world.calls()[0]["id"]

    # The session was asked for while the phone rang, once, with the caller's number encoded.
    [asked] = world.office.to("/api/ai")
    assert (asked.method, asked.target, asked.body) == ("GET", f"/api/ai?restaurantId={RESTAURANT}&callerPhone={ENCODED_CALLER}", b"")
    session = world.tap.wait_session()
    assert sorted(session.offered()) == sorted(NAMES)
    instructions = [s["instructions"] for s in session.session_updates() if "instructions" in s][-1]
    assert instructions.startswith("Tu es l'hôte du restaurant Les Tilleuls. #1 Margherita 12 €.")
    assert "sip" not in json.dumps(session.session_updates()).lower() or "sipPassword" not in json.dumps(session.session_updates())
    voices = [s["audio"]["output"]["voice"] for s in session.session_updates() if "voice" in s.get("audio", {}).get("output", {})]
    assert voices[0] == "sage"
    # What it is comes first, then the greeting of the session, injected as the first message of the caller.
    first = session.sent("conversation.item.create")[0]["item"]
    assert (first["role"], first["content"]) == ("user", [{"type": "input_text", "text": "greet Zoé"}])
    assert [round(hz / 10) for hz, _, _ in peer.tones()] == [48, 44]

    keys = {}
    for count, (key, (method, target, body, told)) in enumerate(STEPS.items()):
        request = press(world, peer, key, count)
        assert (request.method, request.target) == (method, target), key
        assert request.body.decode() == body.replace("CALL", call), key
        assert request.version == "HTTP/1.1" and request.header("host") == world.office.url.removeprefix("http://")
        assert request.header("content-type") == ("application/json" if body else None), key
        assert request.header("x-allo-call") == call and request.header("x-allo-agent") == world.agent and request.header("x-allo-tenant") == world.account
        assert abs(int(request.header("x-allo-timestamp")) - time.time()) < 60
        assert request.header("x-allo-signature") == signed(request, world.secret), key
        if method != "GET":
            keys[request.header("idempotency-key")] = key
        output = session.outputs()[count][1]
        if told is not None:
            assert json.loads(output) == told, key
        elif request.path == "/api/ai/tools/confirm-order":
            assert json.loads(output)["order_number"] == 101
        assert not request.header("authorization") and "sk-test" not in repr(request.headers)
    assert len(keys) == 8 and None not in keys, "each tool call has its own key"
    # One response is asked for after each output, and none after the goodbye.
    asked_before = len(session.sent("response.create"))
    peer.press("#")
    phone.wait()
    assert peer.tones()[-1][0] == pytest.approx(660, abs=8) and peer.tones()[-1][1] >= 850, "the goodbye was heard to its end"
    end_output = session.outputs()[-1]
    assert json.loads(end_output[1])["success"] is True
    # The key's own response is the only one: the output of end_call asks for none.
    assert len(session.sent("response.create")) == asked_before + 1
    assert [r.path for r in tools_asked(world)] == [target.split("?")[0] for _, target, _, _ in STEPS.values()]

    check_webhook(world, call)
    assert world.ended_call()["endReason"] == "agent_hung_up"
    rows = world.connect(token=world.token).get("/calls?limit=5")
    assert rows[0]["callerNumber"] == CALLER and [t["name"] for t in rows[0]["toolCalls"]] == in_order("1234567890") + ["end_call"]


def in_order(keys):
    return [NAMES[(int(key) or 10) - 1] for key in keys]


def check_webhook(world, call):
    """The call-end webhook: signed as Standard Webhooks say, with exactly the payload of the contract."""
    [body, request] = wait_for("the webhook", lambda: next(iter(world.office.webhooks.values()), None), 20)[0]
    payload = Webhook(world.secret).verify(body, {key.lower(): value for key, value in request.headers})
    assert request.header("content-type") == "application/json"
    assert list(payload) == [
        "restaurantId", "finalContext", "callerPhone", "callerNumber", "startedAt", "endedAt", "durationSec", "transcript", "outcome",
        "toolCalls", "costs", "aiModel",
    ]  # fmt: skip
    assert payload["restaurantId"] == RESTAURANT and payload["callerPhone"] == payload["callerNumber"] == CALLER
    context = payload["finalContext"]
    assert context["restaurant_id"] == RESTAURANT and context["customer_id"] == "cust-2" and context["customer_name"] == 'Zoé "Z"'
    assert context["last_availability_check"] == json.loads(AVAILABILITY) and context["call_id"] == call and context["caller_phone"] == CALLER
    assert payload["outcome"] == "completed" and payload["aiModel"] == "gpt-realtime"
    assert [tool["name"] for tool in payload["toolCalls"]][:10] == in_order("1234567890")
    assert payload["startedAt"] < payload["endedAt"] and payload["startedAt"].endswith("Z") and 5 <= payload["durationSec"] < 300
    assert {line["role"] for line in payload["transcript"]} <= {"user", "assistant"} and payload["transcript"]
    costs = payload["costs"]
    assert costs["costCurrency"] == "EUR" and costs["costTotal"] > 0.005, "the availability check cost something at a third party"
    assert set(costs["tokens"]) == {"inputTokens", "outputTokens", "inputAudioTokens", "outputAudioTokens"}
    assert costs["tokens"]["outputAudioTokens"] > 0
    # A changed byte or another secret is refused by the same package.
    headers = {key.lower(): value for key, value in request.headers}
    for wrong_body, wrong_secret in ((body + b" ", world.secret), (body, "whsec_" + "A" * 43 + "=")):
        with pytest.raises(Exception):
            Webhook(wrong_secret).verify(wrong_body, headers)


def test_a_transfer_goes_to_the_number_of_the_session(house, sipp, peer):
    world = house().provision().ready()
    script = Script("transfer").call().receive_request("REFER").answer_request("202 Accepted")
    notify = ["Event: refer", "Subscription-State: terminated;reason=noresource", "Content-Type: message/sipfrag;version=2.0"]
    script.cseq += 1
    text = script._request("NOTIFY", "[next_url]", script.cseq, "[peer_tag_param]", None, ["Contact: <sip:caller@[local_ip]:[local_port]>", *notify])
    script.send(text.rstrip("\n") + "\n\nSIP/2.0 200 OK\n").receive(200).until_bye()
    phone = sipp(script, world.allo, peer, service=world.number)
    peer.wait_tone(440, 550, ended=True)
    peer.press("*")
    phone.wait()
    assert peer.tones()[-1][0] == pytest.approx(800, abs=8), "what was said before the transfer was heard"
    [refer] = phone.received("REFER")
    assert "+33140000001" in header(refer, "Refer-To")
    call = world.ended_call()
    payload = wait_for("the webhook", lambda: list(world.office.calls_ended().values()), 20)[0]
    assert payload["outcome"] == "transferred" and tools_asked(world) == []
    assert call["id"] == payload["finalContext"]["call_id"]


def test_conditions_and_null_pruning(house, sipp, peer):
    """Tools whose flag is off are not offered; what the session did not give is left out of the request."""
    session = {"customerContext": None, "initialContext": {"restaurant_id": RESTAURANT}}
    config = {"restaurantId": RESTAURANT, "deliveryEnabled": True, "reservationEnabled": False, "orderStatusEnabled": False, "transferEnabled": False}
    world = house(session=session).provision(config=config).ready()
    phone = sipp(Script("pruned").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(440, 550, ended=True)
    offered = world.tap.wait_session().offered()
    assert offered == ["check_availability", "confirm_order", "save_customer_info", "log_new_faq", "leave_message", "end_call"]
    request = press(world, peer, "1", 0)
    assert request.body.decode() == f'{{"restaurantId":"{RESTAURANT}","mode":"delivery","customerAddress":"12 rue des Lilas","customerCity":"Paris"}}'
    peer.press("#")
    phone.wait()


@pytest.mark.allowed_log(r"does not take its webhooks \(500\)")
def test_a_failing_back_office_is_told_to_the_model_and_fails_no_call(house, sipp, peer):
    world = house().provision().ready()
    world.office.rule("/api/ai/tools/confirm-order", status=500, body={"success": False, "error": "kitchen closed"})
    world.office.rule("/api/faq", status=503)
    world.office.rule("/api/calls", times=2, status=500)
    phone = sipp(Script("failing").call().until_bye(), world.allo, peer, service=world.number)
    peer.wait_tone(440, 550, ended=True)
    session = world.tap.wait_session()

    def pressed(key, count):
        before = time.monotonic()
        peer.press(key)
        wait_for(f"the output of key {key}", lambda: len(session.outputs()) > count, 30)
        peer.wait_tone(580, 250, ended=True, timeout=15, after=before)
        return json.loads(session.outputs()[count][1])

    assert pressed("1", 0)["available"] is True
    refused = pressed("2", 1)
    assert refused["success"] is False and refused["error"]
    assert len(world.office.to("/api/ai/tools/confirm-order")) == 1, "an order that may have been made is not made again"
    pressed("5", 2)
    peer.press("#")
    phone.wait()
    call = world.ended_call()
    payload = wait_for("the webhook after two refusals", lambda: list(world.office.calls_ended().values()), 60)[0]
    assert payload["finalContext"]["call_id"] == call["id"] and "confirm_order" not in [tool["name"] for tool in payload["toolCalls"]]
    assert len(world.office.to("/api/calls")) >= 3 and len(world.office.webhooks) == 1, "one id for all attempts"


def test_the_client_meets_the_contract_in_each_way_of_authentication(house):
    world = house().provision()
    # Without a credential (a setting, on loopback), then by the account's key and the agent's token.
    assert world.client.account() == world.account
    by_agent = world.connect(token=world.token)
    assert by_agent.get(f"/agents/{world.agent}")["name"] == "Les Tilleuls"
    with pytest.raises(Refused) as refused:
        by_agent.post("/accounts", {"name": "another"})
    assert refused.value.status in (401, 403)
    agents = world.client.get(f"/agents?accountId={world.account}")
    [agent] = agents if isinstance(agents, list) else agents["agents"]
    assert agent["id"] == world.agent and agent["transportType"] == "sip_bridge" and agent["isActive"] is True
    assert agent["externalSessionUrl"].startswith("=http") and agent["config"]["restaurantId"] == RESTAURANT
    assert world.token not in json.dumps(agents)
    # A partial PUT changes what it names; the line is an upsert by number, and its password cannot be read.
    changed = world.client.put(f"/agents/{world.agent}", {"name": "Les Tilleuls 2", "aiVoice": "marin"})
    assert changed["name"] == "Les Tilleuls 2" and world.client.get(f"/agents/{world.agent}")["basePrompt"] == "={{data.systemPrompt}}"
    line = world.client.phone_line(world.agent, world.number, sipDomain="sip.example.invalid", sipUsername="u", sipPassword="canary-sip-password", isActive=False)
    assert line["id"] == world.line["id"] and line["hasSipPassword"] is True
    assert "canary-sip-password" not in json.dumps([line, world.client.get(f"/agents/{world.agent}/phone-lines")])
    for path in world.allo.data.rglob("*"):
        if path.is_file():
            assert b"canary-sip-password" not in path.read_bytes(), path
    # The brain replaces prompt and tools as one.
    version = world.client.get(f"/agents/{world.agent}")["version"]
    world.client.put(f"/agents/{world.agent}/brain", {"prompt": "Bonjour.", "tools": TOOLS[:2], "version": version})
    assert [tool["name"] for tool in world.client.get(f"/agents/{world.agent}/tools")] == NAMES[:2]
    assert world.client.get("/plans?accountId=" + world.account) in ([], {"plans": []})
    with pytest.raises(Refused) as refused:
        Client(world.client.base, token="agt_" + "A" * 43).get("/agents")
    assert refused.value.status == 401
