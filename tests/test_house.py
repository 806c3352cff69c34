"""The house rules that the source itself shows."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import walk_packages

import pytest

import rotating_sessions

PACKAGE = Path(rotating_sessions.__file__).parent
MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if "migrations" not in path.parts
)
WITH_CODE = [module for module in MODULES if (PACKAGE / module).read_text().strip()]
VALUES = sorted(
    {
        value
        for module in walk_packages(rotating_sessions.__path__, "rotating_sessions.")
        # Django before 6.0 has no tasks, and so nothing to import there.
        if find_spec("django.tasks") or module.name != "rotating_sessions.tasks"
        # allauth can be imported only where it is installed as an app.
        if not module.name.startswith("rotating_sessions.contrib.allauth.")
        for value in vars(import_module(module.name)).values()
        if isinstance(value, type)
        and is_dataclass(value)
        and value.__module__.startswith("rotating_sessions.")
    },
    key=lambda value: value.__qualname__,
)
# Methods by which Django writes to the database.
WRITERS = {
    *("save", "delete", "update", "create", "get_or_create", "update_or_create"),
    *("bulk_create", "bulk_update", "raw", "execute", "executemany"),
    *("asave", "adelete", "aupdate", "acreate", "abulk_create", "abulk_update"),
}
# What is called so outside `services` without writing to a table of ours.
NO_WRITES = {
    # The set of revoked families in this process is a dict.
    ("revocation_list.py", "self.revoked_at.update"),
    # Django's sessions, in which allauth keeps what it notes, are Django's tables.
    ("contrib/allauth/state.py", "old.delete"),
    ("contrib/allauth/state.py", "request.session.delete"),
    ("contrib/allauth/state.py", "state.save"),
    ("contrib/allauth/state.py", "state.update"),
}
# Nothing here runs code from data, starts a process or opens a connection of its own.
DANGEROUS_IMPORTS = {
    *("pickle", "marshal", "shelve", "subprocess", "socket", "ctypes", "importlib"),
    *("urllib.request", "http.client", "requests", "yaml"),
}
DANGEROUS_CALLS = {"eval", "exec", "compile", "__import__", "mark_safe"}
SECRET_NAMES = {"digest", "tag", "filter", "secret", "auth_hash", "mac", "signature"}


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text())


def imports(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


@pytest.mark.parametrize(
    "module", [m for m in MODULES if not m.startswith("services/")]
)
def test_only_services_write(module):
    """RT-15: No module outside `services` calls what writes to the database."""
    writing = {
        (module, call)
        for call in calls(module)
        if "." in call and call.rpartition(".")[2] in WRITERS
    }

    assert writing - NO_WRITES == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short(module):
    """A module holds one idea in 200 lines, a module of services in 250."""
    limit = 250 if module.startswith("services/") else 200

    lines = (PACKAGE / module).read_text().splitlines()

    assert len(lines) <= limit


@pytest.mark.parametrize(
    "script", sorted(PACKAGE.rglob("*.js")), ids=lambda script: script.name
)
def test_a_script_is_short(script):
    """A script holds one idea in fewer than 200 lines of at most 96 characters."""
    lines = script.read_text().splitlines()

    assert len(lines) < 200
    assert max(map(len, lines)) <= 96


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_named_after_its_idea(module):
    """No module is a drawer for what belongs nowhere."""
    parts = set(Path(module).with_suffix("").parts)

    assert parts.isdisjoint({"utils", "helpers", "common", "base", "core", "misc"})


@pytest.mark.parametrize("module", MODULES)
def test_nothing_runs_what_it_reads(module):
    """DP-04: No module unpickles, evaluates, starts a process or calls a server."""
    imported = set(imports(module)) & DANGEROUS_IMPORTS
    called = set(calls(module)) & DANGEROUS_CALLS

    assert (imported, called) == (set(), set())


@pytest.mark.parametrize("module", MODULES)
def test_secrets_are_compared_in_constant_time(module):
    """KM-07: No MAC, digest, filter or secret is compared by == or `in`."""
    suspects = [
        ast.unparse(node)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Compare)
        and not all(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops)
        and any(_is_secret(side) for side in (node.left, *node.comparators))
    ]

    assert suspects == []


def test_macs_are_compared_where_expected():
    """KM-07: Rules, key ring, codecs, password stamps and CSRF use compare_digest."""
    comparing = {
        module
        for module in MODULES
        for call in calls(module)
        if call.endswith("compare_digest")
    }

    codecs = {"tokens/keys.py", "tokens/refresh.py", "fdi/anti_csrf.py"}
    assert comparing == codecs | {"rotation/rules.py", "services/reading.py"}


def test_the_package_itself_is_empty():
    """`rotating_sessions/__init__.py` holds nothing: importing the app does nothing."""
    assert (PACKAGE / "__init__.py").read_text() == ""


@pytest.mark.parametrize("module", WITH_CODE)
def test_a_module_says_what_it_is_for(module):
    """Every module with content opens with a docstring of at least one sentence."""
    docstring = ast.get_docstring(tree(module))

    assert docstring
    assert docstring.rstrip().endswith(".")


@pytest.mark.parametrize(
    "module", [module for module in WITH_CODE if len(tree(module).body) > 1]
)
def test_a_module_with_code_postpones_its_annotations(module):
    """Every module with code imports annotations from __future__."""
    assert "__future__.annotations" in set(imports(module))


@pytest.mark.parametrize(
    "module",
    [m for m in MODULES if m == "exceptions.py" or m.startswith("rotation")],
)
def test_the_ground_floor_needs_the_standard_library_only(module):
    """I-17: Exceptions and rotation import the standard library and themselves only."""
    roots = {name.partition(".")[0] for name in imports(module)}
    own = {name for name in imports(module) if name.startswith("rotating_sessions")}

    assert roots <= {*sys.stdlib_module_names, "rotating_sessions"}
    assert all(name.startswith("rotating_sessions.rotation") for name in own)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_a_value_is_frozen_and_built_by_name(value):
    """A dataclass cannot change, takes no position, and has the fields it declares."""
    positional = [field.name for field in fields(value) if not field.kw_only]

    assert value.__dataclass_params__.frozen
    assert positional == []
    assert "__slots__" in vars(value)


def test_only_tokens_knows_what_a_jwt_is():
    """JV-01: PyJWT is imported in one place, which pins its algorithms."""
    importers = {module for module in MODULES if "jwt" in set(imports(module))}

    assert importers == {"tokens/access.py"}


def _is_secret(node: ast.expr) -> bool:
    """Tell whether an expression is named like a secret, or makes one."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):
        node = node.value
    name = getattr(node, "attr", getattr(node, "id", ""))
    return any(part in SECRET_NAMES for part in (name, *name.split("_")))
