"""The explorer's filter bar: controls that together say one query, zone and whose messages."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable

import ipywidgets as widgets

from chatkit.query import Query, Term, parse

__all__ = ["FilterBar"]

WRITERS = {"people and bots": (), "people": (Term("is", "bot", negated=True),)}
WRITERS["bots"] = (Term("is", "bot"),)
ZONES = ["UTC", "Europe/London", "Europe/Vienna", "Europe/Kyiv", "America/New_York"]
ZONES += ["America/Los_Angeles", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Shanghai"]
ZONES += ["Asia/Tokyo", "Australia/Sydney"]
MOST_NAMES = 500


class FilterBar(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Query, time, channels, authors, bots, zone.

    Parameters
    ----------
    changed : callable
        Called, without arguments, whenever something else is asked for.
    query : str
        What stands in the box at first.
    zone : str
        Time zone at first.
    """

    def __init__(self, changed: Callable[[], None], *, query: str = "", zone: str = "UTC") -> None:
        narrow, short = widgets.Layout(width="auto"), {"description_width": "initial"}
        self._query = widgets.Text(
            query,
            placeholder='Search: words, "a phrase", has:link, is:reply, mentions:ana …',
            continuous_update=False,
            layout=widgets.Layout(flex="1 1 22em"),
        )
        self._since = widgets.DatePicker(description="From", layout=narrow, style=short)
        self._until = widgets.DatePicker(description="to", layout=narrow, style=short)
        self._channels = widgets.TagsInput(placeholder="All channels", allow_duplicates=False)
        self._authors = widgets.TagsInput(placeholder="All authors", allow_duplicates=False)
        self._writers = widgets.Dropdown(options=list(WRITERS), layout=narrow)
        self._zone = widgets.Combobox(
            value=zone, options=ZONES, continuous_update=False, layout=widgets.Layout(width="12em")
        )
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        super().__init__(
            [
                widgets.HBox([self._query, self._writers, self._zone], layout=row),
                widgets.HBox([self._since, self._until, self._channels, self._authors], layout=row),
            ]
        )
        for control in (self._query, self._since, self._until, self._channels, self._authors):
            control.observe(lambda _: changed(), "value")
        for control in (self._writers, self._zone):
            control.observe(lambda _: changed(), "value")

    @property
    def zone(self) -> str:
        """The chosen time zone, as it stands in the box."""
        return str(self._zone.value)

    @property
    def query(self) -> Query:
        """What all of the bar asks for; raises QueryError where the box can't be parsed."""
        terms = list(parse(self._query.value).terms)
        terms += [Term("channel", name) for name in self._channels.value]
        terms += [Term("from", name) for name in self._authors.value]
        terms += WRITERS[self._writers.value]
        if self._since.value:
            terms.append(Term("after", self._since.value.isoformat()))
        if self._until.value:  # that day too
            day = self._until.value + datetime.timedelta(days=1)
            terms.append(Term("before", day.isoformat()))
        return Query(tuple(terms))

    def offer(self, channels: Iterable[str], authors: Iterable[str]) -> None:
        """Offer names to choose from, the busiest first."""
        for control, names in ((self._channels, channels), (self._authors, authors)):
            known = [str(name) for name in names][:MOST_NAMES]
            # What is chosen must stay among what may be chosen.
            control.allowed_tags = list(dict.fromkeys([*known, *control.value]))
