"""What is mutated, by which operators, and which tests sit in judgement."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["CODECS_AND_RULES", "SERVICES", "Target", "is_telling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A module of the package, and the tests that have to notice its mutants."""

    module: str
    tests: tuple[str, ...]


# What all value classes have in common.
_VALUES = "tests/test_house.py::test_a_value_is_frozen_and_built_by_name"


def _target(module: str, *tests: str) -> Target:
    return Target(
        module=f"rotating_sessions/{module}.py",
        tests=(_VALUES, *(f"tests/test_{test}.py" for test in tests)),
    )


# No mutant of these may survive.
CODECS_AND_RULES = (
    _target("rotation/rules", "rotation"),
    _target("rotation/values", "rotation"),
    _target("tokens/refresh", "tokens_secrecy", "tokens_refresh"),
    _target("tokens/access", "tokens_secrecy", "tokens_access"),
    _target("tokens/keys", "tokens_keys", "tokens_refresh"),
    _target("authentication/remembered", "authentication_remembered"),
    _target("permissions/claims", "permissions_claims"),
)

# Whoever survives of these is explained in `survivors`.
SERVICES = (
    _target("services/answering", "services_refresh", "signals"),
    _target("services/backlog", "services_backlog"),
    _target("services/deciding", "services_refresh"),
    _target("services/login", "services_login", "signals", "tokens_secrecy"),
    _target("services/purge", "services_purge"),
    _target("services/reading", "services_reading", "services_refresh"),
    _target("services/refresh", "services_refresh", "tokens_secrecy"),
    _target("services/revocation", "services_revocation", "signals", "tokens_secrecy"),
    _target("services/transactions", "services_transactions"),
    _target("services/use", "services_use"),
)

# An operator of the same kind, replaced at the same place, dies by the same test: of
# those that put another operator into an expression, the opposite one is the hardest
# to notice, and the others are left to the deep run.
_OPPOSITES = {
    *("Add_Sub", "Sub_Add", "Mul_Div", "FloorDiv_Mul", "BitOr_BitAnd", "BitAnd_BitOr"),
    *("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Eq_NotEq", "NotEq_Eq"),
    *("Lt_GtE", "LtE_Gt", "Gt_LtE", "GtE_Lt", "Is_IsNot", "IsNot_Is"),
}
_REPLACEMENT = re.compile(r"core/Replace(?:Binary|Comparison)Operator_(\w+)")


def is_telling(operator: str) -> bool:
    """Tell whether an operator belongs into the bounded run."""
    match = _REPLACEMENT.fullmatch(operator)
    return match is None or match[1] in _OPPOSITES
