"""What a target profile says: the schema of `targets/*.toml`.

Every field carries its own description; `docs/targets.md` prints them from here, the one place to write them.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgeonnx.errors import TargetError
from edgeonnx.targets.onnxruntime import Caps, caps

Tier = Literal["measured", "emulated", "simulated", "compiled", "described"]
Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Count = Annotated[int, Field(strict=True, ge=1)]
Threads = Annotated[int, Field(strict=True, ge=0)]
Flag = Annotated[bool, Field(strict=True)]

# Hosts of package registries and mirrors: they say what was uploaded, not what is true of a board.
_REGISTRIES = ("pypi.", "pythonhosted.", "debian.org/debian", "packages.", "npmjs.", "conda.", "anaconda.")


class Part(BaseModel):
    """A table of a profile: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Platform(Part):
    """Operating system and processor architecture."""

    os: Literal["linux", "macos", "windows", "android", "browser"] = Field(description="operating system, or `browser`")
    machine: str = Field(pattern=r"^\w+$", description="architecture, as Python's `platform.machine()` names it there")
    libc: str | None = Field(None, description="oldest C library, such as `glibc 2.28`")
    python: str | None = Field(
        None, pattern=r"^\d+\.\d+$", description="oldest Python expected there; leave out where there is none"
    )


class Hardware(Part):
    """What is soldered on. Leave out what you don't know."""

    cpu: str | None = Field(None, description="processor cores, as the vendor names them")
    cores: Count | None = Field(None, description="number of processor cores")
    cpu_features: tuple[str, ...] = Field(
        (),
        description="what each member has of the features that matter here, named as in `/proc/cpuinfo`",
    )
    memory_mb: tuple[Count, ...] = Field((), description="memory sizes it is sold with, in units of 2^20 bytes")


class Onnxruntime(Part):
    """The onnxruntime a device of this kind is expected to have."""

    package: str = Field("onnxruntime", description="name of the package to install")
    minimum: str = Field(
        pattern=r"^\d+\.\d+$",
        description="oldest release expected there; the highest opset and IR version follow from it",
    )

    @field_validator("minimum")
    @classmethod
    def _known(cls, release: str) -> str:
        try:
            caps(release)
        except TargetError as error:
            raise ValueError("Input should be a release whose highest opset is known (targets/facts)") from error
        return release


class Provider(Part):
    """An execution provider of onnxruntime, and its options."""

    name: str = Field(min_length=1, description="name as onnxruntime spells it")
    options: dict[str, str] = Field({}, description="provider options; keys and values are strings")


class Session(Part):
    """Settings of the onnxruntime session, as a bundle's manifest carries them."""

    intra_op_threads: Threads = Field(0, description="threads within an operator; 0 leaves it to onnxruntime")
    inter_op_threads: Threads = Field(1, description="threads across operators; 0 leaves it to onnxruntime")
    graph_optimization: Literal["disabled", "basic", "extended", "all"] = Field(
        "all", description="onnxruntime's graph optimization level"
    )
    memory: Literal["fast", "small"] = Field(
        "fast", description="`small` where memory is short: weights stay in the file, at the cost of speed"
    )
    config: dict[str, str] = Field({}, description="session config entries; keys and values are strings")


class Arithmetic(Part):
    """What the hardware does with 8-bit products."""

    u8s8: Literal["exact", "saturating", "unknown"] = Field(
        description="sums of uint8 x int8 products: `saturating` where pairs are summed in 16 bits"
    )
    isa: Word = Field(
        description="instructions the INT8 kernels use: `neon`, `dotprod`, `i8mm`, `avx2`, `vnni`, "
        "`hexagon-htp`, `cuda`, `wasm-simd`"
    )


class Requires(Part):
    """What a model must be to run there."""

    fixed_shapes: Flag = Field(False, description="true where a free dimension in an input is refused")
    domains: tuple[str, ...] = Field(
        ("", "ai.onnx", "ai.onnx.ml", "com.microsoft"), description="operator domains with kernels there"
    )
    max_model_bytes: Count = Field(
        2**31 - 1, description="largest model, weights included; the default is the most one ONNX file holds"
    )


class Placement(Part):
    """When where nodes land is worth a warning, of a target with more than a CPU."""

    min_share: float = Field(0.9, ge=0, le=1, description="least share of multiply-accumulates on the accelerator")
    max_partitions: Count = Field(
        5,
        description="most runs of nodes on one provider, in the order they run: the accelerator with the CPU before "
        "and after it makes 3; each further change costs a copy",
    )


class Compilation(Part):
    """How models are compiled for the chip ahead of time, by the first of the providers."""

    chip: str = Field(min_length=1, description="the chip, as a compiled model names it")
    options: dict[str, str] = Field({}, description="provider options to compile with, besides the provider's own")


class Conversion(Part):
    """A vendor's converter, which makes a file of its own format from the float model."""

    tool: Literal["rknn-toolkit2"] = Field(description="the converter; the command `rknn` runs it")
    chip: str = Field(min_length=1, description="the chip, as the converter names it")


class Member(Part):
    """What one member of a board family has of its own; everything else is the family's."""

    title: str = Field(min_length=1, description="name for people")
    hardware: Hardware = Field(description="replaces the family's")
    arithmetic: Arithmetic | None = Field(None, description="replaces the family's")
    intra_op_threads: Threads | None = Field(None, description="replaces the family's")
    platform: Platform | None = Field(None, description="replaces the family's")
    providers: tuple[Provider, ...] = Field((), description="replaces the family's, unless empty")
    compilation: Compilation | None = Field(None, description="replaces the family's")
    tier: Tier | None = Field(None, description="replaces the family's")
    proof: str | None = Field(None, description="replaces the family's")


class Source(Part):
    """Where a fact is from."""

    fact: str = Field(min_length=1, description="the fact, in a sentence")
    url: str = Field(
        pattern=r"^https://", description="the vendor's or onnxruntime's own documentation; not a package registry"
    )

    @field_validator("url")
    @classmethod
    def _not_a_registry(cls, url: str) -> str:
        if any(f"/{host}" in url or f".{host}" in url for host in _REGISTRIES):
            raise ValueError("Input should be documentation, not a package registry")
        return url


class Target(Part):
    """A board or board family a model can be packaged for."""

    name: Word = Field(description="the file's name without `.toml`; `FAMILY-MEMBER` names a member")
    title: str = Field(min_length=1, description="name for people")
    tier: Tier = Field(
        description="`measured`: our tests run it natively; `emulated`: they run it under QEMU; `simulated`: "
        "they run it on the vendor's simulator; `compiled`: they compile for it; `described`: nothing of it is tested"
    )
    proof: str = Field(min_length=1, description="what is exercised, in a sentence, and what is not")
    platform: Platform
    hardware: Hardware = Hardware(cpu=None, cores=None)
    onnxruntime: Onnxruntime
    providers: tuple[Provider, ...] = Field(min_length=1, description="in order of preference")
    session: Session = Session(intra_op_threads=0)
    arithmetic: Arithmetic
    compilation: Compilation | None = None
    conversion: Conversion | None = None
    placement: Placement = Placement()
    dialect: Word = Field("cpu", description="which placement of Quantize and Dequantize its kernels fuse")
    requires: Requires = Requires(fixed_shapes=False)
    members: dict[Word, Member] = Field({}, description="members of the family, by the last part of their name")
    sources: tuple[Source, ...] = Field(min_length=1, description="where the facts above are from")

    @property
    def caps(self) -> Caps:
        """Highest opset and IR version the oldest onnxruntime expected there loads."""
        return caps(self.onnxruntime.minimum)

    @property
    def threads(self) -> int:
        """Threads within an operator; 0 leaves it to onnxruntime."""
        return self.session.intra_op_threads

    def member(self, name: str) -> "Target":
        """This family with one member's facts applied, named `FAMILY-MEMBER`.

        Raises:
            KeyError: the family has no member of that name.
        """
        member = self.members[name]
        threads = self.threads if member.intra_op_threads is None else member.intra_op_threads
        return self.model_copy(
            update={
                "name": f"{self.name}-{name}",
                "title": member.title,
                "hardware": member.hardware,
                "arithmetic": member.arithmetic or self.arithmetic,
                "session": self.session.model_copy(update={"intra_op_threads": threads}),
                "platform": member.platform or self.platform,
                "providers": member.providers or self.providers,
                "compilation": member.compilation or self.compilation,
                "tier": member.tier or self.tier,
                "proof": member.proof or self.proof,
                "members": {},
            }
        )
