import sys

from . import names

word = sys.argv[1] if len(sys.argv) > 1 else ""
found = [name for name in names() if word in name]
print("\n".join(found) if found else f'no configuration\'s name contains "{word}"; without a word all are listed')
sys.exit(0 if found else 1)
