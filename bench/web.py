"""The page of registries with many records, beside the same page with ten.

    python -m bench.web [RECORDS]

What chromium says of each, in milliseconds since the navigation began: the answer's first byte,
the first contentful paint, and the whole page; the median of some loads by browsers that were
never here, and by one that was. And what is transferred, and how long the filter takes from the
key to the new list.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser

from tests.parts.browser import chromium
from tests.parts.server import PullpassServer, pullpass_server
from tests.web.person import Person

_FEW = 10
_LOADS = 15
_AT_ONCE = 8
_TIMES = """
() => {
  const [page] = performance.getEntriesByType("navigation");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const parts = performance.getEntriesByType("resource").filter(
    (part) => part.name.includes("/ui/static/"));
  return {
    first_byte: page.responseStart, first_paint: paint.startTime, complete: page.loadEventEnd,
    page_bytes: page.transferSize,
    asset_bytes: parts.reduce((sum, part) => sum + part.transferSize, 0),
  };
}
"""


async def fill(server: PullpassServer, count: int) -> None:
    limit = asyncio.Semaphore(_AT_ONCE)
    headers = {"Authorization": f"Bearer {server.admin_token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as http:

        async def create(number: int) -> None:
            creds = {"username": "bot", "password": "pw", "expires": "2030-01-31T00:00:00Z"}
            record = {
                "id": f"record-{number:05}",
                "registry": f"registry-{number % 100}.example.com/team-{number}",
                "type": "basic",
                "creds": creds,
            }
            async with limit:
                answer = await http.post("/orgs/acme/registries", json=record)
                assert answer.status_code == 201, answer.text

        await asyncio.gather(*(create(number) for number in range(count)))


def loads(browser: Browser, person: Person, *, cold: bool) -> dict[str, float]:
    """The medians of some loads; each cold one is that of a browser that was never here."""
    cookies = person.page.context.storage_state()
    found: list[dict[str, Any]] = []
    for _ in range(_LOADS):
        if cold:
            with Person.at(browser, person.server, storage_state=cookies) as fresh:
                found.append(_load(fresh))
        else:
            found.append(_load(person))
    return {name: round(statistics.median(each[name] for each in found), 1) for name in found[0]}


def _load(person: Person) -> dict[str, Any]:
    person.go("/registries")
    page = person.page
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
    page.wait_for_function("() => performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
    taken: dict[str, Any] = page.evaluate(_TIMES)
    return taken


def filtering(person: Person) -> float:
    """Milliseconds from the last key to the list that has only what was typed."""
    taken = []
    for number in range(_LOADS):
        person.go("/registries")
        box = person.page.get_by_role("searchbox")
        box.focus()
        text = f"team-{number}"
        began = time.perf_counter()
        box.fill(text)
        person.page.wait_for_function("text => location.search.includes(text)", arg=f"={text}")
        taken.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(taken), 1)


def measure(folder: Path, records: int) -> dict[str, Any]:
    with pullpass_server(folder) as server:
        asyncio.run(fill(server, records))
        with chromium() as browser, Person.at(browser, server) as person:
            person.sign_in()
            return {
                "cold": loads(browser, person, cold=True),
                "warm": loads(browser, person, cold=False),
                "filter_ms": filtering(person),
            }


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    found: dict[int, dict[str, Any]] = {}
    for records in (_FEW, many):
        with tempfile.TemporaryDirectory(prefix="pullpass-bench-") as place:
            found[records] = measure(Path(place) / "data", records)
    for records, figures in found.items():
        for cache in ("cold", "warm"):
            shown = ", ".join(f"{name} {value}" for name, value in figures[cache].items())
            print(f"{records:>6} records, {cache}: {shown}")
        print(f"{records:>6} records: filter {figures['filter_ms']} ms from the key to the list")
    paint = [found[records]["cold"]["first_paint"] for records in (_FEW, many)]
    ratio = round(paint[1] / paint[0], 2)
    print(f"first paint with {many} records: {ratio} times that with {_FEW}")
    print(json.dumps({"first_paint_ratio": ratio, **{str(key): found[key] for key in found}}))


if __name__ == "__main__":
    main()
