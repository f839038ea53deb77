"""The help of a command: its own options first, those that every command has after them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

PANEL = "Stack and output"
"""The section of the options that every command has."""


class Command(TyperCommand):
    """A command whose help names no Python types and has sections."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], PANEL: []}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if not record:
                continue
            name, text = record
            if each.param_type_name == "argument":
                sections["Arguments"].append((name.partition(" <")[0], text))
            else:
                panel = getattr(each, "rich_help_panel", None)
                sections[panel or "Options"].append((name, text))
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
