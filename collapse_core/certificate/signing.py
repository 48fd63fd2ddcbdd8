"""Signing a certificate, its page and the model that it is about, and finding what has changed since."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapse_core import errors
from collapse_core.certificate.making import model_files
from collapse_core.certificate.schema import FILE, PAGE, SIGNATURE
from collapse_core.errors import CollapseError
from collapse_core.runtime import files
from collapse_core.runtime.digests import file_digest
from collapse_core.runtime.layout import MODEL

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VERSION = "collapse-signature/1"


def signed_files(directory: Path) -> dict[str, str]:
    """SHA-256 by name of all that a signature is over."""
    found = {name: file_digest(directory / name) for name in (FILE, PAGE) if (directory / name).is_file()}
    return found | {f"{MODEL}/{name}": value for name, value in model_files(directory).items()}


def sign(directory: Path, key: "Ed25519PrivateKey") -> Path:
    """Write certificate.sig: the digests of all files, signed with Ed25519 (RFC 8032), and the public key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found = signed_files(directory)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    value = {
        "version": VERSION,
        "algorithm": "Ed25519",
        "public_key": base64.b64encode(public).decode(),
        "files": found,
        "signature": base64.b64encode(key.sign(_message(found))).decode(),
    }
    files.write_json(directory / SIGNATURE, value)
    return directory / SIGNATURE


def _message(found: Mapping[str, str]) -> bytes:
    """What is signed: the digests as JSON without spaces, in the order of their names."""
    value = {"version": VERSION, "files": dict(found)}
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def verify(directory: Path, trusted: "Ed25519PublicKey | None") -> list[str]:
    """What is wrong with a signed certificate, a sentence for each file; nothing if all is as it was signed.

    Args:
        directory: The run directory.
        trusted: The key that must have signed; None takes the one that the signature names.

    Raises:
        CollapseError: The certificate is not signed.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    path = directory / SIGNATURE
    signature = _read(path)
    try:
        raw = base64.b64decode(signature["public_key"], validate=True)
        known = dict(signature["files"])
        Ed25519PublicKey.from_public_bytes(raw).verify(
            base64.b64decode(signature["signature"], validate=True), _message(known)
        )
    except (InvalidSignature, LookupError, TypeError, ValueError, binascii.Error):
        return [f"{path}: the signature does not match the digests that it lists"]
    if trusted and trusted.public_bytes(Encoding.Raw, PublicFormat.Raw) != raw:
        return [f"{path}: it was signed with another key than the one given"]
    return _differences(directory, known, signed_files(directory))


def _differences(directory: Path, known: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    problems = [
        f"{directory / name}: {'has changed since it was signed' if name in now else 'is gone'}"
        for name, value in known.items()
        if now.get(name) != value
    ]
    return problems + [f"{directory / name}: was not signed" for name in now if name not in known]


def _read(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        raise CollapseError(
            f"{path.parent} has no {path.name}; sign its certificate with 'collapse certify ... --sign KEY'"
        )
    try:
        value = files.read_json(path)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


# --- keys ------------------------------------------------------------------------------------------


def read_private_key(path: Path, ask: Callable[[], str]) -> "Ed25519PrivateKey":
    """Read an Ed25519 key from a PEM file; it is never written anywhere.

    Args:
        path: The file, as `openssl genpkey -algorithm ed25519` makes it.
        ask: Asks for its password, where it has one.

    Raises:
        CollapseError: It cannot be read, or is another kind of key.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = _bytes(path)
    try:
        key = load_pem_private_key(text, None)
    except TypeError:
        try:
            key = load_pem_private_key(text, ask().encode())
        except ValueError:
            raise CollapseError(f"{path} cannot be opened with this password") from None
    except ValueError:
        raise _no_key(path, "private") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private")
    return key


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """Read an Ed25519 public key from a PEM file.

    Raises:
        CollapseError: It cannot be read, or is another kind of key.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_bytes(path))
    except ValueError:
        raise _no_key(path, "public") from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "public")
    return key


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.unreadable(path, error) from None


def _require_cryptography() -> None:
    if find_spec("cryptography") is None:
        raise errors.missing_extra("cryptography", "sign", "signing")


def _no_key(path: Path, kind: str) -> CollapseError:
    made = "openssl genpkey -algorithm ed25519 -out key.pem"
    made += " && openssl pkey -in key.pem -pubout -out public.pem" if kind == "public" else ""
    return CollapseError(f"{path} holds no {kind} Ed25519 key in PEM; make one with '{made}'")
