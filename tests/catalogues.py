"""What there is to translate in a package, found without the gettext tools."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
from django.template import Engine
from django.template.base import Node
from django.templatetags.i18n import BlockTranslateNode, TranslateNode

# Of each function: which arguments are the text, its plural and its context.
_FUNCTIONS = {
    "_": (0, None, None),
    "gettext": (0, None, None),
    "gettext_lazy": (0, None, None),
    "gettext_noop": (0, None, None),
    "ngettext": (0, 1, None),
    "ngettext_lazy": (0, 1, None),
    "pgettext": (1, None, 0),
    "pgettext_lazy": (1, None, 0),
    "npgettext": (1, 2, 0),
}

# The text, its plural and its context: what a catalogue knows it by.
Key = tuple[str, str, str]


def texts_of(package: Path) -> set[Key]:
    """Return every text that the package's modules and templates mark."""
    modules = package.rglob("*.py")
    templates = [*package.rglob("templates/**/*.html"), *package.rglob("*.txt")]
    return {
        *(key for path in modules for key in _of_module(path.read_text("utf-8"))),
        *(key for path in templates for key in _of_template(path.read_text("utf-8"))),
    }


def catalogue_of(package: Path, language: str) -> polib.POFile:
    return polib.pofile(str(_path(package, language, "po")))


def compiled_of(package: Path, language: str) -> polib.MOFile:
    return polib.mofile(str(_path(package, language, "mo")))


def key_of(entry: polib.POEntry) -> Key:
    return entry.msgid, entry.msgid_plural, entry.msgctxt or ""


def translations_of(entry: polib.POEntry) -> list[str]:
    """Return the translation, or one for each plural form."""
    return list(entry.msgstr_plural.values()) or [entry.msgstr]


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)[a-z]|%[a-z%]|\{\w*\}", text))


def _path(package: Path, language: str, suffix: str) -> Path:
    return package / "locale" / language / "LC_MESSAGES" / f"django.{suffix}"


def _of_module(source: str) -> Iterator[Key]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        places = _FUNCTIONS.get(name)
        # A text that is no literal was marked elsewhere.
        if places and isinstance(node.args[places[0]], ast.Constant):
            text, plural, context = (
                "" if place is None else ast.literal_eval(node.args[place])
                for place in places
            )
            yield text, plural, context


def _of_template(source: str) -> Iterator[Key]:
    nodes = Engine.get_default().from_string(source).nodelist
    for node in nodes.get_nodes_by_type(Node):
        if isinstance(node, TranslateNode):
            yield str(node.filter_expression.var.literal), "", _context(node)
        if isinstance(node, BlockTranslateNode):
            text, _names = node.render_token_list(node.singular)
            plural, _names = node.render_token_list(node.plural)
            yield text, plural, _context(node)
    # Texts that are arguments of tags and filters.
    arguments = re.findall(r"""\b_\(["'](.+?)["']\)""", source)
    yield from ((text, "", "") for text in arguments)


def _context(node: TranslateNode | BlockTranslateNode) -> str:
    context = node.message_context
    return "" if context is None else str(context.var)
