"""Parameter files: how to sign, in YAML (containers-sigstore-signing-params.yaml(5))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transship.errors import SignatureError

if TYPE_CHECKING:
    import yaml

STATIC_TOKEN = "staticToken"  # noqa: S105 - the name of a mode
DEVICE_GRANT = "deviceGrant"
INTERACTIVE = "interactive"

_MODES = (STATIC_TOKEN, DEVICE_GRANT, INTERACTIVE)
_LIMIT = 64 << 10
_KEYS = ("privateKeyFile", "privateKeyPassphraseFile", "rekorURL")
_FULCIO = "fulcio"
_FULCIO_KEYS = ("fulcioURL", "oidcMode", "oidcIDToken", "oidcIssuerURL", "oidcClientID", "oidcClientSecret")


@dataclass(frozen=True, slots=True)
class FulcioParameters:
    """Which CA makes a certificate, and who vouches for the user; ``""`` for what the mode does not need."""

    url: str
    mode: str
    id_token: str = field(repr=False)
    issuer_url: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What signs: a private key or a certificate by Fulcio, one of the two. ``rekor_url`` is ``""`` for no log.

    ``passphrase_file`` is ``""`` where the user is asked.
    """

    private_key_file: str
    passphrase_file: str
    fulcio: FulcioParameters | None
    rekor_url: str


def read_parameters(path: str) -> Parameters:
    """Read a parameter file; raise ``SignatureError`` for anything unknown in it."""
    try:
        with open(path, "rb") as file:  # what a user names may be a pipe
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise SignatureError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    try:
        return _parameters(data)
    except SignatureError as error:
        raise SignatureError(f'setting up signing using parameter file "{path}": {error}') from None


def _parameters(data: bytes) -> Parameters:
    if len(data) > _LIMIT:
        raise SignatureError(f"it is longer than {_LIMIT} bytes")
    texts, fulcio = _texts(_document(data), "the file", _KEYS, _FULCIO)
    key = texts["privateKeyFile"]
    parameters = Parameters(key, texts["privateKeyPassphraseFile"], _fulcio(fulcio), texts["rekorURL"])
    if key and parameters.fulcio:
        raise SignatureError("multiple private key sources specified when preparing to create sigstore signatures")
    if not key and not parameters.fulcio:
        raise SignatureError(
            "no private key source provided (neither a private key nor Fulcio) "
            "when preparing to create sigstore signatures"
        )
    return parameters


def _fulcio(node: yaml.Node | None) -> FulcioParameters | None:
    if node is None:
        return None
    texts, _ = _texts(node, _FULCIO, _FULCIO_KEYS)
    url, mode, token, issuer, client_id, client_secret = (texts[name] for name in _FULCIO_KEYS)
    if not url:
        raise SignatureError("missing fulcioURL")
    if not mode:
        raise SignatureError("missing oidcMode")
    if mode not in _MODES:
        raise SignatureError(f'unknown oidcMode value "{mode}"')
    if mode == STATIC_TOKEN and not token:
        raise SignatureError("missing oidcToken")
    if mode != STATIC_TOKEN and not issuer:
        raise SignatureError("missing oidcIssuerURL")
    return FulcioParameters(url, mode, token, issuer, client_id, client_secret)


def _document(data: bytes) -> yaml.Node | None:
    import yaml

    try:
        node: yaml.Node | None = yaml.compose(data, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        # what is in the line is not shown: it may be a secret
        raise SignatureError(f"invalid YAML{f' at line {mark.line + 1}' if mark else ''}") from None
    return node


def _texts(
    node: yaml.Node | None, what: str, names: tuple[str, ...], nested: str = ""
) -> tuple[Mapping[str, str], yaml.Node | None]:
    """The values of ``names`` in a mapping, ``""`` for what is not there, and the node called ``nested``."""
    import yaml

    texts, inner, seen = dict.fromkeys(names, ""), None, set()
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise SignatureError(f"{what} must be a mapping")
    for key, value in node.value if node is not None else ():
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in (*names, nested) or not name:
            raise SignatureError(f"unknown key at line {key.start_mark.line + 1}")
        if name in seen:
            raise SignatureError(f'duplicate key "{name}" at line {key.start_mark.line + 1}')
        seen.add(name)
        if name == nested:
            inner = value
        elif isinstance(value, yaml.ScalarNode) and _is_text(value.value):
            texts[name] = "" if value.tag == "tag:yaml.org,2002:null" else value.value
        else:
            raise SignatureError(f'"{name}" must be a text')
    return texts, inner


def _is_text(value: str) -> bool:
    """Whether it has no half of a surrogate pair, which no file name, address or form can hold."""
    return not any("\ud800" <= char <= "\udfff" for char in value)
