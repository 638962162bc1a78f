"""The file that says what to sync, as Skopeo reads it (skopeo-sync(1)), with settings of our own in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from transship.errors import InvalidDigestError, InvalidReferenceError, TransshipError
from transship.image.digest import Digest
from transship.image.quoting import quoted
from transship.image.reference import DockerReference
from transship.plugin.credentials import Credentials
from transship.sync.settings import OwnSettings, SourceSettings, read_own_settings
from transship.sync.yaml_nodes import Node, YamlError, read_yaml
from transship.sync.yaml_values import YamlValues, on_line_of

OWN_KEY = "transship"
"""The key in a registry below which our own settings are; Skopeo does not look there."""


class SyncLog(Protocol):
    """Where is said what is left out, and why."""

    def warning(self, message: str, **fields: str) -> None:
        """Say what should be known."""

    def error(self, message: str, **fields: str) -> None:
        """Say what failed while the rest goes on."""


@dataclass(frozen=True, slots=True)
class RepositorySource:
    """Images of one repository: ``images`` as they are named, or, if there are none, the tags that are chosen.

    ``settings`` are those of the repository over those of its registry; what the command line says is wider.
    """

    repository: DockerReference
    images: tuple[DockerReference, ...] = ()
    settings: SourceSettings = field(default_factory=SourceSettings)


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """What to take from one registry.

    Where ``credentials`` or ``tls_verify`` are None, the command line decides; ``cert_dir`` decides also as ``""``.
    """

    registry: str
    repositories: tuple[RepositorySource, ...] = ()
    credentials: Credentials | None = None
    tls_verify: bool | None = None
    cert_dir: str = ""


def load_sync_document(data: bytes, origin: str, log: SyncLog) -> list[RegistrySource]:
    """Read such a file; ``origin`` is its name.

    What cannot be a repository, tag or digest is said to ``log`` and left out. Raises ``TransshipError`` for
    anything else that is wrong, expressions and constraints included, and ``UnsupportedError`` if a library that
    it needs is not installed.
    """
    values = YamlValues()
    try:
        document = read_yaml(data)
        sources = [
            _Registry(name, values, log).read(values.members(node))
            for name, node in values.members(document.root).items()
        ]
    except YamlError as error:
        raise TransshipError(f'Failed to unmarshal "{origin}": {error}') from None
    if document.has_more:
        log.warning("Only the first YAML document of the file is read", file=origin)
    return sources


class _Registry:
    def __init__(self, name: str, values: YamlValues, log: SyncLog) -> None:
        self._name = name
        self._values = values
        self._log = log

    def read(self, members: Mapping[str, Node]) -> RegistrySource:
        values = self._values
        named, by_regex, by_semver = (
            values.members(members.get(key)) for key in ("images", "images-by-tag-regex", "images-by-semver")
        )
        if not (named or by_regex or by_semver):
            self._log.warning("No images specified for registry", registry=self._name)
        own_node = members.get(OWN_KEY)
        own = read_own_settings(own_node, values)
        for name in own.repositories:
            if own_node and name not in {*named, *by_regex, *by_semver}:
                raise YamlError(f"line {own_node.line}: settings of {quoted(name)}, of which no images are specified")
        repositories = [
            *self._named(named, own),
            *self._chosen(by_regex, lambda text: SourceSettings(include=(text,)), own),
            *self._chosen(by_semver, _by_constraint, own),
        ]
        return RegistrySource(
            self._name,
            tuple(repositories),
            self._credentials(values.members(members.get("credentials"))),
            values.truth(members.get("tls-verify")),
            values.text(members.get("cert-dir")),
        )

    def _named(self, named: Mapping[str, Node], own: OwnSettings) -> Iterator[RepositorySource]:
        for name, node in named.items():
            texts = self._values.texts(node)
            repository = self._repository(name)
            if repository is None:
                continue
            images = tuple(image for text in texts if (image := self._image(repository, text)))
            if images or not texts:
                yield RepositorySource(repository, images, own.of(name))
            else:
                self._log.warning("No refs to sync found", repo=name, registry=self._name)

    def _chosen(
        self, choices: Mapping[str, Node], settings_of: Callable[[str], SourceSettings], own: OwnSettings
    ) -> Iterator[RepositorySource]:
        for name, node in choices.items():
            with on_line_of(node):
                settings = settings_of(self._values.text(node)).over(own.of(name))
                settings.selection  # noqa: B018 - raises for what makes no sense
            repository = self._repository(name)
            if repository:
                yield RepositorySource(repository, (), settings)

    def _repository(self, name: str) -> DockerReference | None:
        try:
            reference = DockerReference.parse(f"{self._name}/{name}")
            if reference.tag or reference.digest:
                raise InvalidReferenceError("input names a reference, not a repository")
        except InvalidReferenceError as error:
            self._log.error("Error parsing repository name, skipping", repo=name, registry=self._name)
            self._log.error(str(error))
            return None
        return reference

    def _image(self, repository: DockerReference, text: str) -> DockerReference | None:
        try:
            return replace(repository, digest=Digest.parse(text))
        except InvalidDigestError:
            pass
        try:
            if text:
                return replace(repository, tag=text)
        except InvalidReferenceError:
            pass
        self._log.error("Error parsing ref, skipping", ref=text)
        self._log.error("invalid tag format")
        return None

    def _credentials(self, members: Mapping[str, Node]) -> Credentials | None:
        words = [self._values.text(members.get(key)) for key in ("username", "password", "identitytoken")]
        return Credentials(*words) if any(words) else None


def _by_constraint(text: str) -> SourceSettings:
    if not text:  # as a setting it would say: any version
        raise TransshipError('improper constraint: ""')
    return SourceSettings(semver=text)
