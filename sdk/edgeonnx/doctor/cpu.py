"""What a model's precision and a bundle's variants make of the device's CPU."""

from collections.abc import Mapping

from edgeonnx.doctor.device import Device
from edgeonnx.doctor.finding import Finding, error, ok, warning

# Features with which INT8 products take fewer instructions than float's.
_DOT_PRODUCTS = frozenset({"dotprod", "i8mm", "vnni"})
_QUANTIZED = frozenset(
    {
        *("QuantizeLinear", "DequantizeLinear", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
        *("com.microsoft::QGemm", "com.microsoft::QLinearAdd", "com.microsoft::MatMulNBits"),
        *("com.microsoft::DynamicQuantizeMatMul", "com.microsoft::MatMulIntegerToFloat"),
    }
)


def quantized(operators: frozenset[str]) -> bool:
    """Whether a graph of these operators computes in integers."""
    return bool(operators & _QUANTIZED)


def check_int8(device: Device, saturates: bool, spared: bool) -> Finding:
    """What INT8 products do on the device's CPU.

    Args:
        device: with its CPU's features.
        saturates: whether sums of uint8 x int8 products saturate there.
        spared: whether the model was quantized for such a CPU, its weights made to fit.
    """
    subject, features = "INT8", device.features
    if saturates and not spared:
        return warning(
            subject,
            "uint8 x int8 sums saturate in 16 bits on this CPU (AVX2 without VNNI), which costs accuracy",
            "edgeonnx quantize with this --target: it finds the layers that saturate and narrows their weights",
        )
    if features is None:
        return warning(
            subject, "the CPU's features are not known", "give --device, or measure on it: python NAME.edge bench"
        )
    if features & _DOT_PRODUCTS:
        return ok(subject, f"its products are taken by {', '.join(sorted(features & _DOT_PRODUCTS))}")
    return warning(
        subject,
        "the CPU has no integer dot product, so INT8 may be little faster than float, or slower",
        "measure both on the device: python NAME.edge bench; package float as a variant: edgeonnx package --variant",
    )


def check_float16(on_cpu: bool) -> Finding:
    """What becomes of float16 weights."""
    if on_cpu:
        return warning(
            "float16",
            "the CPU provider has few float16 kernels: it converts to float32 around other operators, and is slower",
            "ship float32 or INT8 for a CPU; keep float16 for GPUs and NPUs",
        )
    return ok("float16", "left to the accelerator")


def check_variants(variants: Mapping[str, tuple[str, ...]], device: Device) -> Finding:
    """Which of a bundle's variants the device would take.

    Args:
        variants: name -> the CPU features that it asks for, in order of preference.
        device: with its CPU's features.
    """
    subject = "variants"
    if not any(variants.values()):
        return ok(subject, f"{next(iter(variants))} runs on any CPU")
    if device.features is None:
        return warning(subject, "the CPU's features are not known, so it is not known which runs", "give --device")
    lacking = {name: sorted(set(needs) - device.features) for name, needs in variants.items()}
    fitting = [name for name, lacks in lacking.items() if not lacks]
    told = "; ".join(f"{name} asks for {', '.join(lacks)}" for name, lacks in lacking.items() if lacks)
    if not fitting:
        return error(
            subject, f"none runs on this CPU: {told}", "package a float variant too: edgeonnx package --variant"
        )
    if fitting[0] != next(iter(variants)):
        return warning(subject, f"{fitting[0]} is taken: {told}", "quantize for this CPU too, or leave it at that")
    return ok(subject, f"{fitting[0]} is taken")
