"""Hides the settings of this machine."""

from __future__ import annotations

import pytest

_SETTINGS = ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_this_machine(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(home))
        environment.setenv("XDG_CACHE_HOME", str(home / "cache"))
        for name in (*_SETTINGS, *_PROXIES, *map(str.lower, _PROXIES)):
            environment.delenv(name, raising=False)
        yield
