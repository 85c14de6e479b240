"""Where the .wandb files of a folder lie."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from selector.files import is_regular
from selector.runs import Unreadable
from selector.text import printable

RUN_FOLDER = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(?P<id>.+)", re.DOTALL)
RUN_FILE = re.compile(r"run-(?P<id>.+)\.wandb", re.DOTALL)
LEDGER = "ledger.json"


@dataclass
class RunFiles:
    """What was found, in the order of paths.

    Attributes:
        files: Each .wandb file once, however many links lead to it.
        sweep_folders: Folders with a ledger of `selector sweep`.
        unreadable: What has the name of a run's file and is none.
        blank: Run folders without a file.
        warnings: Folders that could not be looked into, one line each.
    """

    files: list[Path] = field(default_factory=list)
    sweep_folders: list[Path] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    blank: list[Unreadable] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_run_files(folder: Path) -> RunFiles:
    """Look through a whole tree; symbolic links are followed to run folders and files only.

    W&B keeps a link `latest-run` beside the runs, and a data set or a home may be linked into the tree too.
    """
    found = RunFiles()
    seen: set[Path] = set()
    for parent, names in _walk(folder, found):
        if LEDGER in names:
            found.sweep_folders.append(parent)
        candidates = [parent / name for name in names if name.endswith(".wandb")]
        in_run_folder = RUN_FOLDER.fullmatch(parent.name)
        if in_run_folder and not candidates:
            reason = f"its folder {printable(str(parent))} holds no .wandb file"
            found.blank.append(Unreadable(in_run_folder["id"], reason))
        for file in candidates:
            if problem := _problem(file):
                found.unreadable.append(Unreadable(run_id_of(file), f"{printable(str(file))} {problem}"))
            elif (real := file.resolve()) not in seen:
                seen.add(real)
                found.files.append(file)
    return found


def run_id_of(file: Path) -> str:
    """The run's id by its file's name, or the name where it is not as W&B names files."""
    named = RUN_FILE.fullmatch(file.name)
    return named["id"] if named else file.name


def _walk(top: Path, found: RunFiles) -> Iterator[tuple[Path, list[str]]]:
    """Each folder and the sorted names of the files in it; real run folders come before links to them."""

    def warn(error: OSError) -> None:
        name = printable(str(error.filename))
        found.warnings.append(f"folder {name} could not be looked into: {error.strerror}")

    links = []
    for parent, folders, names in os.walk(top, onerror=warn):
        here = Path(parent)
        links += [
            here / name for name in folders if RUN_FOLDER.fullmatch(name) and (here / name).is_symlink()
        ]
        folders[:] = [] if RUN_FOLDER.fullmatch(here.name) else sorted(folders)  # below are media and logs
        yield here, sorted(names)
    for link in sorted(links):
        for _, _, names in islice(os.walk(link, onerror=warn), 1):
            yield link, sorted(names)


def _problem(file: Path) -> str:
    """Why something called *.wandb cannot even be opened, or ""."""
    try:
        return "" if is_regular(file) else "is no regular file"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
