"""Records that say the same: exact copies, near-duplicates, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from embstore.learn.duplicates import folded
from embstore.records import Similarities


@dataclass(frozen=True)
class Group:
    """Records that say the same.

    Parameters
    ----------
    positions : tuple of int
        Ascending, at least two.
    exact : bool
        All texts are equal after folding case and white space.
    similarity : float
        The smallest similarity that joins the group; 1 for an exact one.
    """

    positions: tuple[int, ...]
    exact: bool
    similarity: float

    def values(self, column: Sequence[str | None]) -> list[str]:
        """Return the distinct values that a column has in the group, in ascending order, None left out."""
        return sorted({value for place in self.positions if (value := column[place]) is not None})


def exact_groups(texts: Sequence[str]) -> list[Group]:
    """Return the groups of texts that are equal but for case and white space, in order of appearance."""
    places: dict[str, list[int]] = {}
    for position, text in enumerate(texts):
        places.setdefault(folded(text), []).append(position)
    return [Group(tuple(found), True, 1.0) for found in places.values() if len(found) > 1]


def near_groups(
    texts: Sequence[str], similarities: Similarities, neighbors: npt.NDArray[np.int64], least: float
) -> list[Group]:
    """Return the groups of records that a chain of similarities of at least ``least`` joins.

    Parameters
    ----------
    texts : sequence of n str
        Texts that are equal after folding are joined too, whatever their similarity.
    similarities, neighbors : ndarray of shape (n, k)
        Cosines and positions of each record's nearest others; -1 for none.
    least : float
        Cosine in [-1, 1].

    Returns
    -------
    list of Group
        Exact groups first, in order of appearance, then the chains of at least two different texts, by
        falling similarity; their texts may stand in exact groups too.
    """
    n = len(texts)
    joined = (similarities >= least) & (neighbors >= 0)
    ones, columns = np.nonzero(joined)
    others, values = neighbors[ones, columns], similarities[ones, columns]
    same = exact_groups(texts)
    first = np.array([group.positions[0] for group in same for _ in group.positions[1:]], dtype=np.int64)
    again = np.array([place for group in same for place in group.positions[1:]], dtype=np.int64)
    starts, ends = np.concatenate([ones, first]), np.concatenate([others, again])
    links = coo_matrix((np.ones(len(starts), dtype=np.int8), (starts, ends)), shape=(n, n))
    _, component = connected_components(links, directed=False)
    lowest = np.ones(component.max(initial=0) + 1)
    np.minimum.at(lowest, component[ones], values)
    order = np.argsort(component, kind="stable")
    cuts = np.flatnonzero(np.diff(component[order])) + 1
    found = []
    for places in np.split(order, cuts):
        # Equal texts have a group of their own, which no chain of other texts may swallow.
        if len({folded(texts[place]) for place in places}) > 1:
            found.append(Group(tuple(places.tolist()), False, float(lowest[component[places[0]]])))
    return same + sorted(found, key=lambda group: (-group.similarity, group.positions))
