"""The data files shipped with edgeonnx: target profiles and recipes, TOML, one file each."""

from difflib import get_close_matches
from pathlib import Path

_INSTALLED = Path(__file__).parent / "_data"
_REPOSITORY = Path(__file__).parent.parent.parent


def folder(kind: str, installed: Path = _INSTALLED, repository: Path = _REPOSITORY) -> Path:
    """Folder that holds the shipped files of a kind, `targets` or `calibration`.

    A wheel carries them inside the package; a checkout (and an editable install) keeps them at its top level.

    Raises:
        FileNotFoundError: neither place has them: the installation is broken.
    """
    for place in (installed / kind, repository / kind):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"edgeonnx is installed without its {kind}/ data; reinstall it")


def names(kind: str) -> list[str]:
    """Names of the shipped files of a kind, sorted: the file names without `.toml`."""
    return sorted(path.stem for path in folder(kind).glob("*.toml"))


def find(kind: str, name_or_path: str) -> Path | None:
    """The shipped file of that name, or the user's own file of that path; None if there is neither.

    A word is a name; anything that ends in `.toml` or holds a separator is a path.
    """
    if name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path:
        path = Path(name_or_path)
    else:
        path = folder(kind) / f"{name_or_path}.toml"
    return path if path.is_file() else None


def near(word: str, known: list[str]) -> str:
    """A sentence that names the known words nearest to `word`, or all of them if none is near."""
    close = get_close_matches(word, known, n=3, cutoff=0.5)
    return f"Near: {', '.join(close)}" if close else f"Known: {', '.join(known)}"
