"""Who signs callers' numbers (STIR/SHAKEN), by PyJWT and cryptography: an authority, its signers' certificates (RFC 8226), Identity headers (RFC 8224), and the
place where the certificates are fetched.

    python -m lib.stir > ../crates/engine/tests/data/stir.json     (from e2e: the golden rows of the pure judge)
"""

import base64
import datetime
import http.server
import json
import threading
import time

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
#: TNAuthorizationList (RFC 8226 section 9) with the service provider code "1234".
TN_AUTH_LIST = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26"), bytes.fromhex("3008a0061604") + b"1234")


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"), x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(*certificates):
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


class Authority:
    """An STI-CA with one issuer between it and its signers."""

    def __init__(self, text="Test STI-PA", now=None):
        self.now = now or datetime.datetime.now(datetime.timezone.utc)
        self.key, self.issuer_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = self._certificate(text, self.key, text, self.key, authority=1)
        self.issuer = self._certificate(f"{text} issuer", self.issuer_key, text, self.key, authority=0)
        self.text = text

    def _certificate(self, text, key, issuer, issuer_key, authority=None, begins=-DAY, ends=30 * DAY):
        made = x509.CertificateBuilder().subject_name(name(text)).issuer_name(name(issuer)).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(self.now + begins).not_valid_after(self.now + ends)
        made = made.add_extension(x509.BasicConstraints(authority is not None, authority), critical=True)
        if authority is None:
            made = made.add_extension(TN_AUTH_LIST, critical=False)
        return made.sign(issuer_key, hashes.SHA256())

    def signer(self, text="SHAKEN 1234", curve=None, begins=-DAY, ends=30 * DAY):
        """A key, and its certificate with the issuer behind it."""
        key = ec.generate_private_key(curve or ec.SECP256R1())
        made = self._certificate(text, key, f"{self.text} issuer", self.issuer_key, None, begins, ends)
        return key, pem(made, self.issuer)


def identity(key, url, orig="33123456789", dest="33999999999", attest="A", iat=None, ppt="shaken", algorithm="ES256", origid=True, info=None, compact=False):
    """An Identity header's value."""
    claims = {"dest": {"tn": [dest]}, "iat": int(time.time()) if iat is None else iat, "orig": {"tn": orig}}
    if attest:
        claims["attest"] = attest
    if origid:
        claims["origid"] = "123e4567-e89b-12d3-a456-426655440000"
    headers = {"typ": "passport", "x5u": url} | ({"ppt": ppt} if ppt else {})
    if compact:
        # As RFC 8225 section 9 has it: names in order, no spaces.
        packed = lambda value: base64.urlsafe_b64encode(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).rstrip(b"=")  # noqa: E731
        signed = packed({"alg": algorithm, **headers}) + b"." + packed(claims)
        signature = jwt.algorithms.get_default_algorithms()[algorithm].sign(signed, key)
        token = ".." + base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    else:
        token = jwt.encode(dict(sorted(claims.items())), key, algorithm=algorithm, headers=headers)
    return f"{token};info=<{info or url}>;alg={algorithm}" + (f";ppt={ppt}" if ppt else "")


class Repository:
    """Where certificates are fetched; counts how often."""

    def __init__(self, **files):
        self.files, self.asked = dict(files), []
        repository = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                repository.asked.append((self.path, dict(self.headers)))
                body = repository.files.get(self.path.strip("/"))
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "application/pem-certificate-chain")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, file):
        return f"{self.origin}/{file}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def golden():
    """Tokens with their certificates and the verdict that each has to have, at one moment."""
    now = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.timezone.utc)
    at = int(now.timestamp())
    url = "https://certificates.example/1234.pem"
    authority, stranger = Authority(now=now), Authority("Nobody's CA", now=now)
    key, chain = authority.signer()
    rows = []

    def row(what, verdict, value=None, found=chain, date=None, **more):
        values = [identity(key, url, iat=at, **more)] if value is None else value
        rows.append({"name": what, "identities": values, "chain": found.decode("latin-1"), "date_s": date, "verdict": verdict})

    def signed(what, verdict, by, **more):
        row(what, verdict, [identity(by[0], url, iat=at, **more)], by[1])

    for letter in "ABC":
        row(f"attestation {letter}", letter, attest=letter)
    row("no Identity header", "missing", [])
    row("an extension that says something else", "missing", [identity(key, url, iat=at, ppt="div")])
    row("two headers, the shaken one counts", "B", [identity(key, url, iat=at, ppt=None, attest=None), identity(key, url, iat=at, attest="B")])
    row("a token that is no shaken one", "valid", attest=None, origid=False, ppt=None)
    row("compact form", "valid", date=at, attest=None, origid=False, ppt=None, compact=True)
    row("compact form without a Date", "stale", attest=None, origid=False, ppt=None, compact=True)
    row("compact form of another moment", "signature", date=at + 1, attest=None, origid=False, ppt=None, compact=True)
    row("shaken in compact form", "malformed", date=at, compact=True)
    row("a minute old", "A", [identity(key, url, iat=at - 60)])
    row("older than a minute", "stale", [identity(key, url, iat=at - 61)])
    row("from the future", "stale", [identity(key, url, iat=at + 61)])
    row("the caller in another spelling", "A", orig="+33 1 23-45.67(89)")
    row("of another caller", "caller", orig="33123456780")
    row("for another number", "called", dest="33999999990")
    row("without attestation", "malformed", attest=None)
    row("an attestation that there is not", "malformed", attest="D")
    row("without origid", "malformed", origid=False)
    row("another address outside than inside", "malformed", info="https://elsewhere.example/cert.pem")
    row("no token", "malformed", ["nonsense;info=<https://x.example>;alg=ES256;ppt=shaken"])
    row("without info", "malformed", [identity(key, url, iat=at).split(";")[0]])
    head, claims, signature = identity(key, url, iat=at).split(";")[0].split(".")
    parameters = f";info=<{url}>;alg=ES256;ppt=shaken"
    other = identity(key, url, iat=at, attest="C").split(";")[0].split(".")[1]
    row("claims that were changed", "signature", [f"{head}.{other}.{signature}{parameters}"])
    cut = base64.urlsafe_b64encode(base64.urlsafe_b64decode(signature + "==")[:60]).decode()
    row("a signature that was cut", "signature", [f"{head}.{claims}.{cut}{parameters}"])
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "passport", "ppt": "shaken", "x5u": url}).encode()).rstrip(b"=").decode()
    row("no algorithm", "algorithm", [f"{none}.{claims}.{signature}{parameters}"])
    wide = authority.signer(curve=ec.SECP384R1())
    signed("a longer key", "algorithm", wide, algorithm="ES384")
    row("the certificate of a longer key", "certificate", found=wide[1])
    row("the certificate of another signer", "signature", found=authority.signer()[1])
    row("no certificate", "certificate", found=b"<html>not found</html>")
    signed("a certificate that has expired", "expired", authority.signer(begins=-3 * DAY, ends=-DAY))
    signed("a certificate that is not valid yet", "expired", authority.signer(begins=DAY))
    signed("an authority that nobody trusts", "untrusted", stranger.signer())
    row("a certificate without its issuer", "untrusted", found=chain[: chain.index(b"-----BEGIN", 30)])
    return {"now_s": at, "from": "+33123456789", "to": "0999999999", "country": "33", "authorities": pem(authority.root).decode(), "rows": rows}


if __name__ == "__main__":
    print(json.dumps(golden(), indent=1))
