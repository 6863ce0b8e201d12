"""An actor that scores shard after shard with the models that it loaded once."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from pipeline.careful import careful_calls
from pipeline.chunks import ATTEMPTS
from pipeline.pixels import frame_pixels
from pipeline.scoring.config import ScoringConfig
from pipeline.scoring.revisions import ModelError
from pipeline.scoring.scores import Work, kept_scores, write_scores
from pipeline.scoring.shard import open_models, score_documents
from pipeline.tasks import FULL
from shards.location import Location
from shards.shard import read_shard


class ScoringActor:
    """Models, and the shards that are put to them one after the other."""

    def __init__(self, output: Location, config: ScoringConfig, works: Sequence[Work]) -> None:
        device = torch.device("cuda" if config.device == "auto" and torch.cuda.is_available() else "cpu")
        self._output, self._works, self._failure = output, works, ""
        disable_progress_bar()  # of loading, in each actor's log
        try:
            self._models = open_models(config, device)
        except ModelError as error:
            # Said in a row: Ray Data wraps what is raised in so much that the cause is lost.
            self._failure = str(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if self._failure:
            return {"failure": self._failure, "counts": {}}
        try:
            return {"failure": "", "counts": dict(self._score(self._works[row["id"]]))}
        except OSError as error:
            if error.errno not in FULL:
                raise
            failure = f"output {self._output}: {error.strerror or error}, while scores were written; make room"
            return {"failure": f"{failure} and run the same command again", "counts": {}}

    def _score(self, work: Work) -> Counter[str]:
        counts = Counter[str](images=0, unscored=0, texts=0, texts_cut=0)
        mark = self._output / ATTEMPTS / f"scores-{work.shard.id}"
        careful = mark.exists()
        mark.write(b"")
        try:
            with careful_calls() as call:
                decode = (lambda frame, side: call(frame_pixels, frame, side)) if careful else frame_pixels
                scores = score_documents(self._models, read_shard(work.shard.tar), counts, decode)
                write_scores(work.scores, scores, work.request, counts)
            if work.kept:
                kept_scores(work.kept, work.request).write(work.scores.read())
        finally:
            # Whatever can be raised was survived: only a process that died leaves its mark.
            with suppress(FileNotFoundError):
                mark.filesystem.delete_file(mark.path)
        return counts
