"""Hooks of mkdocs: README and its siblings are pages, and links lead to pages."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files

_log = get_plugin_logger(__name__)

ROOT = Path(__file__).parent.parent
# The pages that the repository shows by themselves.
PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in docs/."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **kwargs: Any) -> str:
    """Make each link, which is one of the repository's, one of the site's."""
    folder = "" if page.file.src_uri in PAGES.values() else "docs"

    def translate(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        if target in PAGES:
            return PAGES[target]
        if target.startswith("docs/"):
            return target.removeprefix("docs/")
        if not (ROOT / target).exists():
            _log.warning("%s: there is no %s", page.file.src_uri, target)
        return f"{config.repo_url.rstrip('/')}/blob/main/{target}"

    return _LINK.sub(translate, markdown)
