"""sipp as the caller: a SIP implementation that we did not write. Its SDP points at the test's own receiver.

A scenario is written step by step in the test (`Script`), or is a file of `e2e/sipp`. What sipp sent and received is read from
its own message trace.
"""

import pathlib
import re
import subprocess

from .allo import PATIENCE, Process, clean_environment, wait_for

SCENARIOS = pathlib.Path(__file__).resolve().parents[1] / "sipp"
PCMU = "0 8 101", "a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16"
G723 = "4", "a=rtpmap:4 G723/8000"


def sdp(direction="sendrecv", codecs=PCMU, address="127.0.0.1", version=1):
    formats, attributes = codecs
    return (
        f"v=0\no=caller 1 {version} IN IP4 127.0.0.1\ns=-\nc=IN IP4 {address}\nt=0 0\n"
        f"m=audio [rtp_port] RTP/AVP {formats}\n{attributes}\na={direction}\n"
    )


class Script:
    """A sipp scenario in the making. Every method adds a step and gives the script back."""

    def __init__(self, name):
        self.name, self.steps, self.cseq, self.invite_cseq = name, [], 0, 0

    def _request(self, method, target, cseq, to, body, headers, branch=None):
        branch = branch or f"z9hG4bK-[pid]-[call_number]-{method}-{cseq}"
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}",
            'From: "Test" <sip:+33123456789@127.0.0.1:[local_port]>;tag=[pid]t[call_number]',
            f"To: <sip:[service]@[remote_ip]:[remote_port]>{to}",
            "Call-ID: [call_id]",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
        ]
        if method in ("INVITE", "UPDATE"):
            lines.append("Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>")
        lines += headers
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append("Content-Length: [len]")
        return "\n".join(lines) + "\n\n" + (body or "")

    def send(self, text, retrans=True):
        attribute = ' retrans="500"' if retrans else ""
        self.steps.append(f"<send{attribute}><![CDATA[\n{text}\n]]></send>")
        return self

    def invite(self, body=None, offer=True, headers=()):
        self.cseq += 1
        self.invite_cseq = self.cseq
        text = self._request("INVITE", "sip:[service]@[remote_ip]:[remote_port]", self.cseq, "", (body or sdp()) if offer else None, list(headers))
        return self.send(text)

    def within(self, method, body=None, headers=()):
        """A request inside the dialog."""
        self.cseq += 1
        if method == "INVITE":
            self.invite_cseq = self.cseq
        return self.send(self._request(method, "[next_url]", self.cseq, "[peer_tag_param]", body, list(headers)))

    def cancel(self):
        branch = f"z9hG4bK-[pid]-[call_number]-INVITE-{self.invite_cseq}"
        return self.send(self._request("CANCEL", "sip:[service]@[remote_ip]:[remote_port]", self.invite_cseq, "", None, [], branch))

    def ack(self, body=None):
        """Of a 2xx."""
        return self.send(self._request("ACK", "[next_url]", self.invite_cseq, "[peer_tag_param]", body, []), retrans=False)

    def ack_refusal(self):
        """Of a final answer of 300 and more: hop by hop, so of the INVITE's own branch."""
        branch = f"z9hG4bK-[pid]-[call_number]-INVITE-{self.invite_cseq}"
        target = "sip:[service]@[remote_ip]:[remote_port]"
        return self.send(self._request("ACK", target, self.invite_cseq, "[peer_tag_param]", None, [], branch), retrans=False)

    def receive(self, *statuses, timeout_ms=None, auth=False):
        """The last status must come; those before it may."""
        *optional, last = statuses
        for status in optional:
            self.steps.append(f'<recv response="{status}" optional="true"/>')
        more = ' auth="true"' if auth else ""
        more += f' timeout="{timeout_ms}"' if timeout_ms else ""
        self.steps.append(f'<recv response="{last}" rrs="true"{more}/>')
        return self

    def receive_request(self, method, timeout_ms=50_000 * PATIENCE):
        self.steps.append(f'<recv request="{method}" timeout="{timeout_ms}"/>')
        return self

    def answer_request(self, status="200 OK", body=None, headers=()):
        lines = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]", *headers]
        if body:
            lines += ["Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>", "Content-Type: application/sdp"]
        text = f"SIP/2.0 {status}\n" + "\n".join(lines) + "\nContent-Length: [len]\n\n" + (body or "")
        return self.send(text, retrans=False)

    def announces(self):
        """To the test, over the twin socket (`-3pcc`): it knows the Call-ID then, and can let the scenario go on."""
        self.steps.append("<sendCmd><![CDATA[\nCall-ID: [call_id]\n\n]]></sendCmd>")
        return self

    def gate(self):
        """The scenario goes on when the test says so."""
        self.steps.append("<recvCmd/>")
        return self

    def pause(self, ms):
        self.steps.append(f'<pause milliseconds="{ms}"/>')
        return self

    def bye(self):
        return self.within("BYE").receive(200)

    def call(self, **options):
        """INVITE, 200 and ACK."""
        return self.invite(**options).receive(100, 180, 183, 200).ack()

    def until_bye(self, timeout_ms=50_000 * PATIENCE):
        return self.receive_request("BYE", timeout_ms).answer_request()

    def write(self, folder):
        path = pathlib.Path(folder) / f"{self.name}.xml"
        body = "\n".join(self.steps)
        path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{self.name}">\n{body}\n</scenario>\n')
        return path


class Sipp(Process):
    def __init__(self, folder, scenario, port, rtp_port, transport="u1", name=None, calls=1, keys=None, extra=(), local="127.0.0.1", service="allo"):
        if isinstance(scenario, Script):
            path, scenario = scenario.write(folder), scenario.name
        else:
            path = SCENARIOS / f"{scenario}.xml"
        self.messages_path = pathlib.Path(folder) / f"{name or scenario}.messages"
        self.errors_path = pathlib.Path(folder) / f"{name or scenario}.errors"
        arguments = [
            "sipp", f"127.0.0.1:{port}", "-sf", path, "-i", local, "-m", str(calls), "-t", transport,
            "-key", "rtp_port", str(rtp_port), "-nostdin", "-timeout", f"{110 * PATIENCE}s", "-timeout_error", "-trace_msg", "-trace_err",
            "-message_file", self.messages_path, "-error_file", self.errors_path, "-s", service, "-skip_rlimit",
        ]
        for key, value in (keys or {}).items():
            arguments += ["-key", key, str(value)]
        super().__init__([*arguments, *extra], folder, name or f"sipp-{scenario}", clean_environment(TERM="dumb"))

    def messages(self):
        return self.messages_path.read_text(errors="replace") if self.messages_path.exists() else ""

    def trace(self):
        """(sent, text) of every message, in order."""
        parts = re.split(r"^-{20,} .*\n\S+ message (sent|received) .*:\n\n", self.messages(), flags=re.M)
        return [(kind == "sent", text.replace("\r\n", "\n").strip("\n")) for kind, text in zip(parts[1::2], parts[2::2])]

    def received(self, start):
        """Texts of the messages received whose first line begins so."""
        return [text for sent, text in self.trace() if not sent and text.startswith(start)]

    def wait(self, timeout=60):
        """Waits for sipp's own verdict: 0 when each call went as its scenario says."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"sipp did not end:\n{self.messages()[-4000:]}") from None
        detail = self.errors_path.read_text(errors="replace") if self.errors_path.exists() else ""
        assert status == 0, f"sipp ended with {status}: {detail[-2000:]}\n{self.messages()[-4000:]}"
        return self

    def wait_message(self, text, timeout=10):
        return wait_for(f"{text!r} in sipp's messages", lambda: text in self.messages(), timeout)


def header(message, name):
    """The value of a header of a message's text, or None."""
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", message, flags=re.M | re.I)
    return found.group(1).strip() if found else None
