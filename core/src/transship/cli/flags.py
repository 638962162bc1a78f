"""Flags of the program's own commands; plugins' commands have the very same, so they live in the plugin room."""

from __future__ import annotations

from transship.plugin.command import (
    DURATION,
    GO_BOOL,
    GO_INT,
    Duration,
    Flag,
    FlagParser,
    GoBool,
    GoCommand,
    GoInt,
    UsageError,
    Value,
    is_boolean,
    split_list,
)

__all__ = [
    "DURATION",
    "GO_BOOL",
    "GO_INT",
    "Duration",
    "Flag",
    "FlagParser",
    "GoBool",
    "GoCommand",
    "GoInt",
    "UsageError",
    "Value",
    "is_boolean",
    "split_list",
]
