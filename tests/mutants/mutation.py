"""Make mutants of a module, without those that cannot make a difference."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.work_item import MutationSpec, TestOutcome

__all__ = ["Mutant", "find_mutants"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One small change of one module; `change` shows the lines before and after."""

    specification: MutationSpec
    change: str

    def survives(self, project: Path, command: str, timeout: float) -> bool:
        """Tell whether the tests pass with the mutant in a copy of the project."""
        spec = self.specification
        there = MutationSpec(
            module_path=project / spec.module_path,
            operator_name=spec.operator_name,
            occurrence=spec.occurrence,
            start_pos=spec.start_pos,
            end_pos=spec.end_pos,
            operator_args=spec.operator_args,
        )
        result = mutate_and_test([there], command, timeout)
        if result.test_outcome is TestOutcome.INCOMPETENT:
            raise RuntimeError(result.output)
        return result.test_outcome is TestOutcome.SURVIVED


def find_mutants(module: Path, wanted: Callable[[str], bool]) -> Iterator[Mutant]:
    """Yield the mutants of a module by the operators wanted, each code only once."""
    source = module.read_text()
    seen = {_meaning(source)}
    tree = get_ast_from_path(module)
    for name in sorted(filter(wanted, cosmic_ray.plugins.operator_names())):
        operator = cosmic_ray.plugins.get_operator(name)
        if operator.arguments():
            continue
        places = (
            place
            for node in ast_nodes(tree)
            for place in operator().mutation_positions(node)
        )
        for occurrence, (start, end) in enumerate(places):
            mutated = _mutate(source, operator(), occurrence)
            if mutated is None or (meaning := _meaning(mutated)) in seen:
                continue
            seen.add(meaning)
            specification = MutationSpec(
                module_path=module,
                operator_name=name,
                occurrence=occurrence,
                start_pos=start,
                end_pos=end,
            )
            yield Mutant(specification=specification, change=_change(source, mutated))


def _mutate(source: str, operator: Any, occurrence: int) -> str | None:
    try:
        mutated: str | None = mutate_code(source, operator, occurrence)
    except AttributeError:
        # cosmic-ray cannot replace an exception with a dotted name, `jwt.PyJWTError`.
        return None
    return mutated


def _meaning(source: str) -> str:
    """Return the code without annotations, which nothing ever evaluates."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign():
                node.annotation = ast.Constant(value=None)
            case ast.arg():
                node.annotation = None
            case ast.FunctionDef():
                node.returns = None
    return ast.dump(tree)


def _change(before: str, after: str) -> str:
    """Return the lines before and after, without where they stand."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    old, new = (
        " ".join(line[2:].strip() for line in lines if line.startswith(sign))
        for sign in ("- ", "+ ")
    )
    return f"{old}  ->  {new}"
