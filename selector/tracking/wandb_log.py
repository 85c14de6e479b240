"""The log inside a .wandb file: a header, blocks of 32 KiB, chunks with checksums.

The format is LevelDB's log (https://github.com/google/leveldb/blob/main/doc/log_format.md) with two
differences, checked against files of the clients 0.16 to 0.31: the file begins with a header of 7 bytes,
and the checksum of a chunk is the plain CRC-32 of zlib over kind and payload, unmasked.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO
from zlib import crc32

BLOCK = 32 * 1024
FORMAT_VERSION = 0
FILE_HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, FORMAT_VERSION)
CHUNK_HEADER = struct.Struct("<IHB")  # CRC-32 of kind and payload, length of the payload, kind
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class DamagedLog(Exception):
    """What the log says cannot be trusted; the text goes on after the file's name: "has … at byte 7"."""


class TruncatedLog(Exception):
    """The log ends too early, as after a kill; what came before is sound. The text as in DamagedLog."""


def read_payloads(file: BinaryIO) -> Iterator[bytes]:
    """The payload of each record, in order, every checksum checked.

    Raises:
        DamagedLog: At the first byte that a W&B client would not have written there.
        TruncatedLog: After the last whole record, where the file ends inside another or in zero bytes.
    """
    _check_file_header(file.read(len(FILE_HEADER)))
    block, start, position = FILE_HEADER + file.read(BLOCK - len(FILE_HEADER)), 0, len(FILE_HEADER)
    parts: list[bytes] = []  # of a record that spans several blocks
    while True:
        while position + CHUNK_HEADER.size <= len(block):
            checksum, length, kind = CHUNK_HEADER.unpack_from(block, position)
            if checksum == length == kind == 0:
                _check_zeros(block[position:], file, start + position)
            begin, end = position + CHUNK_HEADER.size, position + CHUNK_HEADER.size + length
            if end > len(block) and len(block) < BLOCK:
                raise TruncatedLog(f"ends inside a record at byte {start + len(block)}")
            if end > len(block) or crc32(block[begin - 1 : end]) != checksum:
                raise DamagedLog(f"has a wrong checksum at byte {start + position}")
            if kind not in (FULL, FIRST, MIDDLE, LAST) or (kind in (MIDDLE, LAST)) != bool(parts):
                raise DamagedLog(f"lacks a part of a record at byte {start + position}")
            parts.append(block[begin:end])
            if kind in (FULL, LAST):
                yield parts[0] if kind == FULL else b"".join(parts)
                parts = []
            position = end
        if len(block) < BLOCK:
            break
        if any(block[position:]):  # too short for a chunk, so the client fills it with zeros
            raise DamagedLog(f"has bytes between two blocks at byte {start + position}")
        block, start, position = file.read(BLOCK), start + BLOCK, 0
    if parts or position < len(block):
        raise TruncatedLog(f"ends inside a record at byte {start + len(block)}")


def _check_file_header(header: bytes) -> None:
    """Raise unless the file begins as a .wandb file of the known version does."""
    if header == FILE_HEADER:
        return
    if FILE_HEADER.startswith(header):
        raise TruncatedLog(f"ends inside the file header at byte {len(header)}" if header else "is empty")
    if header[:-1] == FILE_HEADER[:-1]:
        raise DamagedLog(f"has format version {header[-1]}, only version {FORMAT_VERSION} is known")
    raise DamagedLog("is not a .wandb file: it does not begin with W&B's header")


def _check_zeros(rest_of_block: bytes, file: BinaryIO, offset: int) -> None:
    """Raise for zero bytes where a chunk was due: a lost tail if nothing follows, else damage."""
    if any(rest_of_block):
        raise DamagedLog(f"has zero bytes inside it at byte {offset}")
    while block := file.read(BLOCK):
        if any(block):
            raise DamagedLog(f"has zero bytes inside it at byte {offset}")
    raise TruncatedLog(f"has only zero bytes from byte {offset} on")
