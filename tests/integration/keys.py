"""Making a test repository quick to open: its key is wrapped anew with a scrypt that costs next to nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tests.integration.machine import Machine

N, R, P = 2, 8, 1


def cheapen(machine: Machine, repository: str, password: str) -> None:
    """Wrap every key below a repository's directory on the host anew (restic's design document, "Keys, Encryption and MAC")."""
    keys = f"{repository}/keys"
    for name in machine.run(["ls", keys]).stdout.split():
        key = json.loads(machine.read(f"{keys}/{name}"))
        if key["N"] == N:
            continue
        text = json.dumps(_rewrapped(key, password.encode()))
        new = hashlib.sha256(text.encode()).hexdigest()
        script = f"set -e; cd {keys}; cp -p {name} {new}; chmod u+w {new}; cat > {new}; chmod --reference={name} {new}; rm -f {name}"
        machine.run(["sh", "-c", script], stdin=text)


def _rewrapped(key: dict[str, Any], password: bytes) -> dict[str, Any]:
    data = base64.b64decode(key["data"])
    old = _derived(password, base64.b64decode(key["salt"]), key["N"], key["r"], key["p"])
    assert _code(old[32:48], old[48:], data[:16], data[16:-16]) == data[-16:], "the key is of another password"
    plain = _crypted(old[:32], data[:16], data[16:-16])
    salt, nonce = os.urandom(64), os.urandom(16)
    new = _derived(password, salt, N, R, P)
    sealed = _crypted(new[:32], nonce, plain)
    wrapped = nonce + sealed + _code(new[32:48], new[48:], nonce, sealed)
    return {**key, "N": N, "r": R, "p": P, "salt": base64.b64encode(salt).decode(), "data": base64.b64encode(wrapped).decode()}


def _derived(password: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=2**28, dklen=64)


def _crypted(key: bytes, nonce: bytes, text: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CTR(nonce)).encryptor()
    return cipher.update(text) + cipher.finalize()


def _code(k: bytes, r: bytes, nonce: bytes, text: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(k), modes.ECB()).encryptor()
    return Poly1305.generate_tag(r + cipher.update(nonce) + cipher.finalize(), text)
