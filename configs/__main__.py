"""`python -m caspl.configs WORD`: the configurations whose names contain a word; see the package."""

import sys

from . import names


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    found = [name for name in names() if word in name]
    print("\n".join(found) if found else f'no configuration\'s name contains "{word}"; without a word all are listed')
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
