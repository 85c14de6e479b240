"""Imported by multiprocessing's fork server in place of the runs: what costs seconds, once for all of them.

The server gets a process group of its own and does not die of a SIGTERM: signals for the sweep are for the
agent to hear, which passes them on to the runs. What it prints goes to a log.
"""

import atexit
import gc
import importlib
import json
import os
import signal
import tempfile
import traceback
import weakref

SETTINGS = "SELECTOR_FORK_SERVER"  # environment variable: the log, and the modules to import

_log, *_modules = json.loads(os.environ[SETTINGS])
os.setpgid(0, 0)
for _signal in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(_signal, signal.SIG_IGN)
_output = os.open(_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
os.dup2(_output, 1)
os.dup2(_output, 2)
try:
    for _module in _modules:
        importlib.import_module(_module)
except Exception:
    traceback.print_exc()  # multiprocessing says nothing
    raise
gc.collect()
# Temporary folders of the imports, such as wandb's: a run that ends must leave them to the runs after it.
for _folder in [found for found in gc.get_objects() if isinstance(found, tempfile.TemporaryDirectory)]:
    atexit.unregister(_folder.cleanup)
FINALIZERS = [found for found in gc.get_objects() if isinstance(found, weakref.finalize)]
gc.freeze()  # a later collection in a run would otherwise copy every page that it only looks at
