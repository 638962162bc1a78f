"""The methods that values have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transship.cli.gotemplate.errors import Budget, CallError
from transship.cli.gotemplate.functions import Function
from transship.cli.gotemplate.gotime import MONTHS, WEEKDAYS, GoTime
from transship.cli.gotemplate.values import GoInt, GoPointer, GoTyped, Value, type_name


def find_method(receiver: Value, name: str) -> Function | None:
    """The method ``name`` of ``receiver`` as a function of the remaining arguments."""
    if isinstance(receiver, GoPointer):
        method = _METHODS.get(receiver.target_type, {}).get(name)
        if method is not None and receiver.target is None:
            return method._replace(call=_refuse_nil(receiver.target_type, name))
        return method and _bound(method, receiver.target)
    method = _METHODS.get(type_name(receiver), {}).get(name)
    return method and _bound(method, receiver)


def _bound(method: Function, receiver: Value) -> Function:
    return method._replace(call=lambda _, *arguments: method.call(receiver, *arguments))


def _refuse_nil(target_type: str, name: str) -> Callable[..., Value]:
    short = target_type.rpartition(".")[2]

    def refuse(_: Budget, *__: Value) -> Value:
        raise CallError(f"value method {target_type}.{name} called using nil *{short} pointer")

    return refuse


def _method(call: Callable[[Any], Value]) -> Function:
    return Function(call, ())


def _month(time: GoTime) -> Value:
    return GoInt("time.Month", time.local.month, MONTHS[time.local.month - 1])


def _weekday(time: GoTime) -> Value:
    return GoInt("time.Weekday", time.weekday, WEEKDAYS[time.weekday])


def _utc(time: GoTime) -> Value:
    try:
        return time.utc()
    except ValueError as error:
        raise CallError(str(error)) from None


def _local(time: GoTime) -> Value:
    try:
        return time.in_machine_zone()
    except ValueError as error:
        raise CallError(str(error)) from None


def _is_zero(time: GoTime) -> Value:
    return time.unix_nano == -62135596800 * 1_000_000_000


def _encoded(digest: str) -> Value:
    return str(digest).partition(":")[2]


_SEVERAL = Function(lambda _: None, (), results=3)

_TIME = {
    "Year": _method(lambda time: time.local.year),
    "Month": _method(_month),
    "Day": _method(lambda time: time.local.day),
    "Hour": _method(lambda time: time.local.hour),
    "Minute": _method(lambda time: time.local.minute),
    "Second": _method(lambda time: time.local.second),
    "Nanosecond": _method(lambda time: time.nanosecond),
    "Weekday": _method(_weekday),
    "YearDay": _method(lambda time: time.year_day),
    "Unix": _method(lambda time: GoInt("int64", time.unix)),
    "UnixMilli": _method(lambda time: GoInt("int64", time.unix_nano // 1_000_000)),
    "UnixMicro": _method(lambda time: GoInt("int64", time.unix_nano // 1_000)),
    "UnixNano": _method(lambda time: GoInt("int64", time.unix_nano)),
    "Format": Function(lambda time, layout: time.format(layout), ("string",)),
    "String": _method(str),
    "UTC": _method(_utc),
    "Local": _method(_local),
    "IsZero": _method(_is_zero),
    "Date": _SEVERAL,
    "Clock": _SEVERAL,
    "ISOWeek": _SEVERAL._replace(results=2),
    "Zone": _SEVERAL._replace(results=2),
}

_METHODS: dict[str, dict[str, Function]] = {
    "time.Time": _TIME,
    "time.Month": {"String": _method(lambda month: month.text)},
    "time.Weekday": {"String": _method(lambda weekday: weekday.text)},
    "digest.Digest": {
        "Algorithm": _method(lambda digest: GoTyped("digest.Algorithm", digest.partition(":")[0])),
        "Encoded": _method(_encoded),
        "Hex": _method(_encoded),
        "String": _method(str),
        "Validate": _method(lambda digest: None),
    },
    "digest.Algorithm": {"String": _method(str)},
}
