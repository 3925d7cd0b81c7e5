import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for installation.py: pytest's import mode adds no directories
