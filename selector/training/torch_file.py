"""Files of torch.save, read without running any code and without trusting a single bit of them."""

import zipfile
from pathlib import Path
from typing import Any

import torch


def load_plain(path: Path) -> Any:
    """The content of a file as tensors and plain values, on the CPU.

    Nothing in it is executed. Checksums are looked at, which torch leaves out (it builds its zip reader with
    MINIZ_DISABLE_ZIP_READER_CRC32_CHECKS): one flipped bit would be another weight, and other metrics.

    Raises:
        Exception: Whatever zipfile and torch meet in a file that is missing, damaged or of another kind.
    """
    if zipfile.is_zipfile(path):  # files of torch before 1.6 are pickles without checksums
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                raise ValueError("its parts are packed, as torch does not do")  # and can unpack to anything
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{Path(damaged).name} in it has a wrong checksum")
    return torch.load(path, map_location="cpu", weights_only=True)
