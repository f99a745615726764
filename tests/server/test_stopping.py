"""Stopping: what waits for something to happen is answered, not waited for."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path

import httpx

from tests.parts.server import pullpass_server


def test_who_waits_for_a_change_does_not_hold_the_server_up(tmp_path: Path) -> None:
    with pullpass_server(tmp_path / "data", arguments=["--workers", "2"]) as server:
        poll = HTTPConnection("127.0.0.1", server.port)
        headers = {"Authorization": f"Bearer {server.admin_token}"}
        poll.request("GET", "/orgs/acme/changes", headers=headers)
        since = json.load(poll.getresponse())["revision"]
        poll.request("GET", f"/orgs/acme/changes?since={since}&wait=55", headers=headers)
        with httpx.Client(base_url=server.url, timeout=None, trust_env=False) as client:
            token, own = {"token": server.admin_token}, {"Origin": server.url}
            assert client.post("/ui/sign-in", data=token, headers=own).status_code == 303
            with client.stream("GET", "/ui/orgs/acme/events") as answer:
                events = answer.iter_text()
                assert next(events).startswith("retry: ")
                # Both clients go on waiting. Where the server does too, it loses its patience in
                # the end and cuts them off: an error at this end.
                server.stop()
                assert "error" not in "".join(events)
            assert poll.getresponse().status == 204
        poll.close()
        last = json.loads(server.log_text().splitlines()[-1])
        assert (last["logger"], last["event"]) == ("pullpass.server", "stopped")
