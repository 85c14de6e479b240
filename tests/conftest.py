"""Makes the helpers in this folder (`handmade`) and in runs/ (`offline_files`) importable from every test."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "runs"))
