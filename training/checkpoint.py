"""Checkpoints, written by all ranks together: safetensors and JSON, never a pickle.

    each rank copies its share ──► a thread of it writes that ──► when all have, the first writes the manifest ──► prune

Training goes on while the threads write; the ranks ask each other at every update whether all are done.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import deepspeed
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from jobs.command import InputError
from model.adapters import CONFIG, WEIGHTS, describe_adapters
from shards.errors import DatasetError
from shards.location import Location
from training.agreement import Agreement
from training.engine import AnyFlamingo, trained_parameters
from training.manifest import Checkpoint, commit_checkpoint, prune_checkpoints, read_checkpoint
from training.optimizer import MOMENTS
from training.output import identity
from training.parts import OptimizerParts, part_name, tensor_name
from training.plan import ADAPTERS, Plan, Progress, checkpoint_folder

UNWRITABLE = (OSError, SafetensorError, DatasetError)
Share = Mapping[str, Callable[[Path], object]]
"""What one rank writes of a checkpoint: by the file's path, what writes it to a path on a local disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a rank's share."""

    files: Mapping[str, str]
    """The SHA-256 of each file by path."""
    failure: str | None = None
    """Why not all was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A checkpoint that is being written."""

    folder: Location
    progress: Progress
    objective: float
    written: Future[Written]
    """This rank's share."""


class CheckpointWriter:
    """Writes a run's checkpoints, one at a time. All ranks must make the same calls; a context manager."""

    def __init__(self, plan: Plan, agreement: Agreement) -> None:
        self._plan, self._agreement = plan, agreement
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._under_way: UnderWay | None = None

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def write(self, flamingo: AnyFlamingo, progress: Progress, objective: float) -> None:
        """Begins the checkpoint of `progress` when the one before is finished, and raises what `finish` raises.

        `objective` is the mean of the loss since the checkpoint before.
        """
        self.finish()
        folder = checkpoint_folder(self._plan.checkpoints, progress.update)
        written = self._thread.submit(write_share, folder, copy_share(flamingo))
        self._under_way = UnderWay(folder=folder, progress=progress, objective=objective, written=written)
        if not self._plan.config.checkpoint_while_training:
            self.finish()

    def look(self) -> None:
        """Makes what is under way a checkpoint if all ranks have written their shares; raises what `finish` raises."""
        if self._under_way and self._agreement.all(self._under_way.written.done()):
            self._settle(self._under_way)

    def finish(self) -> None:
        """Waits for what is under way, and makes it a checkpoint.

        Raises InputError if it cannot be written, unless the run is to go on without it.
        """
        if self._under_way:
            wait([self._under_way.written])
            self._settle(self._under_way)

    def _settle(self, one: UnderWay) -> None:
        self._under_way = None
        shares = self._agreement.gather([json.dumps(dataclasses.asdict(one.written.result()))])
        all_written = [Written(**json.loads(share)) for share in shares]
        failure = next((written.failure for written in all_written if written.failure), None) or self._commit(
            one, {name: sha256 for written in all_written for name, sha256 in written.files.items()}
        )
        if failure:
            self._give_up(one, failure)
        elif dist.get_rank() == 0:
            prune_checkpoints(self._plan.checkpoints, self._plan.config.keep_checkpoints)

    def _commit(self, one: UnderWay, files: Mapping[str, str]) -> str | None:
        """Writes the manifest, on one rank; on all, why that could not be done."""
        failure = None
        if dist.get_rank() == 0:
            run = identity(self._plan.config)
            try:
                commit_checkpoint(
                    one.folder, Checkpoint(progress=one.progress, objective=one.objective, run=run, files=files)
                )
            except UNWRITABLE as error:
                failure = _describe(one.folder, error)
        return next(iter(self._agreement.gather([failure] if failure else None)), None)

    def _give_up(self, one: UnderWay, failure: str) -> None:
        if dist.get_rank() == 0:
            with contextlib.suppress(OSError):
                one.folder.delete_folder()
        if one.progress.update == self._plan.stop or self._plan.config.checkpoint_failure == "stop":
            raise InputError(
                f"{failure}; the run's last whole checkpoint is as it was: make room, and run the command again"
            )
        if dist.get_rank() == 0:
            logging.getLogger(__name__).error("%s; the run goes on without it", failure)


def load_optimizer(flamingo: AnyFlamingo, folder: Location, steps: int) -> None:
    """Sets the optimiser, with its fp32 copies of the parameters, to what the checkpoint in `folder` holds.

    `steps` is how many it has made.
    """
    with TemporaryDirectory() as scratch:
        nearest = dist.get_rank() / dist.get_world_size()
        parts = OptimizerParts(folder, read_checkpoint(folder).files, Path(scratch), nearest=nearest)
        pieces = {
            parameter: {moment: parts.read(name, moment, flamingo.held(parameter)) for moment in (None, *MOMENTS)}
            for name, parameter in trained_parameters(flamingo.model)
        }
    flamingo.restore(pieces, steps)


def copy_share(flamingo: AnyFlamingo) -> Share:
    """This rank's part of the optimiser, and on the first the adapters: copies, which training does not change."""
    optimizer = {
        tensor_name(name, moment, mine.start): _copied(flamingo.piece(parameter, moment))
        for name, parameter in trained_parameters(flamingo.model)
        for mine in [flamingo.saved(parameter)]
        for moment in (None, *MOMENTS)
    }
    share: dict[str, Callable[[Path], object]] = {
        part_name(dist.get_rank(), dist.get_world_size()): lambda path: save_file(optimizer, path)
    }
    adapters = {name: _gathered(parameter) for name, parameter in trained_parameters(flamingo.model)}
    if dist.get_rank() == 0:
        state = {name: value for name, value in adapters.items() if value is not None}
        described = describe_adapters(flamingo.model.config, flamingo.model.fingerprints)
        share[f"{ADAPTERS}/{WEIGHTS}"] = lambda path: save_file(state, path)
        share[f"{ADAPTERS}/{CONFIG}"] = lambda path: path.write_text(described, encoding="utf-8")
    return share


def write_share(folder: Location, share: Share) -> Written:
    """Writes the files of `share` to `folder`."""
    files = dict[str, str]()
    try:
        for name, write in share.items():
            with (folder / name).written_whole() as path:
                write(path)
                with path.open("rb") as file:
                    files[name] = hashlib.file_digest(file, "sha256").hexdigest()
    except UNWRITABLE as error:
        return Written(files={}, failure=_describe(folder, error))
    return Written(files=files)


def _gathered(parameter: nn.Parameter) -> Tensor | None:
    """The whole of a parameter, on the first rank. All ranks must call it."""
    with deepspeed.zero.GatheredParameters([parameter]):
        return _copied(parameter) if dist.get_rank() == 0 else None


def _copied(values: Tensor) -> Tensor:
    return values.detach().to("cpu", copy=True).contiguous()


def _describe(folder: Location, error: Exception) -> str:
    return f"checkpoint {folder} cannot be written: {error}"
