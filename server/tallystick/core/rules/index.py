"""Which lines a rule looks at, and which rules may fit a line: found by what it is, so that many cost little."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.core.basket import Line
from tallystick.core.record import record


@record(frozen=True, slots=True)
class Selector:
    """Which lines a rule looks at. Empty sets do not restrict; a line must fit every set that is given."""

    skus: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()


@record(frozen=True, slots=True)
class LineIndex:
    """Positions of selectors by the one set that finds them: articles, else brands, else categories.

    ``everywhere`` are those without any set; every shelf holds them too, so that a line found on one shelf only needs
    no merging. ``rest`` is what is still to be asked of a selector that was found, None when it had one set only.
    """

    everywhere: tuple[int, ...]
    by_sku: dict[str, tuple[int, ...]]
    by_brand: dict[str, tuple[int, ...]]
    by_category: dict[str, tuple[int, ...]]
    rest: tuple[Selector | None, ...]

    def candidates(self, line: Line) -> Sequence[int]:
        """Return the positions that may fit a line, in order, each once: all others do not."""
        found = self.by_sku.get(line.sku) if self.by_sku else None
        if self.by_brand and (more := self.by_brand.get(line.brand)):
            found = _merged(found, more) if found else more
        if self.by_category:
            for category in line.categories:
                if more := self.by_category.get(category):
                    found = _merged(found, more) if found else more
        return found or self.everywhere


def index_of(selectors: Sequence[Selector]) -> LineIndex:
    """Return the index of selectors, in their order."""
    everywhere: list[int] = []
    by_sku: dict[str, tuple[int, ...]] = {}
    by_brand: dict[str, tuple[int, ...]] = {}
    by_category: dict[str, tuple[int, ...]] = {}
    rest: list[Selector | None] = []
    for at, selector in enumerate(selectors):
        found_by = ((selector.skus, by_sku), (selector.brands, by_brand), (selector.categories, by_category))
        given = [(keys, shelf) for keys, shelf in found_by if keys]
        rest.append(selector if len(given) > 1 else None)
        if not given:
            everywhere.append(at)
            continue
        keys, shelf = given[0]
        for key in keys:
            shelf[key] = (*shelf.get(key, ()), at)
    for shelf in (by_sku, by_brand, by_category):
        for key, found in shelf.items():
            shelf[key] = _merged(tuple(everywhere), found)
    return LineIndex(tuple(everywhere), by_sku, by_brand, by_category, tuple(rest))


def _merged(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*one, *other}))
