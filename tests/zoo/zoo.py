"""All the animals: small models of every kind that edgeonnx takes, and of the kinds that it refuses in words."""

from tests.zoo import forms, structures, values

CASES = {**forms.CASES, **values.CASES, **structures.CASES}
assert len(CASES) == len(forms.CASES) + len(values.CASES) + len(structures.CASES)
QUANTIZED = [name for name, case in CASES.items() if case.told is None]
TOLD = [name for name, case in CASES.items() if case.told is not None]
