"""Files that hold a scikit-learn estimator: skops', which name what they would run, and pickles, which run it."""

import pickle
import warnings
from pathlib import Path
from typing import Any

from edgeonnx.convert.sklearn import Estimator
from edgeonnx.convert.source import guarded, need
from edgeonnx.errors import ConvertError


def open_skops(path: Path, examples: object, trust: bool) -> Estimator:
    """An estimator from a `.skops` file.

    Raises:
        ConvertError: it holds types that skops does not know to be harmless, and is not trusted.
    """
    _, skops = need("sklearn", "sklearn", "skops.io")
    with guarded(f"{path} can't be read as a skops file"):
        unknown = skops.get_untrusted_types(file=path)
        if unknown and not trust:
            raise ConvertError(
                f"{path} holds types that can run code when they are loaded: {', '.join(unknown)}; if you know where "
                "it comes from, add --trust"
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator = skops.load(path, trusted=unknown)
    return Estimator(estimator, examples, path.name, _versions(caught))


def open_pickle(path: Path, examples: object, trust: bool) -> Estimator:
    """An estimator from a pickle, joblib's included.

    Raises:
        ConvertError: it is not trusted, or can't be read.
    """
    if not trust:
        raise ConvertError(
            f"{path}: a pickle runs the code that is in it; if you know where it comes from, add --trust, or save the "
            "estimator with skops.io.dump"
        )
    _, joblib = need("sklearn", "sklearn", "joblib")
    with guarded(f"{path} can't be read as a pickle"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator: Any = joblib.load(path) if path.suffix == ".joblib" else pickle.loads(path.read_bytes())
    return Estimator(estimator, examples, path.name, _versions(caught))


def _versions(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """What scikit-learn says of another release that wrote the file, each once."""
    told_of = [str(one.message) for one in caught if "Version" in one.category.__name__]
    return tuple(dict.fromkeys(" ".join(text.split()).partition(" For more info")[0] for text in told_of))
