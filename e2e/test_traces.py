"""Traces of calls (OpenTelemetry). What a collector receives is read by the project's own package of the protocol (`opentelemetry-proto`), what tools and webhooks
are told by its own propagator (`opentelemetry-api`); the collector here keeps bodies and decides nothing.
"""

import http.server
import socket
import threading

import pytest
from lib.allo import wait_for
from lib.audio import tone
from lib.house import CALLER, House
from lib.ports import free_port
from lib.sipp import Script
from lib.softphone import SORRY_HZ
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from test_outbound import Callee, place, world_that_calls

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    """Keeps what is posted to it."""

    def __init__(self):
        self.bodies, self.heads = [], []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.heads.append((self.path, self.headers))
                collector.bodies.append(body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self):
        found = []
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
                assert about["service.name"] == "allo-of-the-test" and about["service.version"], about
                found += [span for scope in resource.scope_spans for span in scope.spans]
        return found

    def named(self, name, count=1):
        return wait_for(f"{count} spans {name!r} among {[span.name for span in self.spans()]}", lambda: (s := [one for one in self.spans() if one.name == name]) and len(s) >= count and s, 20)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


def told(request):
    """(trace, span) that the header of a request says, as OpenTelemetry's propagator reads it."""
    context = trace.get_current_span(TraceContextTextMapPropagator().extract({name.lower(): value for name, value in request.headers})).get_span_context()
    assert context.is_valid and context.is_remote and context.trace_flags.sampled, request.headers
    return context.trace_id.to_bytes(16), context.span_id.to_bytes(8)


def about(span):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


def test_a_call_is_a_trace_that_its_tools_and_webhooks_join(standin, server, sipp, peer, collector):
    settings = {"traces_endpoint": collector.url, "traces_headers": "authorization=Bearer%20secret", "traces_service": "allo-of-the-test"}
    house = House(standin, server, **settings).provision().ready()
    phone = sipp(Script("traced").call().until_bye(), house.allo, peer, service=house.number)
    peer.wait_tone(440, 550, ended=True)
    peer.say(tone(700, 900))
    peer.wait_tone(SORRY_HZ, 100, ended=True, timeout=20)
    peer.press("7")
    [request] = wait_for("the tool's request", lambda: house.office.to("/api/orders/status"), 20)
    peer.wait_tone(580, 250, ended=True, timeout=15)
    peer.press("#")
    phone.wait()
    call = house.ended_call()
    [root] = collector.named("call")
    path, head = collector.heads[0]
    assert (path, head["content-type"], head["authorization"]) == ("/v1/traces", "application/x-protobuf", "Bearer secret")
    # The trace has the call's own id.
    assert root.trace_id.hex() == call["id"].replace("-", "") and not root.parent_span_id and root.kind == Span.SPAN_KIND_SERVER
    known = about(root)
    assert known["allo.call.id"] == call["id"] and known["allo.call.direction"] == "inbound" and known["allo.agent.id"] == house.agent, known
    assert known["allo.call.end_reason"] == call["endReason"] and root.status.code == Status.STATUS_CODE_OK, known
    assert ["ringing", "answered", "established"] == [event.name for event in root.events][:3]
    [setup], [engine], turns = collector.named("setup"), collector.named("engine connect"), collector.named("turn")
    [tool] = collector.named("tool check_order_status")
    for span in (setup, engine, tool, *turns):
        assert (span.trace_id, span.parent_span_id) == (root.trace_id, root.span_id), span
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano, span
    assert setup.end_time_unix_nano == next(event.time_unix_nano for event in root.events if event.name == "answered")
    assert any(event.name == "first audio" for turn in turns for event in turn.events), turns
    # What the tool was told is the span that was exported: its own spans join there.
    assert told(request) == (tool.trace_id, tool.span_id)
    assert about(tool)["http.response.status_code"] == 200
    house.settled()
    requests = [one for one in house.office.requests if one.header("webhook-id")]
    assert requests
    hooks = lambda: [span for span in collector.spans() if span.name.startswith("webhook ")]  # noqa: E731
    wait_for("a span of each webhook", lambda: {told(one) for one in requests} <= {(hook.trace_id, hook.span_id) for hook in hooks()}, 20)
    assert all(hook.kind == Span.SPAN_KIND_PRODUCER and hook.parent_span_id == root.span_id for hook in hooks()), hooks()
    house.allo.stop()
    sent = b"".join(collector.bodies)
    for secret in (house.number, CALLER, house.token, house.secret):
        assert secret.encode() not in sent and secret.lstrip("+").encode() not in sent, secret
    assert known["allo.call.from"].endswith(CALLER[-2:]), known
    house.close()


@pytest.mark.allowed_log(r"log_traces_lost|The collector of traces does not take them")
def test_a_placed_call_is_in_the_trace_of_who_asked_and_a_dead_collector_harms_no_call(standin, server, sipp, peer, collector):
    house = House(standin, server, traces_endpoint=collector.url, traces_service="allo-of-the-test")
    world = world_that_calls(lambda: house)
    world.client.headers["traceparent"] = PARENT

    def one_call(name):
        port = free_port(socket.SOCK_DGRAM)
        phone = sipp(Callee(name).answers().until_bye(), world.allo, peer, extra=("-p", str(port)))
        call = place(world, port)
        record = lambda: next((one for one in world.calls() if one["id"] == call["id"]), {})  # noqa: E731
        wait_for("the answer", lambda: any(one["id"] == call["id"] and one["state"] == "answered" for one in world.client.get(f"/calls/live?accountId={world.account}")), 20)
        world.client.request("DELETE", f"/calls/{call['id']}")
        phone.wait()
        wait_for("the end", lambda: record().get("endedAt"), 20)
        return record()

    one_call("taken")
    [root] = collector.named("call")
    _, trace_id, parent, _ = PARENT.split("-")
    assert (root.trace_id.hex(), root.parent_span_id.hex(), root.kind) == (trace_id, parent, Span.SPAN_KIND_CLIENT)
    [session] = world.office.to("/api/ai")
    [setup] = collector.named("setup")
    assert told(session) == (root.trace_id, setup.span_id)
    world.settled()
    collector.close()
    for name in ("lost", "lost-too"):
        assert one_call(name)["endReason"] == "operator_hung_up"
    wait_for("the word of it", lambda: "does not take them" in world.allo.log(), 30)
    assert world.allo.metric("allo_traces_spans_lost_total") >= 1
    world.settled()
    world.allo.stop()
    assert world.allo.log().count("does not take them") == 1, world.allo.log()
    world.close()
