"""What is known of a device: its profile's, or the facts that a bundle's `facts` prints there, or this machine's."""

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from edgeonnx.errors import InputError
from edgeonnx.runtime._facts import facts
from edgeonnx.schema import first_problem

_SHOWN = "python NAME.edge facts --json > FACTS.json writes it on the device"


class Device(BaseModel):
    """A device. None: not known.

    Attributes:
        os: `linux`, `macos`, `windows`, `android` or `browser`.
        machine: architecture, as Python's `platform.machine()` names it there; a 32-bit Python's own.
        python: `3.11`, or longer; a `t` behind it where threads are free.
        libc: `glibc 2.36` or `musl 1.2`.
        features: of its CPU, those that kernels ask for: `avx2`, `vnni`, `neon`, `dotprod`, ...
        cpus: how many a process may use.
        cpu_lists: whether Linux lists its CPUs in /sys.
        memory_mb: memory in all, in units of 2^20 bytes.
        available_mb: what is free of it.
        numpy: version of numpy.
        extensions: version of onnxruntime-extensions.
        packages: distributions that bring onnxruntime, as `onnxruntime 1.32.0`.
        onnxruntime: its version.
        providers: execution providers that it has.
        broken: why onnxruntime can't be imported.
        real: whether this was read on a machine, and is not what a profile expects.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    os: str | None = None
    machine: str | None = None
    python: str | None = None
    libc: str | None = None
    features: frozenset[str] | None = None
    cpus: int | None = Field(None, ge=1)
    cpu_lists: bool | None = None
    memory_mb: int | None = Field(None, ge=1)
    available_mb: int | None = Field(None, ge=0)
    numpy: str | None = None
    extensions: str | None = None
    packages: tuple[str, ...] = ()
    onnxruntime: str | None = None
    providers: tuple[str, ...] | None = None
    broken: str | None = None
    real: bool = False

    @field_validator("python")
    @classmethod
    def _python(cls, version: str | None) -> str | None:
        if version is not None and not re.fullmatch(r"3\.\d+(\.\d+\w*)?t?", version):
            raise ValueError(f"expected a Python 3 such as 3.11, got {version!r}")
        return version

    @field_validator("libc")
    @classmethod
    def _libc(cls, text: str | None) -> str | None:
        if text is not None and not re.fullmatch(r"glibc \d+\.\d+|musl( \d+\.\d+)?", text):
            raise ValueError(f"expected 'glibc 2.36', 'musl 1.2' or 'musl', got {text!r}")
        return text

    @property
    def interpreter(self) -> str | None:
        """Python's minor version with the mark of free threads: `3.11`, `3.13t`."""
        if self.python is None:
            return None
        major, minor = re.findall(r"\d+", self.python)[:2]
        return f"{major}.{minor}" + ("t" if self.python.endswith("t") else "")

    def changed(self, **given: str | None) -> "Device":
        """The same with what the caller knows better.

        Raises:
            InputError: a value that makes no sense.
        """
        known = {name: value for name, value in given.items() if value is not None}
        return _device({**self.model_dump(), **known}, "--") if known else self


def read_device(path: Path) -> Device:
    """A device's facts from the file that its `facts` was written to.

    Raises:
        InputError: no such file, not JSON, or not such facts.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}; {_SHOWN}") from error
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got something else; {_SHOWN}") from error
    if not isinstance(found, dict) or "facts" not in found:
        raise InputError(f"{path}: expected the facts of a device, got other JSON; {_SHOWN}")
    return _device({**found, "real": True}, f"{path}: ")


def this_machine() -> Device:
    """The machine that this runs on."""
    return _device({**facts(), "real": True}, "this machine: ")


def _device(found: dict[str, Any], where: str) -> Device:
    try:
        return Device.model_validate(found)
    except ValidationError as error:
        problem = first_problem(error, Device)
        raise InputError(f"{where}{problem}; correct it") from error
