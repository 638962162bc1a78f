"""What a plugin implements: contracts, records, and the tools to fulfil them."""

HOOK_VERSION = 1
"""The version of the hook specifications. A plugin module may say ``transship_hook_version = 1``."""
