"""Lanes: four or eight float32 side by side, as values in Numba's kernels, which know none.

LLVM maps them to the vector registers that the machine has. Arrays are read and written through
flat views, at an index in elements; nothing checks it. Loads turn int16 into float32 on the way.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic as _untyped_intrinsic
from numba.extending import register_model

intrinsic: Any = _untyped_intrinsic  # what it makes is called with fewer arguments than written
_SUMS = ("reassoc", "contract", "arcp", "nsz")  # sums may be reordered, nan keeps its meaning
_FLOAT, _INT, _SHORT, _BYTE = ir.FloatType(), ir.IntType(32), ir.IntType(16), ir.IntType(8)


class Lanes(types.Type):
    """Numba's type of `n` float32 side by side."""

    def __init__(self, n: int) -> None:
        self.n = n
        super().__init__(f"Lanes({n})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, _vector(lanes.n))


def _vector(n: int, of: ir.Type = _FLOAT) -> ir.Type:
    return ir.VectorType(of, n)


def _all(value: float, n: int, of: ir.Type = _FLOAT) -> ir.Constant:
    return ir.Constant(_vector(n, of), [value] * n)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any, to: ir.Type) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), to.as_pointer())


def _call(builder: Any, name: str, result: ir.Type, *arguments: Any, **flags: Any) -> Any:
    kinds = [argument.type for argument in arguments]
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(result, kinds), f"llvm.{name}"
    )
    return builder.call(function, arguments, **flags)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return _call(builder, f"fmuladd.v{a.type.count}f32", a.type, a, b, c)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _same(builder: Any, number: Any) -> Any:
    nothing = ir.Constant(_vector(8), ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, nothing, _all(0, 8, _INT))


def _loader(n: int) -> Any:
    @intrinsic
    def load(typing, array, index):
        def generate(context, builder, signature, arguments):
            kind = signature.args[0]
            if kind.dtype == types.float32:
                at = _address(context, builder, kind, *arguments, _vector(n))
                return builder.load(at, align=4)
            at = _address(context, builder, kind, *arguments, _vector(n, _SHORT))
            return builder.sitofp(builder.load(at, align=2), _vector(n))

        return Lanes(n)(array, types.int64), generate

    return load


load4, load8 = _loader(4), _loader(8)


@intrinsic
def store(typing, array, index, lanes):
    """Write lanes to a flat array; into one of int16 rounded to the nearest."""

    def generate(context, builder, signature, arguments):
        kind, n = signature.args[0], signature.args[2].n
        array, index, value = arguments
        if kind.dtype == types.int16:
            near = _call(builder, f"rint.v{n}f32", _vector(n), value)
            value = builder.trunc(builder.fptosi(near, _vector(n, _INT)), _vector(n, _SHORT))
        at = _address(context, builder, kind, array, index, value.type)
        builder.store(value, at, align=2)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), generate


@intrinsic
def spread(typing, number):
    """Eight lanes with the same number."""

    def generate(context, builder, signature, arguments):
        return _same(builder, arguments[0])

    return Lanes(8)(types.float32), generate


@intrinsic
def repeat(typing, array, index):
    """Eight lanes with the same element of a flat array."""

    def generate(context, builder, signature, arguments):
        at = _address(context, builder, signature.args[0], *arguments, _FLOAT)
        return _same(builder, builder.load(at, align=4))

    return Lanes(8)(array, types.int64), generate


def _operator(operation: Any) -> Any:
    @intrinsic
    def operate(typing, a, b):
        def generate(context, builder, signature, arguments):
            return operation(builder, *arguments)

        return a(a, a), generate

    return operate


add = _operator(lambda builder, a, b: builder.fadd(a, b, flags=_SUMS))
subtract = _operator(lambda builder, a, b: builder.fsub(a, b, flags=_SUMS))
multiply = _operator(lambda builder, a, b: builder.fmul(a, b, flags=_SUMS))
larger = _operator(_larger)


@intrinsic
def multiply_add(typing, a, b, c):
    """a b + c, lane by lane."""

    def generate(context, builder, signature, arguments):
        return _multiply_add(builder, *arguments)

    return a(a, a, a), generate


@intrinsic
def total(typing, lanes):
    """The sum of the lanes."""

    def generate(context, builder, signature, arguments):
        name = f"vector.reduce.fadd.v{lanes.n}f32"
        zero = ir.Constant(_FLOAT, -0.0)
        return _call(builder, name, _FLOAT, zero, arguments[0], fastmath=("reassoc",))

    return types.float32(lanes), generate


@intrinsic
def largest(typing, lanes):
    """The largest of the lanes."""

    def generate(context, builder, signature, arguments):
        name = f"vector.reduce.fmax.v{lanes.n}f32"
        return _call(builder, name, _FLOAT, arguments[0], fastmath=("nnan",))

    return types.float32(lanes), generate


@intrinsic
def exp(typing, lanes):
    """eˣ lane by lane for x ≤ 0, to within 3e-7 of itself; 0 for what is below −87.

    x = k ln 2 + r: 2ᵏ goes into the exponent's bits, eʳ is its Taylor series, ln 2 is in two parts
    so that r keeps its digits.
    """

    def generate(context, builder, signature, arguments):
        n = lanes.n
        x = _larger(builder, arguments[0], _all(-87.0, n))
        scaled = builder.fmul(x, _all(1.4426950408889634, n))
        k = builder.fptosi(builder.fadd(scaled, _all(-0.5, n)), _vector(n, _INT))
        whole = builder.sitofp(k, _vector(n))
        r = _multiply_add(builder, whole, _all(-0.693145751953125, n), x)
        r = _multiply_add(builder, whole, _all(-1.428606765330187e-06, n), r)
        series = _all(1.0 / 720.0, n)
        for coefficient in (1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0):
            series = _multiply_add(builder, series, r, _all(coefficient, n))
        exponent = builder.shl(builder.add(k, _all(127, n, _INT)), _all(23, n, _INT))
        power = builder.fmul(series, builder.bitcast(exponent, _vector(n)))
        below = builder.fcmp_ordered("<", arguments[0], _all(-87.0, n))
        return builder.select(below, _all(0.0, n), power)

    return lanes(lanes), generate


@intrinsic
def prefetch(typing, array, index, beyond):
    """Have the cache line `beyond` bytes after an element fetched while other work goes on."""

    def generate(context, builder, signature, arguments):
        array, index, beyond = arguments
        element = _address(context, builder, signature.args[0], array, index, _BYTE)
        at = builder.gep(element, [beyond])
        read, keep, data = (ir.Constant(_INT, value) for value in (0, 3, 1))
        _call(builder, "prefetch.p0i8", ir.VoidType(), at, read, keep, data)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate
