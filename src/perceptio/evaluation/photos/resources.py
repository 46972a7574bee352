"""Reading the files inside a Qt resource file (.rcc), in which some programs ship their pictures.

The format is that of Qt's `QResource` (versions 1 to 3): a header of offsets, a tree of nodes of fixed size, names in
UTF-16, and data that may be compressed by zlib. All numbers are big-endian.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

_MAGIC = b"qres"
_HEADER = struct.Struct(">4sIIII")  # magic, version, offsets of tree, data and names
_NODE = struct.Struct(">IH")  # offset of its name, flags
_CHILDREN = struct.Struct(">II")  # how many, and the number of the first
_DATA = struct.Struct(">HHI")  # country, language, offset of the data
_NODE_SIZE = {1: 14, 2: 22, 3: 22}  # from version 2 on, eight bytes of time follow
_COMPRESSED, _DIRECTORY, _ZSTANDARD = 0x01, 0x02, 0x04
_LARGEST = 1 << 28  # bytes of one file inside, far more than a picture has


class ResourceError(ValueError):
    """A resource file cannot be read; the message is one sentence."""


class ResourceFile:
    """The files in one .rcc, by their path from its root.

    Args:
        path: of the .rcc.

    Raises:
        ResourceError: if it is no resource file of a known version, or damaged.
        OSError: if it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._content = self.path.read_bytes()
        try:
            magic, version, self._tree, self._data, self._names = _HEADER.unpack_from(self._content)
            if magic != _MAGIC or version not in _NODE_SIZE:
                raise ResourceError(f"{self.path} is not a Qt resource file of version 1 to 3")
            self._node_size = _NODE_SIZE[version]
            self._files: dict[str, tuple[int, int]] = {}
            self._walk()
        except (struct.error, UnicodeDecodeError) as error:
            raise ResourceError(f"{self.path} is damaged: {error}") from error

    @property
    def names(self) -> list[str]:
        """Paths of all files inside, sorted."""
        return sorted(self._files)

    def read(self, name: str) -> bytes:
        """The content of one file inside.

        Raises:
            ResourceError: if there is none of that name, or it is damaged or compressed by Zstandard.
        """
        if name not in self._files:
            raise ResourceError(f"{self.path} holds no file {name}")
        offset, flags = self._files[name]
        start = self._data + offset + 4
        size = int.from_bytes(self._content[start - 4 : start], "big")
        data = self._content[start : start + size]
        if len(data) != size:
            raise ResourceError(f"{self.path} is damaged: {name} is cut short")
        if flags & _ZSTANDARD:
            raise ResourceError(f"{self.path}: {name} is compressed by Zstandard, which is not read")
        if not flags & _COMPRESSED:
            return data
        unpack = zlib.decompressobj()
        try:
            content = unpack.decompress(data[4:], _LARGEST)  # the first four bytes say how large it will be
        except zlib.error as error:
            raise ResourceError(f"{self.path} is damaged: {name}: {error}") from error
        if not unpack.eof:
            raise ResourceError(f"{self.path} is damaged: {name} is cut short, or larger than {_LARGEST} bytes")
        return content

    def _walk(self) -> None:
        """Fill the table of files. A node has one parent, and so each is visited once at most."""
        waiting, seen = [(0, "")], set()
        while waiting:
            number, path = waiting.pop()
            if number in seen:
                raise ResourceError(f"{self.path} is damaged: a folder is inside itself")
            seen.add(number)
            place = self._tree + number * self._node_size
            name, flags = _NODE.unpack_from(self._content, place)
            below = f"{path}/{self._name(name)}".lstrip("/") if number else ""
            if flags & _DIRECTORY:
                count, first = _CHILDREN.unpack_from(self._content, place + _NODE.size)
                if count > len(self._content) // self._node_size:
                    raise ResourceError(f"{self.path} is damaged: a folder of {count} files")
                waiting += [(first + each, below) for each in range(count)]
            else:
                *_, offset = _DATA.unpack_from(self._content, place + _NODE.size)
                self._files[below] = (offset, flags)

    def _name(self, offset: int) -> str:
        start = self._names + offset
        (length,) = struct.unpack_from(">H", self._content, start)
        text = self._content[start + 6 : start + 6 + 2 * length]  # length, hash, text
        return text.decode("utf-16-be")
