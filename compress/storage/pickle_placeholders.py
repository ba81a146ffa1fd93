"""Placeholders for the objects in an untrusted pickle: tensors whose data is read later, and inert objects."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

DIMENSIONS = 64
"""Of a tensor, torch's own limit."""
COPIED_LIMIT = 1_000_000
"""Entries of dictionaries that a file gives as arguments: the same ones could be copied again and again."""
DTYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexDouble": torch.complex128, "ComplexFloat": torch.complex64, "Untyped": torch.uint8,
}  # fmt: skip
ReadNumbers = Callable[[str, int], bytes]
"""The bytes of a storage, by its key and their count."""


class Sealed(type):
    """A class that a pickle cannot change."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise pickle.UnpicklingError(f"it changes {cls.__name__}")


class Inert(metaclass=Sealed):
    """A placeholder for any other object. It can be built, called and filled, and only stores its contents."""

    __slots__ = ("arguments", "content", "state")
    arguments: tuple[object, ...]
    content: dict[object, object]
    """What it was filled with, where it is a dictionary."""
    state: object

    def __new__(cls, *arguments: object, **_: object) -> Inert:
        """Accept any arguments."""
        instance = object.__new__(cls)
        instance.arguments, instance.content, instance.state = arguments, {}, None
        return instance

    def __init__(self, *_: object, **__: object) -> None:
        """Ignore the arguments."""

    def __call__(self, *_: object, **__: object) -> Inert:
        """Return the placeholder itself: no function that a file names is called."""
        return self

    def __setstate__(self, state: object) -> None:
        """Hold what a pickle says of the object."""
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        """Hold an entry."""
        self.content[key] = value

    def append(self, _: object) -> None:
        """Discard items: lists of unknown types are not read."""

    add = extend = append


class Fixed:
    """An object that a pickle cannot change."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Refused."""
        raise pickle.UnpicklingError(f"it changes a {type(self).__name__}")


class Named(Fixed):
    """A type that a file names; it cannot be called or made."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def dtype(self) -> torch.dtype | None:
        """Of a storage's type, or the number format itself."""
        last = self.name.rpartition(".")[2]
        dtype = DTYPES.get(last.removesuffix("Storage")) if last.endswith("Storage") else getattr(torch, last, None)
        return dtype if isinstance(dtype, torch.dtype) else None


class Call(Fixed):
    """A function that a file may call."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """The placeholder for the function's result."""
        return self._function(*arguments)


class Storage(Fixed):
    """The data of tensors, elsewhere in the file."""

    __slots__ = ("_held", "_read", "count", "dtype", "key")

    def __init__(self, key: str, dtype: torch.dtype, count: int, read: ReadNumbers) -> None:
        self.key, self.dtype, self.count, self._read, self._held = key, dtype, count, read, torch.empty(0)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * self.dtype.itemsize

    def numbers(self) -> Tensor:
        """`[count]`, read once."""
        if self.count and not len(self._held):
            content = bytearray(self._read(self.key, self.size))
            self._held = torch.frombuffer(content, dtype=torch.uint8).view(self.dtype)
        return self._held


class StoredTensor(Fixed):
    """A tensor whose data is read when it is needed."""

    __slots__ = ("_dtype", "_offset", "_shape", "_storage", "_stride")

    def __init__(self, storage: Storage, offset: int, shape: Any, stride: Any, dtype: torch.dtype | None) -> None:
        count = storage.size // dtype.itemsize if dtype else storage.count
        numbers = [offset, *shape, *stride]
        sound = len(shape) == len(stride) <= DIMENSIONS and all(type(n) is int and n >= 0 for n in numbers)
        if not sound or not _within(offset, shape, stride, count):
            raise pickle.UnpicklingError(f"a tensor of shape {tuple(shape)!r:.80} is not filled by its numbers")
        self._storage, self._offset, self._shape, self._stride, self._dtype = storage, offset, shape, stride, dtype

    def tensor(self) -> Tensor:
        """The tensor itself."""
        numbers = self._storage.numbers()
        numbers = numbers.view(self._dtype) if self._dtype else numbers
        return torch.as_strided(numbers, tuple(self._shape), tuple(self._stride), self._offset)


def _within(offset: int, shape: Any, stride: Any, count: int) -> bool:
    last = offset + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
    return bool(math.prod(shape) == 0 or (last < count and math.prod(shape) <= count))


def rebuilt(storage: object, offset: Any, shape: Any, stride: Any, *more: object) -> object:
    """Placeholder for `torch._utils._rebuild_tensor`, `_v2` and `_v3`."""
    if not isinstance(storage, Storage):
        return Inert()
    named = more[2] if len(more) > 2 and isinstance(more[2], Named) else None
    return StoredTensor(storage, offset, shape, stride, named.dtype if named else None)


def unwrapped(tensor: object, *_: object) -> object:
    """Placeholder for `torch._utils._rebuild_parameter` and similar functions: returns the tensor."""
    return tensor


def retyped(rebuild: Any, _: object, arguments: Any, *__: object) -> object:
    """Placeholder for `torch._tensor._rebuild_from_type_v2`: the tensor of a user-defined tensor class."""
    return rebuild(*arguments) if isinstance(rebuild, Call) else Inert()


class Dictionaries:
    """Placeholder for `OrderedDict` and `defaultdict`, with at most `COPIED_LIMIT` entries as arguments in total."""

    def __init__(self) -> None:
        self._copied = 0

    def __call__(self, *arguments: Any) -> OrderedDict[object, object]:
        """A dictionary of the pairs or of the entries that a file gives."""
        content = arguments[-1] if arguments and isinstance(arguments[-1], (list, dict)) else []
        self._copied += len(content)
        if self._copied > COPIED_LIMIT:
            raise pickle.UnpicklingError("it copies dictionaries without end")
        return OrderedDict(content)


class Latin1(Fixed):
    """Bytes as Python 3 writes them in protocol 2, kept as text: a file could repeat their conversion endlessly."""

    __slots__ = ("text",)

    def __init__(self, text: str, *_: object) -> None:
        self.text = text


class NumpyType:
    """Placeholder for numpy's dtypes."""

    __slots__ = ("name", "swapped")

    def __init__(self, name: Any, *_: object) -> None:
        self.name = name.decode("latin-1") if isinstance(name, bytes) else str(name)
        self.swapped = False

    def __setstate__(self, state: Any) -> None:
        """Take the byte order from numpy's state."""
        self.swapped = len(state) > 1 and state[1] in (">", b">")


class NumpyArray:
    """Placeholder for numpy's arrays: a tensor whose values are in the pickle."""

    __slots__ = ("_state",)

    def __init__(self, *_: object) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        """Version, shape, number format, order of the axes, bytes."""
        self._state = state

    def tensor(self) -> Tensor | None:
        """The tensor; None for text, objects and numbers that torch does not have."""
        match self._state:
            case (_, tuple() as shape, NumpyType(swapped=False, name=name), turned, bytes() | Latin1() as content):
                held = content.text.encode("latin-1") if isinstance(content, Latin1) else content
            case _:
                return None
        dtypes = {"f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "i8": torch.int64, "i4": torch.int32}
        dtype = dtypes.get(name)
        if dtype is None or len(held) != math.prod(shape) * dtype.itemsize or not held:
            return None
        numbers = torch.frombuffer(bytearray(held), dtype=torch.uint8).view(dtype)
        return numbers.view(shape[::-1]).permute(*range(len(shape))[::-1]) if turned else numbers.view(shape)
