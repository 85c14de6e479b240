"""The command line, called in this process."""

from selector.cli import main


def call(capsys, *arguments):
    """Runs a command: exit status, stdout and stderr."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    output = capsys.readouterr()
    return status, output.out, output.err
