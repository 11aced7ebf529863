"""Takes files of packages as they are.

Reads lines `file<TAB>result<TAB>framing` from standard input; framing is not used.
"""

import shutil
import sys


def main():
    lines = [line.rstrip("\n").split("\t") for line in sys.stdin]
    for source, destination, _ in lines:
        shutil.copyfile(source, destination)
    print(f"{len(lines)} files")


if __name__ == "__main__":
    main()
