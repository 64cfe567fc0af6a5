"""Encryption at rest. The judge is Node's own crypto, run both ways on random values."""

import base64
import os
import random
import secrets
import signal
import sqlite3
import subprocess
import time
import uuid

import pytest
from lib.allo import BINARY, ROOT, clean_environment

NODE = ROOT / "crates" / "store" / "tests" / "vectors" / "node-secrets.mjs"
VECTORS = NODE.with_suffix(".json")


def node(*arguments, text=""):
    done = subprocess.run(["node", NODE, *arguments], input=text.encode(), capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def environment(folder, key=None):
    return clean_environment(ALLO_SERVER_DATA_DIR=folder / "data", ALLO_SERVER_LANGUAGE="en", ENCRYPTION_KEY=key)


def allo(folder, *arguments, key=None, text=""):
    return subprocess.run(
        [BINARY, "secrets", *arguments], input=text.encode(), capture_output=True, timeout=60, env=environment(folder, key), cwd=folder
    )


def printed(done):
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def a_password():
    alphabet = "abcXYZ0189:;/+= éàü€🔑\t'\"\\"
    return "".join(random.choice(alphabet) for _ in range(random.randint(1, 60)))


def test_the_committed_vectors_are_what_node_makes():
    assert node("vectors") == VECTORS.read_text()


def test_node_and_allo_read_each_other(folder):
    (folder / "data").mkdir()
    for _ in range(8):
        key, line, password = secrets.token_hex(32), str(uuid.uuid4()), a_password()
        sealed = printed(allo(folder, "encrypt", "--line", line, key=key, text=password + "\n")).strip()
        assert node("decrypt", key, line, text=sealed) == password
        assert printed(allo(folder, "decrypt", "--line", line, key=key, text=node("encrypt", key, line, text=password))) == password
        # Another row, another key, a clear value: refused, and nothing of it on standard output.
        for line_of, key_of, value in ((str(uuid.uuid4()), key, sealed), (line, secrets.token_hex(32), sealed), (line, key, password)):
            refused = allo(folder, "decrypt", "--line", line_of, key=key_of, text=value)
            assert (refused.returncode, refused.stdout) == (3, b"")
            # A short one may stand in any sentence.
            assert len(password) < 8 or password not in refused.stderr.decode()


def test_generated_keys_are_keys(folder):
    keys = {printed(allo(folder, "generate")).strip() for _ in range(3)}
    assert len(keys) == 3 and all(len(bytes.fromhex(key)) == 32 for key in keys)


def test_a_server_refuses_a_wrong_or_missing_key(folder, server, standin):
    """A first start makes the key file; later ones need it, unread by others."""
    running = server(standin().url)
    running.stop()
    key_file = running.data / "encryption-key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    key = key_file.read_text()

    def refused(**extra):
        done = subprocess.run([BINARY, "serve"], env=running.environment | extra, cwd=folder, capture_output=True, text=True, timeout=30)
        assert done.returncode == 3, done.stderr
        return done.stderr

    assert "not the one of this database" in refused(ENCRYPTION_KEY=secrets.token_hex(32))
    assert "n'est pas celle" in refused(ENCRYPTION_KEY=secrets.token_hex(32), ALLO_SERVER_LANGUAGE="fr")
    assert "64 hexadecimal digits" in refused(ENCRYPTION_KEY="short")
    key_file.chmod(0o640)
    assert "chmod 600" in refused()
    key_file.unlink()
    assert "no key" in refused()
    assert not key_file.exists()
    key_file.write_text(key)
    key_file.chmod(0o600)
    server(standin().url, server_data_dir=running.data)


def lines(database, count):
    """Accounts with clear passwords, as a statement by hand leaves them."""
    with sqlite3.connect(database) as db:
        passwords = {str(uuid.uuid4()): a_password() for _ in range(count)}
        for number, (line, password) in enumerate(passwords.items()):
            db.execute(
                "INSERT INTO sip_accounts (id, label, trunk_uri, password, is_active) VALUES (?, ?, 'sip:a@b', ?, 0)",
                (line, f"+331000{number:05}", password),
            )
    return passwords


def stored(database):
    with sqlite3.connect(database) as db:
        return dict(db.execute("SELECT id, password FROM sip_accounts"))


@pytest.mark.parametrize("by_setting", [False, True])
def test_an_exchange_of_keys_killed_anywhere_loses_nothing(folder, server, standin, by_setting):
    key = secrets.token_hex(32) if by_setting else None
    data, database = folder / "data", folder / "data" / "allo.db"
    running = server(standin().url, server_data_dir=data)
    running.stop()
    if by_setting:
        # The key that the first start made becomes a setting.
        key = (data / "encryption-key").read_text().strip()
        (data / "encryption-key").unlink()
    passwords = lines(database, 16)
    printed(allo(folder, "encrypt", "--line", "any", key=key, text="x"))
    assert all(len(base64.b64decode(value.split(":")[0])) == 12 for value in stored(database).values()), "migrated on start"

    def current_key():
        if not by_setting:
            return (data / "encryption-key").read_text().strip()
        # The operator follows what the program says.
        following = data / "encryption-key.new"
        done = allo(folder, "encrypt", "--line", "any", key=key, text="x")
        assert done.returncode == 0, done.stderr
        return following.read_text().strip() if b"still the key of before" in done.stderr else key

    for number in range(int(os.environ.get("ALLO_ROTATION_KILLS", "3"))):
        rotation = subprocess.Popen([BINARY, "secrets", "rotate"], env=environment(folder, key), cwd=folder, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + random.uniform(0.05, 2.5)
        while rotation.poll() is None and time.monotonic() < deadline:
            try:
                rotation.wait(0.01)
            except subprocess.TimeoutExpired:
                pass
        rotation.send_signal(signal.SIGKILL)
        rotation.wait(5)
        # The next start finishes what was begun.
        printed(allo(folder, "encrypt", "--line", "any", key=key, text="x"))
        key_now = current_key()
        for line, value in stored(database).items():
            assert node("decrypt", key_now, line, text=value) == passwords[line], number
        if by_setting:
            key = key_now
    done = allo(folder, "rotate", key=key)
    assert done.returncode == 0 and b"encrypted anew" in done.stderr, done.stderr
