"""transship moves container images between registries, archives and folders."""

from pluggy import HookimplMarker

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl"]

hookimpl = HookimplMarker("transship")
