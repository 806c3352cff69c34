"""Every two operations, and what follows from what each is declared to do."""

from __future__ import annotations

from dataclasses import dataclass

from tests.races.operations import OPERATIONS, Operation
from tests.races.stage import Situation


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two operations on one session, and what follows for it in a situation."""

    left: Operation
    right: Operation

    def __str__(self) -> str:
        return f"{self.left.name} x {self.right.name}"

    @property
    def both(self) -> tuple[Operation, Operation]:
        return self.left, self.right

    @property
    def names(self) -> set[str]:
        return {self.left.name, self.right.name}

    def is_theft(self, situation: Situation) -> bool:
        """Tell whether the tokens that the two present give a copy away."""
        if "refresh" not in self.names or situation is Situation.DUE:
            return False
        used = any(operation.uses_access for operation in self.both)
        return used or situation is Situation.STOLEN

    def reasons(self, situation: Situation) -> set[str]:
        """Return why the raced session may have ended."""
        stolen = {"reused"} if self.is_theft(situation) else set()
        return stolen.union(*(operation.ends for operation in self.both))

    def must_end(self, situation: Situation) -> bool:
        """Tell whether the raced session has ended in whichever order they ran."""
        always = any(operation.always for operation in self.both)
        return always or self.is_theft(situation)

    def answers(
        self, operation: Operation, situation: Situation
    ) -> set[tuple[int, str | None]]:
        """Return what the operation may be answered in this pair."""
        may_refuse = operation.needs_session and bool(self.reasons(situation))
        if operation.needs_login:
            may_refuse |= any(either.ends_login for either in self.both)
        return {*operation.answers, *(operation.refusals if may_refuse else ())}

    def situations(self) -> list[Situation]:
        """Return the situations that make a difference to the two."""
        return [*Situation] if "refresh" in self.names else [Situation.DUE]


PAIRS = [
    Pair(left=left, right=right)
    for place, left in enumerate(OPERATIONS)
    for right in OPERATIONS[place:]
]
