"""Files of torch.save, read without running any code, with their checksums verified."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from selector.files import is_regular

_FOLDER = 0x10  # among the attributes of a part of a zip file


def load_plain(path: Path, *, unchecked: bool = False) -> Any:
    """The content of a file as tensors and plain values, on the CPU.

    Nothing in it is executed. Checksums are looked at, which torch leaves out (it builds its zip reader with
    MINIZ_DISABLE_ZIP_READER_CRC32_CHECKS): one flipped bit would be another weight, and other metrics.

    Args:
        path: The file.
        unchecked: Also read what torch before 1.6 saved: pickles without checksums.

    Raises:
        Exception: Whatever zipfile and torch meet in a file that is missing, damaged or of another kind.
    """
    if not is_regular(path):
        raise ValueError("it is not a regular file")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise ValueError(
                    "its parts are compressed, which torch never does"
                )  # and can unpack to anything
            # For what calls itself a folder torch hands out memory as it happens to be.
            if any(part.external_attr & _FOLDER or part.is_dir() for part in parts):
                raise ValueError("one of its parts is marked as a folder, which torch never does")
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{Path(damaged).name} in it has a wrong checksum")
    elif not unchecked:
        raise ValueError(
            "it is not a zip file with checksums, as torch 1.6 and later save: load a file of an older torch"
            " with a newer one and save it again"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's words would advise to run what is in it
        raise ValueError("it holds objects or code, where only tensors and plain values are read") from error
