"""Attended transfers with telephones that we did not write: a linphone is asked by allo's REFER to take our place in the call of another, and
a linphone hands its call to allo over to a colleague, whose INVITE replaces it. Who may not take a call over is refused (sipp).
"""

import json
import socket

import pytest
from lib.allo import known_to_calls, wait_for
from lib.audio import speak
from lib.house import House
from lib.phone import Phone
from lib.ports import free_port
from lib.sipp import Script, Sipp
from lib.softphone import Linphone, tones

GOODBYE = "Thank you very much, goodbye."


@pytest.fixture
def linphone(folder):
    made = []

    def make(name, **options):
        port = free_port(socket.SOCK_DGRAM)
        made.append(Linphone(folder, name=name, port=port, **options))
        made[-1].port = port
        made[-1].command("autoanswer enable")
        return made[-1]

    yield make
    for telephone in made:
        telephone.stop()


def transferred(house, caller, desk, mode):
    """A caller who is handed over to the desk; the id of the call."""
    target = {"destination": f"sip:desk@127.0.0.1:{desk.port}", "mode": mode, "ringSeconds": 10}
    house.client.put(f"/agents/{house.agent}", {"transferTargets": {"desk": target}})
    number = "+33140506085"
    house.client.phone_line(house.agent, number)
    known_to_calls(lambda query: house.client.get(f"/admin/route?{query}"), house.account, number, house.agent)
    caller.dial(f"sip:{number}@127.0.0.1:{house.allo.udp}")
    call = wait_for("the answered call", lambda: next((c for c in house.calls() if c["answeredAt"]), None), 20)["id"]
    house.client.post(f"/calls/{call}/transfer", {"target": "desk"})
    return call


def ended(house, call):
    return wait_for("the end", lambda: (r := house.client.get(f"/calls/{call}?accountId={house.account}"))["endedAt"] and r, 40)


def test_a_telephone_takes_our_place_in_the_call_of_another(folder, standin, server, linphone):
    """REFER with Replaces to one linphone, which calls the other by INVITE with Replaces: both legs leave allo, and the two are in a call."""
    house = House(standin, server).provision().ready()
    caller, desk = linphone("caller"), linphone("desk")
    record = ended(house, transferred(house, caller, desk, "attended"))
    assert record["endReason"] == "transferred", record
    (leg,) = record["statistics"]["second_legs"]
    assert (leg["end"], leg["talked_ms"]) == ("handed over", None), record
    assert "[transfer] desk: handed over" in json.dumps(record["transcript"])
    house.allo.idle()
    caller.wait_call(f"desk@127.0.0.1:{desk.port}")
    caller.command("terminate all")
    house.settled()
    house.close()


def test_a_colleague_takes_over_from_the_person_who_was_called(folder, standin, server, linphone):
    """The leg of a bridged transfer: the caller stays, and their hang-up reaches whoever is there now."""
    house = House(standin, server).provision().ready()
    caller, desk, colleague = linphone("caller"), linphone("desk"), linphone("colleague", route=f"127.0.0.1:{house.allo.udp}")
    call = transferred(house, caller, desk, "bridge")
    ours = desk.wait_call("")
    desk.command("pause")
    desk.wait_output(r"now paused")
    desk.dial(f"sip:colleague@127.0.0.1:{colleague.port}")
    theirs = desk.wait_call(f"colleague@127.0.0.1:{colleague.port}")
    desk.command(f"transfer {theirs} --to-call {ours}")
    colleague.wait_call("Replaces")
    desk.wait_output(rf"Call {ours} with .* ended")
    caller.command("terminate")
    record = ended(house, call)
    (leg,) = record["statistics"]["second_legs"]
    assert (record["endReason"], leg["end"], leg["talked_ms"] > 0) == ("transferred", "the caller hung up", True), record
    colleague.wait_output(r"Replaces.* ended")
    assert "leg_replaced" in json.dumps(house.client.get(f"/calls/{call}/events?accountId={house.account}"))
    house.settled()
    house.close()


def test_a_colleague_takes_a_call_over(folder, standin, server, linphone):
    """linphone's attended transfer of its call with allo: the colleague's INVITE with Replaces is answered in the same call, the old dialog is
    hung up, and the agent hears and answers whoever is there now.
    """
    allo = server(standin("tone").url, line_codecs="pcmu,pcma")
    # linphone leaves the port out where it says whom to call: the colleague's calls go through allo.
    first, colleague = linphone("first"), linphone("colleague", route=f"127.0.0.1:{allo.udp}")
    first.dial(f"sip:allo@127.0.0.1:{allo.udp}")
    ours = first.wait_call(f"allo@127.0.0.1:{allo.udp}")
    first.command("pause")
    first.wait_output(r"now paused")
    first.dial(f"sip:colleague@127.0.0.1:{colleague.port}")
    theirs = first.wait_call(f"colleague@127.0.0.1:{colleague.port}")
    first.command(f"transfer {theirs} --to-call {ours}")
    colleague.wait_call("allo@127.0.0.1")
    (live,) = allo.calls()
    colleague.say(speak(GOODBYE), after_ms=6000)
    call = allo.ended_call()
    assert (call["id"], call["endReason"], call["endedBy"]) == (live["id"], "agent_hung_up", "agent")
    assert GOODBYE in [line["text"] for line in allo.call(call["id"])["transcript"]]
    wait_for("the goodbye", lambda: any(abs(hz - 660) < 10 for hz, *_ in tones(colleague.samples())), 10)
    notes = [e["event"] for e in allo.events(call["id"]) if e["event"]["type"] == "note"]
    assert "leg_replaced" in json.dumps(notes), notes


def test_who_may_not_take_a_call_over(folder, standin, server):
    """With a header that says two things; with the right tags from an address that the line does not list; with tags that are wrong. The call goes
    on.
    """
    allo = server(standin("tone").url, line_allow_loopback="false", line_allow="127.0.0.1/32")
    phone = Phone(allo.udp)
    phone.invite()
    phone.wait(lambda m: m.status == 200 and m.cseq_method == "INVITE", 20)
    phone.ack()
    tag = phone.to_tag.removeprefix(";tag=")
    known = f"Replaces: {phone.call_id};to-tag={tag};from-tag=t{phone.call_id}"
    for status, headers in {400: [known, known], 403: [known], 481: [known + "x"]}.items():
        script = Script(f"stranger-{status}").invite(headers=headers).receive(100, status).ack_refusal()
        Sipp(folder, script, allo.udp, 9, local="127.0.0.2" if status == 403 else "127.0.0.1").wait()
    phone.bye()
    assert allo.ended_call()["endReason"] == "caller_hung_up"
    phone.close()
