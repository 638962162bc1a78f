"""Nothing that was sent in confidence is shown, however a server repeats it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import threading
from urllib.parse import quote, quote_plus

import pytest

from transship.errors import TransportError
from transship.image.reference import DockerReference
from transship.plugin.credentials import Credentials
from transship.testing.images import oci_image
from transship.testing.registry import Fault
from transship_docker.access import RegistryAccess
from transship_docker.secrecy import Secrets

NAME, PASSWORD = "user", 'tröub4dor & "3"/x'
USER = Credentials(NAME, PASSWORD)
BASIC = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
APP = "/v2/library/app/*"


@pytest.fixture
def shown() -> list[str]:
    """All that the user saw: errors, warnings, debug lines."""
    return []


@pytest.fixture
def run(make_registry, make_context, warnings_shown, shown):
    """Asks a registry with ``faults`` for a manifest, and notes what is shown."""

    def run(*faults, auth="basic", credentials=USER):
        registry = make_registry(auth=auth, users={"user": PASSWORD}, identity_tokens={"identity+token": "user"})
        registry.put_image("library/app", "v1", oci_image())
        for fault in faults:
            registry.add_fault(fault)
        context = dataclasses.replace(make_context(credentials=credentials), debug=shown.append)
        image = DockerReference(registry.host, "library/app")
        with contextlib.closing(RegistryAccess.load(context).client(image, "pull")) as client:
            try:
                client.request("GET", "/v2/library/app/manifests/v1", headers={"Accept": "*/*"})
            except TransportError as error:
                shown.extend([str(error), repr(error), str(vars(error))])
        shown.extend(warnings_shown)
        assert any("…" in text for text in shown)
        return registry

    return run


def parts_of(secret):
    """``secret`` and its beginnings, in the forms that servers may give it."""
    forms = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    return {form[:length] for form in forms for length in range(6, len(form) + 1)}


def assert_nothing_of(secret, shown):
    assert not [part for part in parts_of(secret) for text in shown if part in text], shown


ECHOES = {
    "in the message": json.dumps({"errors": [{"code": "DENIED", "message": f"you are {BASIC}, {PASSWORD}"}]}),
    "with escapes": json.dumps({"errors": [{"code": "DENIED", "message": BASIC + PASSWORD}]}).replace("d", "\\u0064"),
    "as the code": json.dumps({"errors": [{"code": f"{BASIC} {PASSWORD}"}]}),
    "where the text is cut": f"Bad request. Headers: Authorization: Basic {BASIC}",
    "where a long text is cut": json.dumps({"errors": [{"code": "DENIED", "message": "x" * 985 + BASIC}]}),
    "in an address": f"GET /?password={quote_plus(PASSWORD)} {quote(BASIC, safe='')}",
}


@pytest.mark.parametrize("body", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("status", [400, 401])
def test_refusals_repeat_nothing(run, shown, body, status):
    run(Fault(APP, status=status, body=body.encode()))
    for secret in (BASIC, PASSWORD):
        assert_nothing_of(secret, shown)


def test_token_services_are_not_repeated_either(run, shown):
    body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "refresh_token=identity%2Btoken"}]})
    credentials = Credentials("", "", "identity+token")
    registry = run(Fault("/token", status=401, body=body.encode()), auth="bearer", credentials=credentials)
    assert "POST" in [request.method for request in registry.requests]
    assert_nothing_of("identity+token", shown)


def test_warnings_repeat_nothing(run, shown):
    run(Fault(APP, extra_headers=(("Warning", f'299 - "{BASIC}"'),)))
    assert_nothing_of(BASIC, shown)


@pytest.mark.parametrize("how", [{}, {"status": 500}, {"cut_after": 3}, {"drop_response": True}])
def test_redirects_repeat_nothing(run, shown, how):
    there = f"/v2/library/app/manifests/{quote(BASIC, safe='')}"
    run(
        Fault("/v2/library/app/manifests/v1", redirect=f"{{url}}{there}", times=1),
        Fault("/v2/library/app/manifests/*", **how),
    )
    assert_nothing_of(BASIC, shown)


@pytest.mark.parametrize("target", ["ftp://host/", "http://[::1"])
def test_redirects_that_lead_nowhere_repeat_nothing(run, shown, target):
    run(
        Fault("/v2/library/app/manifests/v1", redirect=f"{{url}}/v2/library/app/{BASIC}", times=1),
        Fault(APP, redirect=target),
    )
    assert_nothing_of(BASIC, shown)


@pytest.mark.parametrize("token", ["secret-token\n", "secret-token\r", "secret\0token", " secret-token"])
def test_token_that_no_header_can_hold_is_not_shown(make_registry, make_context, token):
    shown = []
    registry = make_registry(auth="bearer", users={"user": PASSWORD})
    context = make_context(credentials=Credentials(registry_token=token))
    context = dataclasses.replace(context, debug=shown.append)
    client = RegistryAccess.load(context).client(DockerReference(registry.host, "library/app"), "pull")
    with contextlib.closing(client), pytest.raises(TransportError, match=r"header|refused|denied|auth") as caught:
        client.request("GET", "/v2/library/app/manifests/v1")
    assert "secret" not in "".join([*shown, str(caught.value)])


def test_what_is_hidden_first_is_the_longest():
    secrets = Secrets()
    secrets.add("token", "token-and-more")
    assert secrets.hide("a token-and-more, a token") == "a …, a …"


def test_what_is_no_secret_stays_legible():
    secrets = Secrets()
    secrets.add("", "a")
    assert secrets.hide("https://example.com/a") == "https://example.com/a"


def test_bytes_that_are_no_text_are_hidden_too():
    secrets = Secrets()
    secrets.add("pässword")
    assert secrets.hide_bytes(b"\xff\xfe " + "pässword".encode()) == b"\xff\xfe " + "…".encode()


def test_threads_lose_no_secret():
    secrets = Secrets()
    threads = [threading.Thread(target=secrets.add, args=[f"secret-{number:03}"]) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "secret" not in secrets.hide(" ".join(f"secret-{number:03}" for number in range(50)))
