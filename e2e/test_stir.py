"""Who vouches for a caller's number (STIR/SHAKEN): tokens by PyJWT and cryptography, sent by sipp. What a line asks (`caller_identity`) decides what becomes of
a call: it is refused before it rings, with the status of RFC 8224 and a Reason (RFC 9410), or the verdict stands in its record.
"""

import email.utils
import time

import pytest
from lib.sipp import Script, header
from lib.stir import Authority, Repository, identity, pem
from lib.tenancy import Platform
from test_trunk_limits import trunk

STRICT, CURIOUS = "+33999999999", "+33999999998"


@pytest.fixture
def signers():
    """An authority that is trusted and one that is not, and where their signers' certificates are."""
    authority, stranger = Authority(), Authority("Nobody's CA")
    (key, chain), (other, others) = authority.signer(), stranger.signer()
    repository = Repository(**{"ok.pem": chain, "stranger.pem": others})
    repository.authority, repository.key, repository.stranger = authority, key, other
    yield repository
    repository.close()


@pytest.fixture
def house(signers, standin, server, folder):
    trusted = folder / "authorities.pem"
    trusted.write_bytes(pem(signers.authority.root))
    allo = server(
        standin("tone").url, line_allow_loopback="false", recording_enabled="false", stir_authorities=trusted, stir_allow_private=signers.origin,
    )
    platform = Platform(allo)
    agent = platform.good("POST", "/api/agents", {"name": "reception", "basePrompt": "Attested: {{callerAttestation}}.", "accountId": "default"})["id"]
    trunk(platform, "strict", agent, "127.0.0.1", STRICT, caller_identity="require_b")
    trunk(platform, "curious", agent, "127.0.0.2", CURIOUS, caller_identity="inform")
    yield allo, platform
    # Before the place of the certificates.
    allo.stop()


def test_a_line_that_asks_for_a_proof_refuses_calls_without(house, signers, sipp, peer):
    allo, _ = house
    # Each token is made when its call leaves: it lasts a minute.
    made = lambda key=signers.key, file="ok.pem", **more: lambda: identity(key, signers.url(file), **more)  # noqa: E731
    old = int(time.time()) - 120
    refusals = [
        ("missing", None, 428, "caller_unsigned", "no Identity header"),
        ("stale", made(iat=old), 403, "caller_not_vouched", "more than a minute"),
        ("unfetched", made(file="nowhere.pem"), 436, "caller_not_vouched", "could not be fetched"),
        ("untrusted", made(signers.stranger, "stranger.pem"), 437, "caller_not_vouched", "no authority"),
        ("forged", made(signers.stranger), 438, "caller_not_vouched", "signature"),
        ("another", made(orig="33123456780"), 438, "caller_not_vouched", "another caller"),
        ("elsewhere", made(dest="33999999990"), 438, "caller_not_vouched", "another number"),
        ("low", made(attest="C"), 603, "caller_vouched", "attestation C"),
    ]
    for number, (name, token, status, code, words) in enumerate(refusals, 1):
        headers = [f"Identity: {token()}"] if token else []
        phone = sipp(Script(name).invite(headers=headers).receive(100, status).ack_refusal(), allo, peer, service=STRICT).wait()
        [refused] = phone.received(f"SIP/2.0 {status}")
        assert header(refused, "Reason").startswith(f"STIR;cause={status};" if status != 603 else "Q.850;cause=21;"), refused
        assert not phone.received("SIP/2.0 180"), "a call that is refused for it does not ring"
        call = allo.ended_call(number)
        told = allo.explanation(call["id"])
        assert (call["endReason"], told["verdict"]["code"]) == ("caller_unproven", "end_caller_unproven")
        assert any(one["code"] == code and words in one["text"] for one in told["why"]), told["why"]
    # One that is attested well enough is a call as any other.
    phone = sipp(Script("proven").call(headers=[f"Identity: {made(attest='B')()}"]).bye(), allo, peer, service=STRICT).wait()
    assert phone.received("SIP/2.0 180")
    # The certificate was asked for once, by nobody in particular; what was not there, once.
    paths = [path for path, _ in signers.asked]
    assert sorted(paths) == ["/nowhere.pem", "/ok.pem", "/stranger.pem"], paths
    assert not any(name.lower().startswith("x-allo") for _, headers in signers.asked for name in headers)


def test_a_line_that_is_only_told_takes_every_call(house, signers, sipp, peer):
    allo, platform = house
    now = int(time.time())
    date = email.utils.formatdate(now, usegmt=True)
    made = lambda **more: identity(signers.key, signers.url("ok.pem"), dest=CURIOUS.strip("+"), iat=now, **more)  # noqa: E731
    signed, compact = made(), made(attest=None, origid=False, ppt=None, compact=True)
    cases = [
        ("unsigned", [], "missing", None),
        ("signed", [f"Identity: {signed}"], "valid", "A"),
        ("short", [f"y: {compact}", f"Date: {date}"], "valid", None),
        ("undated", [f"Identity: {compact}"], "stale", None),
    ]
    for number, (name, headers, verdict, attestation) in enumerate(cases, 1):
        sipp(Script(name).call(headers=headers).bye(), allo, peer, local="127.0.0.2", service=CURIOUS).wait()
        call = allo.ended_call(number)
        kept = platform.good("GET", f"/api/calls/{call['id']}")["statistics"]["caller_identity"]
        assert kept == {"verdict": verdict, "attestation": attestation}, (name, kept)
        notes = [one["code"] for one in allo.explanation(call["id"])["timeline"]]
        assert {"missing": "caller_unsigned", "valid": "caller_vouched", "stale": "caller_not_vouched"}[verdict] in notes, notes
