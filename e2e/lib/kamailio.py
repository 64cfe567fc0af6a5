"""Kamailio as the operator's registrar and proxy: a SIP server that we did not write. Its configuration is e2e/kamailio/kamailio.cfg."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from .allo import Process, wait_for
from .ports import free_port

CONFIGURATION = pathlib.Path(__file__).resolve().parents[1] / "kamailio" / "kamailio.cfg"
USER, PASSWORD, DOMAIN = "accueil", "correct-horse", "allo.test"


def certificate(folder):
    """A test authority and a server certificate for 127.0.0.1: paths of (authority, certificate, key)."""
    folder = pathlib.Path(folder)
    ca, ca_key, key, request, signed, names = (folder / n for n in ("ca.pem", "ca.key", "server.key", "server.csr", "server.pem", "names"))
    if signed.exists():
        return ca, signed, key
    names.write_text(f"subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:{DOMAIN}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", 2, "-subj", "/CN=Test authority",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", *curve, "-keyout", key, "-out", request, "-subj", f"/CN={DOMAIN}")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", signed, "-days", 2, "-extfile", names)
    return ca, signed, key


class Ports:
    """Ports that stay the same when the registrar is started again."""

    def __init__(self):
        self.udp, self.tcp, self.tls = free_port(socket.SOCK_DGRAM), free_port(), free_port()

    def of(self, transport):
        return {"udp": self.udp, "tcp": self.tcp, "tls": self.tls}[transport]


class Kamailio(Process):
    def __init__(
        self, folder, name="kamailio", ports=None, algorithm="MD5", expires_s=60, tls=False, relay=None, configuration=CONFIGURATION, host="127.0.0.1"
    ):  # fmt: skip
        """`relay` is the control port of the rtpengine that carries the audio."""
        self.ports = ports or Ports()
        home = pathlib.Path(folder) / name
        home.mkdir(parents=True)
        # A socket's path must be short.
        self.run_dir = pathlib.Path(tempfile.mkdtemp(prefix="allo-k"))
        text = configuration.read_text().replace("127.0.0.1", host)
        if tls:
            self.ca, signed, key = certificate(folder)
            (self.run_dir / "tls.cfg").write_text(
                f"[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\nprivate_key = {key}\ncertificate = {signed}\n"
                "[client:default]\nmethod = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\n"
            )
            text = text.replace("#!KAMAILIO", "#!KAMAILIO\n#!define WITH_TLS")
        if relay:
            text = text.replace("#!KAMAILIO", "#!KAMAILIO\n#!define WITH_RELAY")
        values = {
            "RELAY_PORT": relay or 0,
            "UDP_PORT": self.ports.udp, "TCP_PORT": self.ports.tcp, "TLS_PORT": self.ports.tls, "ALGORITHM": algorithm, "PASSWORD": PASSWORD,
            "RUN_DIR": self.run_dir, "EXPIRES_S": expires_s,
        }
        for key, value in values.items():
            text = re.sub(rf"\b{key}\b", str(value), text)
        configuration = home / "kamailio.cfg"
        configuration.write_text(text)
        super().__init__(
            ["kamailio", "-f", configuration, "-DD", "-E", "-e", "-Y", self.run_dir, "-w", home, "-m", "32", "-M", "4", "-P", home / "pid"], folder, name
        )
        try:
            wait_for("Kamailio", self._answers, 20, 0.1)
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.log()[-3000:]}") from None

    def _answers(self):
        if not self.alive():
            raise AssertionError(f"Kamailio ended: {self.log()[-3000:]}")
        return self.rpc("core.uptime").returncode == 0

    def rpc(self, *command):
        return subprocess.run(
            ["kamcmd", "-s", f"unix:{self.run_dir}/ctl", *command], capture_output=True, text=True, timeout=10
        )

    def change_password(self, password):
        """The operator takes this password from now on, and no other."""
        done = self.rpc("pv.shvSet", "password", "str", password)
        assert done.returncode == 0, done

    def knows(self, user, port, contact=None):
        """Calls to this user go to this port of the machine, or to this contact, without a registration."""
        done = self.rpc("ul.add", "location", f"s:{user}", contact or f"sip:{user}@127.0.0.1:{port}", "3600", "1.0", "s:", "0", "0", "0")
        assert done.returncode == 0 and "error" not in done.stdout, done

    def bindings(self):
        """Contact addresses that are registered now."""
        return re.findall(r"Address: (\S+)", self.rpc("ul.dump").stdout)

    def seen(self, method):
        """The requests of a method, in the order of arrival: [(transport, its log line)]."""
        return [(m.group(1), m.group(0)) for m in re.finditer(rf"SEEN {method} from (\w+):.*", self.log())]

    def stop(self, *arguments, **options):
        # Some of its processes now and then outlive the first one, and hold its ports.
        first = self.process.pid
        children = pathlib.Path(f"/proc/{first}/task/{first}/children")
        workers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        status = super().stop(*arguments, **options)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        return status
