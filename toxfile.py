"""
Let tox find every interpreter that pyenv keeps, not only the active ones.

tox reads this file by its name. Its discovery walks PATH, where pyenv's shims answer
for the active versions only; a bare `tox` would then skip Django 6 next to a Python
that could run it. Appended, so that whatever the user put first still comes first.
"""

from __future__ import annotations

import os
from pathlib import Path

root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
kept = sorted(str(folder) for folder in root.glob("versions/3.*/bin"))
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *kept])
