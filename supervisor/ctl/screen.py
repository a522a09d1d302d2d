"""How replies look to a person: tables, trees, lines. Imported only when a person is looking.

The rule: it shows what a reply says and decides nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

Reply = Mapping[str, Any]

STATE_STYLES = {
    "ready": "green",
    "done": "green",
    "starting": "cyan",
    "waiting": "cyan",
    "draining": "yellow",
    "stopping": "yellow",
    "backoff": "yellow",
    "aborting": "red",
    "killing": "red",
    "fatal": "bold red",
    "stopped": "dim",
}
LEVEL_STYLES = {"error": "bold red", "warning": "yellow", "debug": "dim"}
_BAR = "▏▎▍▌▋▊▉█"
_BAR_CELLS = 4
_MIB = 1024 * 1024
_EPOCH_MS = 10**12  # 2001: what is larger is no duration


def status(reply: Reply) -> RenderableType:
    parts: list[RenderableType] = [headline(reply), children_table(reply["children"])]
    if reply["pools"]:
        parts.append(pools_table(reply["pools"]))
    return Group(*parts)


def headline(reply: Reply) -> Text:
    wanted = [child for child in reply["children"] if child["wanted"]]
    ready = sum(child["state"] == "ready" for child in wanted)
    style = "bold green" if reply["as_wanted"] else "bold yellow"
    root, listening = reply["root"], ", ".join(f"{name} {_address(*at)}" for name, at in reply["listeners"].items())
    line = Text.assemble(("● ", style), (f"{ready} of {len(wanted)} ready", style), f"   {root['phase']}")
    line.append(f"   pid {root['pid']}   up {duration(root['uptime_s'])}", style="dim")
    return line.append(f"   {listening}", style="dim") if listening else line


def children_table(children: Sequence[Reply]) -> Table:
    """Show one line a child; on a narrow terminal the last column gives way."""
    table = _table()
    table.add_column("CHILD", no_wrap=True, min_width=10, max_width=20)
    table.add_column("STATE", no_wrap=True, min_width=8)
    for name, width in (("PID", 5), ("UP", 5), ("RST", 3), ("CPU", 4), ("RSS", 5)):
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    table.add_column("LOAD", no_wrap=True, min_width=_BAR_CELLS + 4)
    table.add_column("LAST", no_wrap=True, overflow="ellipsis", ratio=1)
    for child in children:
        table.add_row(*_child_cells(child))
    return table


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def _child_cells(child: Reply) -> tuple[RenderableType, ...]:
    runs = child["pid"] is not None
    state = Text(child["state"], style=STATE_STYLES.get(child["state"], ""))
    if not child["healthy"] and runs:
        state.append(" unwell", style="bold yellow")
    return (
        Text(child["name"], style="bold" if child["critical"] else ""),
        state,
        str(child["pid"] or "–"),
        duration(child["uptime_s"]) if runs else "–",
        Text(str(child["restarts"]), style="yellow" if child["restarts"] else "dim"),
        f"{child['cpu']:.0%}" if runs else "–",
        f"{child['rss_bytes'] / _MIB:.0f} M" if runs else "–",
        bar(child["load"]) if runs else Text(""),
        Text(_last(child), style="dim", no_wrap=True, overflow="ellipsis"),
    )


def _last(child: Reply) -> str:
    said = child["reason"] if child["state"] != "ready" or not child["healthy"] else ""
    return said or " ".join(child["keys"]) or child["last_event"].removeprefix("worker_")


def pools_table(pools: Sequence[Reply]) -> Table:
    table = _table()
    table.add_column("POOL", no_wrap=True)
    for name in ("SIZE", "OK", "QUEUE", "/S", "MEAN", "P99", "ERR"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("LOAD", no_wrap=True, min_width=_BAR_CELLS + 4)
    table.add_column("BY", no_wrap=True)
    for pool in pools:
        table.add_row(
            pool["name"] + (" ⟳" if pool["rolling"] else ""),
            f"{pool['active']}/{pool['size']} ({pool['minimum']}–{pool['maximum']})",
            str(pool["healthy"]),
            f"{pool['queue']:.0f}",
            f"{pool['throughput_per_s']:.0f}",
            milliseconds(pool["latency_mean_s"]),
            milliseconds(pool["latency_p99_s"]),
            f"{pool['error_rate']:.1%}",
            bar(pool["saturation"]),
            pool["strategy"].replace("_", " "),
        )
    return table


def breakers_table(reply: Reply) -> Table:
    """Show the supervisor's circuit of each child, then what the children say of their own breakers."""
    table = _table()
    for name in ("CHILD", "BREAKER", "STATE", ""):
        table.add_column(name, no_wrap=True)
    for circuit in reply["supervisor"]:
        table.add_row(circuit["child"], "health", _breaker("open" if circuit["open"] else "closed"))
    for child in reply["children"]:
        result = child.get("result", child.get("error"))
        for name, said in (result if isinstance(result, Mapping) else {"": result}).items():
            more = dict(said) if isinstance(said, Mapping) else {"state": said}
            table.add_row(child["child"], name, _breaker(str(more.pop("state", ""))), Text(_figures(more), style="dim"))
    return table


def _breaker(state: str) -> Text:
    return Text(state, style={"closed": "green", "open": "bold red"}.get(state, "yellow"))


def streams(reply: Reply) -> RenderableType:
    tables = streams_tables(reply["children"])
    spaced = [part for table in tables for part in (Text(), table)]
    return Group(*spaced[1:]) if spaced else Text("no child reports streams")


def streams_tables(children: Sequence[Reply], rows: int = 1000) -> list[Table]:
    """Show what each child reports of its streams, one line a stream; reports of one shape share a table.

    At most `rows` lines in all, the blank one before a table and its head included; what is left out is counted.
    """
    shapes: dict[tuple[str, ...], list[tuple[str, str, Reply]]] = {}
    for child in children:
        for name, figures in _streams(child):
            shapes.setdefault(tuple(figures), []).append((child["child"], name, figures))
    tables: list[Table] = []
    for shape, lines in shapes.items():
        room = rows - sum(table.row_count + 2 for table in tables) - 2
        if room > 0:
            tables.append(_streams_of(shape, lines[:room] if len(lines) <= room else lines[: room - 1]))
            if len(lines) > room:
                tables[-1].add_row(Text(f"… {len(lines) - room + 1} more", style="dim"))
    return tables


def _streams(child: Reply) -> Iterator[tuple[str, Reply]]:
    if "error" in child:
        yield "", {"error": child["error"]}
        return
    reported = child["result"]
    is_by_stream = isinstance(reported, Mapping) and all(isinstance(each, Mapping) for each in reported.values())
    yield from (
        reported if is_by_stream else {"": reported if isinstance(reported, Mapping) else {"": reported}}
    ).items()


def _streams_of(shape: Sequence[str], lines: Sequence[tuple[str, str, Reply]]) -> Table:
    table = _table()
    for head in ("CHILD", "STREAM"):
        table.add_column(head, no_wrap=True)
    for figure in shape:
        is_number = all(isinstance(of[figure], int | float | None) for *_, of in lines)
        head = figure.removesuffix("_ms").replace("_", " ").upper()
        table.add_column(head, justify="right" if is_number else "left", no_wrap=True, overflow="ellipsis")
    for child, name, figures in lines:
        table.add_row(child, name, *(_figure(figure, figures[figure]) for figure in shape))
    return table


def _figure(name: str, value: object) -> str:
    """Render one figure; `…_ms` so large that it is a moment becomes a time of day."""
    if isinstance(value, int) and name.endswith("_ms") and value >= _EPOCH_MS:
        return clock(value)
    return "–" if value is None else f"{value}"


def _figures(figures: Reply) -> str:
    return "  ".join(f"{name} {value}".strip() for name, value in figures.items())


def tree(reply: Reply) -> Tree:
    """Show the start order as levels, with pools and groups as branches."""
    shown = Tree(headline(reply), guide_style="dim")
    if zygote := reply["root"].get("zygote_pid"):
        shown.add(Text(f"zygote  pid {zygote}", style="dim"))
    for order in sorted({child["order"] for child in reply["children"]}):
        level = shown.add(Text(f"order {order}", style="dim"))
        branches: dict[str, Tree] = {}
        for child in (child for child in reply["children"] if child["order"] == order):
            family = child["pool"] or child["group"]
            if family and family not in branches:
                branches[family] = level.add(Text(family, style="bold"))
            branches.get(family, level).add(_leaf(child))
    return shown


def _leaf(child: Reply) -> Text:
    line = Text.assemble(child["name"], "  ", (child["state"], STATE_STYLES.get(child["state"], "")))
    return line.append(f"  {' '.join(child['keys'])}", style="dim") if child["keys"] else line


def details(reply: Reply) -> Table:
    """Show nested values as one name and value a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _flat(reply):
        table.add_row(name, value)
    return table


def _flat(reply: Reply, prefix: str = "") -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for name, value in reply.items():
        if isinstance(value, Mapping):
            lines += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            for index, each in enumerate(value):
                lines += _flat(each, f"{prefix}{each.get('child', each.get('pool', index))}.")
        elif name not in ("version", "child", "pool"):
            lines.append((prefix + name, " ".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}"))
    return lines


def explained(reply: Reply) -> RenderableType:
    shown: list[RenderableType] = []
    for pool in reply["pools"]:
        shown.append(Text.assemble((pool["pool"], "bold"), f"  {pool['size']} members: {pool['why']}"))
        for name, sign in pool["signs"].items():
            style = "red" if sign["value"] > sign["up"] else "green" if sign["value"] <= sign["down"] else ""
            shown.append(Text.assemble(f"  {name:<11}", (f"{sign['value']:.2f}", style)).append(
                f"   down at {sign['down']:.2f}, up above {sign['up']:.2f}", style="dim"))  # fmt: skip
    return Group(*shown)


def stacks(reply: Reply) -> RenderableType:
    """Show the threads, then the tasks indented by nursery."""
    lines = [Text(f"{reply['child']} (pid {reply['pid']})", style="bold"), Text(reply["threads"] or "no answer")]
    if reply["tasks"] is None:
        return Group(*lines, Text("the loop does not answer: it hangs, or is very busy", style="bold red"))
    for task in reply["tasks"]:
        indent = "  " * task["depth"]
        lines.append(Text(f"{indent}{task['task']}", style="cyan"))
        lines += [Text(f"{indent}    {where}", style="dim") for where in task["at"]]
    return Group(*lines)


def event(reply: Reply) -> Text:
    rest = {name: value for name, value in reply.items() if name not in ("version", "at_ms", "event", "level", "child")}
    level = str(reply.get("level", "info"))
    line = Text.assemble((clock(reply["at_ms"]), "dim"), " ") if "at_ms" in reply else Text()
    line.append(f"{level:<8}", style=LEVEL_STYLES.get(level, "")).append(f"{reply.get('child', ''):<20} ")
    line.append(f"{reply['event']} ", style=LEVEL_STYLES.get(level, "bold"))
    return line.append(" ".join(f"{name}={value}" for name, value in rest.items()), style="dim")


def plan(reply: Reply) -> RenderableType:
    """Show a reload: what was, or would be, done."""
    verb = "would be " if reply["dry_run"] else ""
    lines = [Text(f"{verb}{what}: {', '.join(reply[what])}") for what in ("added", "removed") if reply[what]]
    for what in ("live", "replaced"):
        word = "changed live" if what == "live" else "replaced"
        lines += [Text(f"{verb}{word}: {name} ({', '.join(names)})") for name, names in reply[what].items()]
    lines += [Text(f"refused: {why}", style="yellow") for why in reply["refused"]]
    return Group(*lines) if lines else Text("nothing changes")


def names(reply: Reply) -> Text:
    return Text(" ".join(reply["children"]) or "nothing to do")


def brief(reply: Reply) -> Text:
    return Text("  ".join(f"{name} {value}" for name, value in reply.items() if name != "version"))


RENDERERS: Mapping[str, Callable[[Reply], RenderableType]] = {
    "status": status,
    "tree": tree,
    "inspect": details,
    "start": names,
    "stop": names,
    "restart": names,
    "scale": brief,
    "autoscale explain": explained,
    "reload": plan,
    "drain": names,
    "reset-failed": names,
    "stack": stacks,
    "log-level": names,
    "events": event,
    "streams": streams,
    "breakers": breakers_table,
    "wait": headline,
    "shutdown": lambda _: Text("stopping"),
    "version": brief,
}


def show(command: str, reply: Reply) -> None:
    Console(highlight=False, soft_wrap=command in ("stack", "events")).print(RENDERERS[command](reply))


# --- small words


def bar(share: float) -> Text:
    """Draw a share of 0 to 1 in eighths of a cell, coloured by how full it is."""
    eighths = round(min(max(share, 0.0), 1.0) * _BAR_CELLS * 8)
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + (_BAR[rest - 1] if rest else "")
    style = "red" if share > 0.8 else "yellow" if share > 0.5 else "green"
    return Text(f"{drawn:<{_BAR_CELLS}}", style=style).append(f" {share:.0%}", style="dim")


def duration(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d{hour:02}h"
    return f"{hour}h{minute:02}m" if hour else f"{minute}m{second:02}s" if minute else f"{second}s"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds else "–"


def clock(at_ms: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1000)) + f".{at_ms % 1000:03}"


def _address(host: str, port: int) -> str:
    return f"{host}:{port}" if port else host
