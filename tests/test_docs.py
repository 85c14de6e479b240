"""Every command that README and docs/ show is one that works: run, or where that cannot be, parsed.

A block after `<!-- not run: why -->` is only parsed. What one page makes (tiny.yaml, out/) the pages after
it may use. Blocks of YAML that begin with a file's name in a comment are written to that file.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

import selector
from selector.cli import COMMANDS, main
from selector.command_line import parse_command, parse_config

ROOT = Path(__file__).parents[1]
FIRST = ["docs/offline-sweep.md"]  # makes what the others use
PAGES = [ROOT / page for page in FIRST] + sorted(
    page
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    if str(page.relative_to(ROOT)) not in FIRST
)
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```", re.S | re.M
)
_FILE = re.compile(r"# ([\w.-]+\.yaml)\n")


@dataclass(frozen=True)
class Command:
    """One line that a page shows."""

    page: str
    line: str
    why_not_run: str | None


def commands():
    found = []
    for page in PAGES:
        for block in _BLOCK.finditer(page.read_text("utf-8")):
            if block["language"] == "bash":
                text = block["text"].replace("\\\n", " ")
                lines = [line.split("  #")[0].strip() for line in text.splitlines()]
                name = str(page.relative_to(ROOT))
                found += [Command(name, line, block["why"]) for line in lines if line and line[0] != "#"]
    return found


def ours(line):
    """The words of a command of ours within a line, without variables before it or a file for its output."""
    words = list(takewhile(lambda word: word != ">", shlex.split(line)))
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    return words


@pytest.mark.parametrize("command", commands(), ids=lambda command: f"{command.page}: {command.line[:50]}")
def test_a_shown_command_is_understood(command):
    match ours(command.line):
        case ["selector", "--version"]:
            pass
        case ["selector", *arguments]:
            parse_command(COMMANDS, arguments, "selector", "")
        case ["python", "train.py", *arguments]:
            parse_config(arguments)


@pytest.mark.slow
def test_the_shown_commands_run(tmp_path, monkeypatch, capfd):
    for name in ("train.py", "sweeps", "examples", "selector"):
        (tmp_path / name).symlink_to(ROOT / name)
    for page in PAGES:
        for block in _BLOCK.finditer(page.read_text("utf-8")):
            if block["language"] == "yaml" and (named := _FILE.match(block["text"])):
                (tmp_path / named[1]).write_text(block["text"])
    monkeypatch.chdir(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for name, value in {"PATH": path, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    lines = dict.fromkeys(command.line for command in commands() if command.why_not_run is None)
    assert lines
    for line in lines:
        match shlex.split(line):
            case ["selector", name, *arguments] if name in COMMANDS:  # in this process, which need not start
                assert main([name, *arguments]) == 0, line
            case _:
                done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=600)
                assert done.returncode == 0, f"{line}\n{done.stderr[-3000:]}"
                assert "Traceback" not in done.stderr, line
    assert "Traceback" not in capfd.readouterr().err


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not link.startswith(("http://", "https://")):
                assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_public_name_and_every_command_has_its_place():
    reference = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert set(selector.__all__) <= set(re.findall(r"^::: selector\.(\w+)$", reference, re.M))
    overview = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert set(COMMANDS) == set(re.findall(r"`selector ([\w-]+)", overview))
