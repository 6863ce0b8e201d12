"""Notice that nodes will be taken away: a checkpoint is made at once, so that little has to be made again elsewhere."""

import ray.train


class Notices:
    """The nodes of which it is known that they will go, as Ray says."""

    def __init__(self) -> None:
        self._known = set[str]()

    def came(self) -> bool:
        """Whether there is notice of a node since the last call. All ranks must call it, and get the same answer."""
        told = ray.train.get_preemption_info()
        new = set(told.preempted_node_ids if told else ()) - self._known
        self._known |= new
        return bool(new)
