"""Lines at the bottom of a terminal that are drawn again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

# Each drawing costs about a millisecond.
_PER_SECOND = 4


def redrawn(console: Console, lines_now: Callable[[], list[Text]]) -> Live:
    """Returns a display of lines, which are erased when it stops.

    Args:
        console: The terminal.
        lines_now: Returns the lines, each of which must fit.
    """
    from rich.console import ConsoleRenderable, Group
    from rich.control import Control
    from rich.live import Live
    from rich.segment import ControlType

    class Redrawn(Live):
        """Erases all of it, too, if the terminal became narrower, so that lines were wrapped."""

        def __init__(self) -> None:
            self._drawn: list[int] = []
            super().__init__(
                console=console,
                refresh_per_second=_PER_SECOND,
                transient=True,
                get_renderable=self._draw,
            )

        def _draw(self) -> Group:
            lines = lines_now()
            for line in lines:
                line.no_wrap, line.overflow = True, "crop"
            self._next = [line.cell_len for line in lines]
            return Group(*lines)

        def process_renderables(
            self, renderables: list[ConsoleRenderable]
        ) -> list[ConsoleRenderable]:
            # What is printed above may have ended a trial.
            self._live_render.set_renderable(self._draw())
            columns = max(self.console.width, 1)
            wrapped = sum(max(cells - 1, 0) // columns for cells in self._drawn)
            self._drawn = [min(cells, columns) for cells in self._next]
            up = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)] * wrapped
            return [Control(*up), *super().process_renderables(renderables)]

    return Redrawn()
