"""Certificates of trunks by openssl: authorities with an issuer between them and what they sign, certificates that signed themselves."""

import pathlib
import subprocess

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=30).stdout


#: Of an issuer, so that what it signed may have expired.
LONG = ("-startdate", "20240101000000Z", "-enddate", "20400101000000Z")


class Certificate:
    """`pem` holds the certificate, its issuers and its key: what `ssl.load_cert_chain` and baresip's `sip_certificate` want."""

    def __init__(self, pem):
        self.pem = pem

    @property
    def fingerprint(self):
        """As people copy it: with `sha256 Fingerprint=` before it."""
        return openssl("x509", "-in", self.pem, "-noout", "-fingerprint", "-sha256").strip()

    @property
    def digits(self):
        return self.fingerprint.split("=")[1]


class Authority:
    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.count = 0
        (self.folder / "index").touch()
        # `openssl ca` for the dates, which `openssl x509` sets from now on only.
        (self.folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca=own\n[own]\nnew_certs_dir={self.folder}\ndatabase={self.folder}/index\nrand_serial=yes\ndefault_md=sha256\n"
            "policy=any\nunique_subject=no\n[any]\ncommonName=supplied\n"
        )
        is_authority = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
        self.root = self.folder / "root.pem"
        openssl("req", "-x509", *CURVE, "-keyout", self.folder / "root.key", "-out", self.root, "-days", 2, "-subj", f"/CN={name} root", *is_authority)
        self.issuer, key = self._signed("issuer", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n", self.root, self.folder / "root.key", LONG)
        self.key = key

    def _signed(self, name, extensions, by, by_key, dates=("-days", 2)):
        key, request, signed, wanted = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "crt", "ext"))
        wanted.write_text(extensions)
        openssl("req", *CURVE, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        openssl("ca", "-batch", "-notext", "-config", self.folder / "ca.cnf", "-cert", by, "-keyfile", by_key, "-in", request, "-out", signed, "-extfile", wanted, *dates)
        return signed, key

    def signs(self, names, dates=("-days", 2)):
        """A certificate with these alternative names, `DNS:…` or `URI:…`."""
        self.count += 1
        extensions = f"basicConstraints=CA:FALSE\nsubjectAltName={names}\nextendedKeyUsage=clientAuth\n"
        signed, key = self._signed(f"trunk{self.count}", extensions, self.issuer, self.key, dates)
        pem = self.folder / f"trunk{self.count}.pem"
        pem.write_text(signed.read_text() + self.issuer.read_text() + key.read_text())
        return Certificate(pem)


def self_signed(folder, name):
    certificate, key, pem = (pathlib.Path(folder) / f"{name}.{kind}" for kind in ("crt", "key", "pem"))
    openssl("req", "-x509", *CURVE, "-keyout", key, "-out", certificate, "-days", 2, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}.test")
    pem.write_text(certificate.read_text() + key.read_text())
    return Certificate(pem)
