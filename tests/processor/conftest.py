"""Puts this folder's helpers where the tests find them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "hosts"))  # for world.py
