"""Which text token looks at which media, laid out so that attention does no more than that asks for."""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.attention import attend


@dataclass(frozen=True, kw_only=True, slots=True)
class LastMedium:
    """Each text token attends to one medium (phi, paper section 2.3): a grid with a row for each medium.

    Attention costs tokens x latents, whatever the number of media. Tokens are counted flat, batch x text.
    """

    tokens: Tensor
    """int64[media, longest]: the token in each place of the grid; token 0 in places that no token fills."""

    places: Tensor
    """int64[batch * text]: each token's place in the flattened grid; place 0 for tokens that see no medium."""

    seeing: Tensor
    """bool[batch * text, 1]: False for tokens that see no medium."""

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
        """queries float[batch, text, inner], keys and values float[media, latents, inner]. Returns
        float[batch, text, inner], zero for tokens that see no medium."""
        attended = attend(queries.flatten(0, 1)[self.tokens], keys, values, heads).flatten(0, 1)
        return (attended[self.places] * self.seeing).view_as(queries)


@dataclass(frozen=True, kw_only=True, slots=True)
class AllMedia:
    """Each text token attends to some of the media of its row, by a mask over all of them (ablated in the paper)."""

    media: Tensor
    """int64[batch, most]: the media of each row; medium 0 in places that no medium fills."""

    visible: Tensor
    """bool[batch, text, most]: which of them a token attends to."""

    def of_last(self, text: int) -> "AllMedia":
        """The same for the last tokens of each row alone."""
        return AllMedia(media=self.media, visible=self.visible[:, -text:])

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
        """queries float[batch, text, inner], keys and values float[media, latents, inner]. Returns
        float[batch, text, inner], zero for tokens that see no medium."""
        latents, seeing = keys.shape[1], self.visible.any(dim=-1, keepdim=True)
        mask = (self.visible | ~seeing).repeat_interleave(latents, dim=-1)
        attended = attend(queries, keys[self.media].flatten(1, 2), values[self.media].flatten(1, 2), heads, mask)
        return attended * seeing


Arrangement = LastMedium | AllMedia


def arrange(media_index: Tensor, media: int) -> LastMedium:
    """Lay out the text tokens by the medium that they see.

    media_index int64[batch, text] in -1..media-1, -1 for none. Example: [[-1, 0, 0, 1]] with two media gives
    tokens [[1, 2], [3, 0]] and places [0, 0, 1, 2]. The grid has at least one place in each row, so that media
    nobody sees take part in every call, with weight zero.
    """
    rows = media_index.flatten()
    counts = torch.bincount(rows + 1, minlength=media + 1)
    longest = max(1, int(counts[1:].max()))
    order = rows.argsort(stable=True)
    rank_in_order = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows[order] + 1]
    places = (rows * longest).scatter_add(0, order, rank_in_order)
    unseeing = int(counts[0])
    tokens = torch.zeros(media * longest, dtype=torch.int64, device=rows.device)
    tokens[places[order[unseeing:]]] = order[unseeing:]
    seeing = rows >= 0
    return LastMedium(tokens=tokens.view(media, longest), places=places.where(seeing, 0), seeing=seeing.unsqueeze(1))


def arrange_all(media_index: Tensor, document: Tensor | None, *, last_alone: bool = False) -> AllMedia:
    """Let each token see its medium and those of its document that stand before it; or, as a slow reference of
    `arrange`, its medium alone.

    media_index int64[batch, text], document int64[batch, text] or None; the media of a row are numbered in order.
    Example: [[-1, 0, 0, 1]] gives media [[0, 1]], and the last token sees both.
    """
    first = first_media(media_index, torch.zeros_like(media_index))
    counts = (media_index.max(dim=1, keepdim=True).values - first[:, :1] + 1).clamp(min=0)
    offsets = torch.arange(max(1, int(counts.max())), device=media_index.device)
    media = (first[:, :1] + offsets).where(offsets < counts, 0)
    oldest = first if document is None else first_media(media_index, document)
    candidates, phi = (first[:, :1] + offsets)[:, None, :], media_index[:, :, None]
    visible = (candidates == phi) if last_alone else (candidates >= oldest[:, :, None]) & (candidates <= phi)
    return AllMedia(media=media, visible=visible & (offsets < counts)[:, None, :] & (phi >= 0))


def first_media(media_index: Tensor, document: Tensor) -> Tensor:
    """int64[batch, text]: the first medium that any token of a token's document sees; 0 where there is none."""
    same = document[:, :, None] == document[:, None, :]
    beyond = torch.iinfo(torch.int64).max
    first = media_index.where(media_index >= 0, beyond)[:, None, :].where(same, beyond).min(dim=-1).values
    return first.where(first != beyond, 0)
