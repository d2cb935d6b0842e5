import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mcp_agentspawn.adapters.registry.helpers import MOST_REPORT_BYTES, HelperFailed, helped
from mcp_agentspawn.adapters.registry.worker import MOST_FILE_BYTES
from tests.localplane.waiting import until, until_now

JOB = {"secret": "in the job alone"}
PATIENCE = 20.0
FOR_EVER = "import threading; threading.Event().wait()"
SERVING = "from mcp_agentspawn.adapters.registry.worker import serve; serve(work)"

Pretend = Callable[[str], None]


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Have every helper be this program."""

    def pretended(program: str) -> None:
        script = tmp_path / "helper"
        script.write_text(f"#!{sys.executable} -B\n{program}\n")
        script.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(script))

    return pretended


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "helper" in " ".join(child.cmdline())]


async def test_a_job_goes_in_and_a_report_comes_out(pretend: Pretend) -> None:
    pretend("import json, sys; print(json.dumps({'got': json.loads(sys.stdin.readline())}))")

    assert await helped("any", JOB, PATIENCE) == {"got": JOB}


@pytest.mark.parametrize(
    "program",
    [
        "print('anything else')",
        "print('[1]')",
        "print('{\"half\":')",
        "",
        "print('{}'); raise SystemExit(3)",
        f"print('x' * {MOST_REPORT_BYTES + 1})",
        f"import sys; sys.stdout.write('x' * {MOST_REPORT_BYTES + 1}); sys.stdout.flush(); {FOR_EVER}",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        'print(\'{"error": "Broken", "at": ["there:1"]}\')',
    ],
    ids=["garbage", "a list", "half", "nothing", "an error", "too long", "too long and on", "killed", "its own error"],
)
async def test_whatever_is_no_report_is_a_failure(pretend: Pretend, program: str) -> None:
    pretend(program)

    with pytest.raises(HelperFailed):
        await helped("any", JOB, PATIENCE)

    assert children() == []


@pytest.mark.parametrize("program", [FOR_EVER, f"print('{{}}', flush=True); {FOR_EVER}"], ids=["silent", "not ending"])
async def test_past_its_deadline_it_is_killed(pretend: Pretend, program: str) -> None:
    pretend(program)

    with pytest.raises(HelperFailed):
        await helped("any", JOB, 0.5)

    assert children() == []


async def test_when_nobody_waits_any_more_it_is_killed(pretend: Pretend) -> None:
    pretend(FOR_EVER)
    waiting = asyncio.create_task(helped("any", JOB, PATIENCE))
    await until(lambda: bool(children()))

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert children() == []


async def test_what_cannot_be_started_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    with pytest.raises(HelperFailed):
        await helped("any", JOB, PATIENCE)


async def test_it_is_told_nothing_but_its_job(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/somebody/.kube/config")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/authorities.pem")
    pretend("import json, os, sys; print(json.dumps({'argv': sys.argv[1:], 'environment': dict(os.environ)}))")

    told = await helped("module.of.a.helper", JOB, PATIENCE)

    assert told["argv"] == ["-I", "-m", "module.of.a.helper"]
    assert told["environment"]["SSL_CERT_FILE"] == "/etc/authorities.pem"
    assert told["environment"].keys() <= {"MALLOC_ARENA_MAX", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "LC_CTYPE"}


@pytest.mark.parametrize(
    ("work", "failure"),
    [
        ("lambda job: {'size': len(bytearray(2 << 30))}", "MemoryError"),
        ("lambda job: open(__file__ + '.large', 'wb').truncate(1 << 30)", "OSError"),
        ("lambda job: {}[job['secret']]", "KeyError"),
    ],
    ids=["memory", "a file", "a mistake"],
)
async def test_a_job_that_runs_away_fails_alone_and_quotes_nothing(pretend: Pretend, work: str, failure: str) -> None:
    pretend(f"work = {work}\n{SERVING}")

    with pytest.raises(HelperFailed) as failed:
        await helped("any", JOB, PATIENCE)

    assert failure in str(failed.value)
    assert JOB["secret"] not in str(failed.value)


@pytest.mark.parametrize("refusal", ["ValueError", "OSError"])
async def test_a_bound_that_the_system_does_not_take_is_left_out_alone(pretend: Pretend, refusal: str) -> None:
    pretend(
        "import resource\n"
        "taken = resource.setrlimit\n"
        "def setrlimit(kind, bounds):\n"
        f"    if kind == resource.RLIMIT_AS: raise {refusal}('current limit exceeds maximum limit')\n"
        "    taken(kind, bounds)\n"
        "resource.setrlimit = setrlimit\n"
        "work = lambda job: {'file': resource.getrlimit(resource.RLIMIT_FSIZE)[1]}\n" + SERVING
    )

    assert await helped("any", JOB, PATIENCE) == {"file": MOST_FILE_BYTES}


async def test_it_is_in_nobodys_way(pretend: Pretend) -> None:
    """Weaker than us, in our session (or Linux would not compare the two), and out of the reach of a Ctrl-C."""
    pretend(
        "import os\n"
        "work = lambda job: {'nice': os.nice(0), 'session': os.getsid(0), 'leads': os.getpgid(0) == os.getpid()}\n"
        + SERVING
    )

    told = await helped("any", JOB, PATIENCE)

    assert told["nice"] > os.nice(0)
    assert (told["session"], told["leads"]) == (os.getsid(0), True)


SERVER = """
import asyncio, sys
from mcp_agentspawn.adapters.registry.helpers import helped
sys.executable = sys.argv[1]
asyncio.run(helped("any", {}, 60))
"""


def test_it_ends_when_the_server_is_killed(pretend: Pretend) -> None:
    interpreter = sys.executable
    pretend(
        "import os, threading\n"
        "def work(job):\n"
        "    open(__file__ + '.pid', 'w').write(str(os.getpid()))\n"
        "    threading.Event().wait()\n" + SERVING
    )
    told = Path(f"{sys.executable}.pid")
    with subprocess.Popen([interpreter, "-c", SERVER, sys.executable]) as server:
        until_now(lambda: told.exists() and bool(told.read_text()))
        helper = psutil.Process(int(told.read_text()))
        assert helper.is_running()

        server.send_signal(signal.SIGKILL)

    until_now(lambda: not helper.is_running())


HEAVY = {"mcp", "kubernetes", "jsonschema", "structlog", "uvicorn", "yaml", "starlette"}


@pytest.mark.parametrize(
    ("module", "left_out"), [("read_worker", HEAVY), ("index_worker", HEAVY | {"pydantic", "aiohttp"})]
)
def test_it_brings_no_more_than_it_needs(module: str, left_out: set[str]) -> None:
    program = f"import json, sys, mcp_agentspawn.adapters.registry.{module}; print(json.dumps(list(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-I", "-c", program]))

    assert left_out & set(loaded) == set()
