"""Takes files of known types out of packages, for the classifier of file types.

Arguments: the folder to make, then files or folders of packages. Below it: files_calib and files_eval, the same number of
each type in both. Which files: the first by the SHA-256 of their bytes, so the choice depends on nothing else.
"""

import hashlib
import pathlib
import shutil
import sys

TYPES = ["html", "png", "jpg", "js", "cpp", "py", "txt", "gz", "gif", "yml", "xml", "css", "svg", "json", "hpp", "avi"]
EACH = 6


def main():
    target, sources = pathlib.Path(sys.argv[1]), [pathlib.Path(p) for p in sys.argv[2:]]
    by_type = {kind: {} for kind in TYPES}
    for source in sources:
        for path in sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink()):
            if (kind := path.suffix[1:]) in by_type:
                by_type[kind].setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), path)
    for part in ("calib", "eval"):
        (target / f"files_{part}").mkdir(parents=True)
    for kind, found in by_type.items():
        chosen = sorted(found.items())[: 2 * EACH]
        for n, (_, path) in enumerate(chosen):
            part = "calib" if n < len(chosen) // 2 else "eval"
            shutil.copyfile(path, target / f"files_{part}" / f"{n:02}.{kind}")
    print(f"{sum(len(list(p.iterdir())) for p in target.iterdir())} files of {len(TYPES)} types")


if __name__ == "__main__":
    main()
