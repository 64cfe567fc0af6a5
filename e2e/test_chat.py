"""Text chat with the agent that answers the telephone: the same tools, context, policy, outcome and webhook, in writing. The client is
plain HTTP and server-sent events; the back office and the engine are the contract's.
"""

import json
import sqlite3

import pytest
from lib.allo import wait_for
from lib.backoffice import RESTAURANT
from lib.chat import Chat, deltas, tools, words
from lib.house import CALLER, House
from standardwebhooks import Webhook


@pytest.fixture
def house(standin, server):
    made = []

    def make(**agent):
        made.append(House(standin, server).provision(**agent))
        return made[-1]

    yield make
    for world in made:
        world.close()


def base(world):
    return f"http://{world.allo.addresses['platform']}"


def bearer(world):
    return {"Authorization": f"Bearer {world.token}"}


def public(world):
    token = world.client.get(f"/agents/{world.agent}")["publicToken"]
    return {"X-Public-Token": token, "Origin": "https://www.lestilleuls.example"}


def begin(world, **more):
    return Chat(base(world), bearer(world), visitor={"name": "Zoé", "phone": CALLER, "verified": True}, **more)


def restarted(world, server):
    """The same server again, on what the killed one left."""
    world.allo.kill()
    settings = {key: value for key, value in world.allo.settings.items() if key != "engine_url"}
    world.allo = server(world.tap.url, **settings)
    world.client = world.connect()


def webhook(world):
    """The one call-end body, its signature checked."""
    wait_for("the webhook", lambda: world.office.calls_ended(), 20)
    [(_, body)] = world.office.calls_ended().items()
    [copies] = world.office.webhooks.values()
    raw, request = copies[0]
    headers = {name: request.header(name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    Webhook(world.secret).verify(raw, headers)
    return body


def test_a_chat_orders_through_tools_and_ends_with_its_webhook(house):
    world = house()
    chat = begin(world, context={"table": 7, "customer_name": "Zoé M."})
    [opening] = chat.session["messages"]
    assert opening["role"] == "assistant" and "intelligence artificielle" in opening["content"]
    assert world.tap.sessions == [], "the engine is not asked for anything yet"

    first = chat.say("1")
    assert tools(first) == [("check_availability", "started"), ("check_availability", "ok")]
    assert words(first) == ["tool tone"] and deltas(first) == "tool tone"
    second = chat.say("2")
    assert tools(second) == [("confirm_order", "started"), ("confirm_order", "ok")]
    [order] = world.office.orders.values()
    sent = order["body"]
    assert (sent["call_id"], sent["caller_phone"], sent["customer_name"]) == (chat.id, CALLER, "Zoé M."), "what the chat was given"
    assert sent["last_availability_check"]["estimatedTime"] == "20:30", "what a tool left in the context"
    assert [dict(request.parameters)["callerPhone"] for request in world.office.to("/api/ai")] == [CALLER]

    [session] = world.tap.sessions
    assert [update["output_modalities"] for update in session.session_updates()] == [["text"]]
    assert session.audio == {True: 0, False: 0}, "nothing is spoken"
    prompt = session.session_updates()[0]["instructions"]
    assert "Les Tilleuls" in prompt and "chat écrit" in prompt

    seen = chat.read()
    assert [message["role"] for message in seen["messages"]] == ["assistant", "user", "tool", "assistant", "user", "tool", "assistant"]
    assert seen["messages"][2]["detail"]["name"] == "check_availability"

    last = chat.say("#")
    assert ("ended", {"reason": "agent_hung_up"}) in last and words(last) == ["goodbye and thank you"]
    body = webhook(world)
    assert body["outcome"] == "completed" and [call["name"] for call in body["toolCalls"]] == ["check_availability", "confirm_order", "end_call"]
    assert [(line["role"], line["content"]) for line in body["transcript"]][:2] == [("assistant", opening["content"]), ("user", "1")]
    assert body["finalContext"]["table"] == 7 and body["finalContext"]["restaurant_id"] == RESTAURANT
    tokens = body["costs"]["tokens"]
    assert tokens["inputTokens"] > 0 and tokens["outputTokens"] > 0
    assert tokens["inputAudioTokens"] == tokens["outputAudioTokens"] == 0
    ended = chat.read()
    assert ended["outcome"] == "order_placed" and ended["endedAt"]
    chat.ask("POST", f"/api/chat/sessions/{chat.id}/messages", {"text": "1"}, status=409)
    booked = world.client.get(f"/accounts/{world.account}/billing/transactions")
    assert [row["reference"] for row in booked if row["kind"] == "chat"] == [chat.id]


def test_a_chat_goes_on_after_the_process_was_killed(house, server):
    """Killed between two messages, then while an order is under way: the order is made once, and told of."""
    world = house()
    order_key(world, "key-of-then")
    chat = begin(world)
    chat.say("1")
    order_key(world, "key-of-now")
    restarted(world, server)
    chat = Chat(base(world), bearer(world), session=chat.session)
    world.office.rule("/api/ai/tools/confirm-order", delay=2.0, times=1)
    chat.in_background("2")
    wait_for("the order", lambda: world.office.to("/api/ai/tools/confirm-order"), 20)
    session = world.tap.sessions[-1]
    told = [item["item"]["content"][0]["text"] for item in session.sent("conversation.item.create") if item["item"]["type"] == "message"]
    assert told[1] == "1" and "[check_availability]" in told[2] and told[3:] == ["tool tone", "2"], told
    restarted(world, server)
    wait_for("the order, with its key", lambda: len(world.office.to("/api/ai/tools/confirm-order")) == 2, 20)
    [order] = world.office.orders.values()
    assert order["body"]["last_availability_check"]["estimatedTime"] == "20:30"
    # The chat keeps the version that it began with, sealed keys included; what is sent again has the tool's key of today.
    keys = [request.header("x-crm-key") for request in world.office.to("/api/ai/tools/confirm-order")]
    assert keys == ["key-of-then", "key-of-now"]
    chat = Chat(base(world), bearer(world), session=chat.session)
    wait_for("its answer", lambda: tool_rows(world, chat) == ["done", "done"], 20)
    assert words(chat.say("Bonjour")) == ["sorry tone"]
    told = [item["item"]["content"][0]["text"] for item in world.tap.sessions[-1].sent("conversation.item.create")]
    assert any(text.startswith("[confirm_order]") and '"order_number":101' in text for text in told), told
    chat.end()
    body = webhook(world)
    assert [call["name"] for call in body["toolCalls"]] == ["check_availability", "confirm_order"]
    assert len(world.office.orders) == 1
    assert chat.read()["outcome"] == "order_placed"


def order_key(world, key):
    """Another key in the header of the tool that orders: a new version of the agent."""
    [tool] = [tool for tool in world.client.get(f"/agents/{world.agent}/tools") if tool["name"] == "confirm_order"]
    http = tool["http"] | {"headers": {"X-Crm-Key": key}}
    world.client.put(f"/agents/{world.agent}/tools/{tool['id']}", {"http": http})


def tool_rows(world, chat):
    """How far the chat's tool runs are, from the database."""
    path = next(world.allo.data.glob("*.db"))
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return [state for (state,) in database.execute("SELECT state FROM tool_runs WHERE call_id = ? ORDER BY started_at", (chat.id,))]


def test_a_public_token_sees_its_own_chat_and_no_other(house):
    world = house()
    anybody = public(world)
    probe = Chat.__new__(Chat)
    probe.base, probe.headers = Chat(base(world), bearer(world)).base, anybody
    assert probe.ask("POST", "/api/chat/sessions", {}, status=403)["code"] == "api_no_chat"
    world.client.put(f"/agents/{world.agent}", {"chatEnabled": True, "chatTitle": "Les Tilleuls", "chatOrigins": ["https://www.lestilleuls.example"]})
    config = probe.ask("GET", "/api/chat/config")
    assert (config["enabled"], config["title"], config["language"]) == (True, "Les Tilleuls", "fr")
    for forged in ({"visitor": {"phone": CALLER}}, {"context": {"customer_id": "cust-9"}}):
        assert probe.ask("POST", "/api/chat/sessions", forged, status=422)["code"] == "api_invalid"
    mine, theirs = Chat(base(world), anybody), Chat(base(world), anybody)
    assert mine.session["token"] != theirs.session["token"]
    assert tools(mine.say("1")) == [("check_availability", "started"), ("check_availability", "ok")]
    assert [message["role"] for message in mine.read()["messages"]] == ["assistant", "user", "assistant"], "no word of a tool's answer"
    assert "callerPhone" not in mine.read(), "nothing but the chat"
    theirs.ask("GET", f"/api/chat/sessions/{mine.id}", status=404)
    theirs.ask("POST", f"/api/chat/sessions/{mine.id}/messages", {"text": "2"}, status=404)
    theirs.ask("POST", f"/api/chat/sessions/{mine.id}/end", {}, status=404)
    mine.ask("GET", "/api/chat/sessions", status=403)
    other = world.client.post("/agents", {"accountId": world.account, "name": "other", "chatEnabled": True})
    stranger = {"X-Public-Token": other["publicToken"], "X-Chat-Token": mine.session["token"]}
    probe.headers = stranger
    probe.ask("GET", f"/api/chat/sessions/{mine.id}", status=404)
    probe.ask("POST", "/api/chat/sessions", {"agentId": world.agent}, status=404)
    probe.headers = anybody | {"Origin": "https://evil.example"}
    assert probe.ask("POST", "/api/chat/sessions", {}, status=403)["code"] == "api_chat_origin"
    answer = mine.send("OPTIONS", "/api/chat/sessions", **{"Access-Control-Request-Headers": "x-chat-token"})
    assert answer.status == 204 and "x-chat-token" in answer.headers["access-control-allow-headers"]
    assert mine.end()["endedAt"] and webhook(world)["outcome"] == "completed"


def test_one_turn_at_a_time_and_bounds(house):
    world = house()
    chat = begin(world)
    world.office.rule("/api/availability/check", delay=1.5)
    thread = chat.in_background("1")
    wait_for("the tool", lambda: world.office.to("/api/availability/check"), 20)
    assert chat.ask("POST", f"/api/chat/sessions/{chat.id}/messages", {"text": "2"}, status=409)["code"] == "api_chat_busy"
    thread.join(20)
    for text in ("", "x" * 4001):
        chat.ask("POST", f"/api/chat/sessions/{chat.id}/messages", {"text": text}, status=422)
    answer = chat.send("POST", f"/api/chat/sessions/{chat.id}/messages", {"text": "Bonjour"}, Accept="application/json")
    assert json.load(answer) == {"messages": ["sorry tone"]}
    world.client.post(f"/agents/{world.agent}/pause", {"reason": "travaux"})

    def paused():
        answer = chat.send("POST", f"/api/chat/sessions/{chat.id}/messages", {"text": "1"}, Accept="application/json")
        return answer.read() and answer.status == 409

    wait_for("the pause", paused, 10)


@pytest.mark.allowed_log("engine_unreachable", "engine_closed", "engine_unavailable", "log_chat_failed")
def test_without_an_engine_the_chat_waits_for_the_next_message(house, standin):
    world = house()
    chat = begin(world)
    where = world.tap.engine
    world.tap.engine = where._replace(netloc="127.0.0.1:1")
    events = chat.say("Bonjour")
    assert [name for name, _ in events] == ["error", "done"] and events[0][1]["code"] == "chat_turn_failed"
    world.tap.engine = where
    assert tools(chat.say("1")) == [("check_availability", "started"), ("check_availability", "ok")]
