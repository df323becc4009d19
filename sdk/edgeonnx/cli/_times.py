"""A factor as it is said: 1.5x."""

import click


class Times(click.ParamType[float]):
    """A number, with or without an x behind it."""

    name = "times"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            return float(str(value).lower().removesuffix("x"))
        except ValueError:
            self.fail(f"expected a factor, as 1.5x; got {value}", param, ctx)


TIMES = Times()
