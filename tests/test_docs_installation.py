"""The page on installation makes what it says, as it stands, in an environment that nothing is in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from servers import free_port
from sqlalchemy import create_engine, make_url, text

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "howto" / "installation.rst").read_text()
STEPS = ("install", "build", "settings", "sqlite", "postgresql", "location", "user", "serve", "use")
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (UV and shutil.which("curl")), reason="needs curl, and uv, which the extra tests brings"),
]


def steps() -> dict[str, str]:
    """Return what the page has one paste into a shell, by the name of the step."""
    found = re.findall(r"\n\.\. code-block:: bash\n   :class: (\w+)\n\n((?:   .*\n|\n)+)", PAGE)
    return {name: textwrap.dedent(block).strip() + "\n" for name, block in found}


def test_every_box_is_a_step() -> None:
    assert tuple(steps()) == STEPS
    assert PAGE.count("code-block:: bash") == len(STEPS)


class Shell:
    """A shell in a folder, that keeps its variables, with the port that is free in place of the page's.

    :param folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        """Begin with nothing of the tests' environment, but for its variables."""
        self.folder, self.port = folder, free_port()
        # Nor what keeps Python from keeping what it has compiled, which it does for each command then.
        away = {"PYTHONPATH", "VIRTUAL_ENV", "VENV", "PYTHONDONTWRITEBYTECODE"}
        self.environment = {name: value for name, value in os.environ.items() if name not in away}
        # Installs what pip would, in a fraction of the time.
        self.before = (
            "set -euo pipefail; pip() { "
            f'if [ "$1" = install ]; then "{UV}" pip "$@"; else python3 -m pip "$@"; fi; }}\n'
        )

    def script(self, step: str, **replaced: str) -> str:
        """Return a step with other values of what is the reader's own."""
        script = steps()[step].replace("127.0.0.1:5000", f"127.0.0.1:{self.port}")
        script = script.replace("localhost:5000", f"localhost:{self.port}")
        for old, new in replaced.items():
            script, count = re.subn(rf"(?m)({old}=).*$", lambda match, new=new: match[1] + new, script)
            assert count == 1
        return script

    def paste(self, step: str, **replaced: str) -> str:
        """Run a step, and return what it prints."""
        script = f"{self.before}{self.script(step, **replaced)}declare -px > .variables\n"
        done = subprocess.run(
            ["bash", "-c", f"[ ! -e .variables ] || . ./.variables; set -a; {script}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def serving(shell: Shell) -> Iterator[None]:
    """Serve as the page does, until the block ends."""
    script = f". ./.variables; exec {shell.script('serve')}"
    with (shell.folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["bash", "-c", script], cwd=shell.folder, env=shell.environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                requests.get(f"http://localhost:{shell.port}/ping", timeout=60)
                break
            except requests.ConnectionError:
                assert server.poll() is None, (shell.folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it in an empty folder, from a checkout that nothing has been built in."""
    folder, checkout = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("checkout")
    built = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "instance", "tests")
    shutil.copytree(ROOT, checkout, ignore=built, dirs_exist_ok=True)
    shell = Shell(folder)
    shell.paste("install", CHECKOUT=str(checkout))
    shell.paste("build")
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str]]]:
    """Give each kind of database, and its URL where that is the reader's own."""
    if request.param == "sqlite":
        yield "sqlite", {}
        return
    if "TEST_POSTGRESQL_URL" not in os.environ:
        pytest.skip("needs a PostgreSQL, see CONTRIBUTING.rst")
    url, name = make_url(os.environ["TEST_POSTGRESQL_URL"]), f"installed_{os.getpid()}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield (
                "postgresql",
                {"INVENIO_SQLALCHEMY_DATABASE_URI": f'"{url.set(database=name).render_as_string(False)}"'},
            )
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def allowed_origin(shell: Shell, origin: str) -> str | None:
    """Ask as a browser does before a page of another site stores a file."""
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    response = requests.options(
        f"http://localhost:{shell.port}/api/files/b/a", headers={"Origin": origin, **asked}, timeout=60
    )
    return response.headers.get("Access-Control-Allow-Origin")


def test_a_plain_application_serves_files(installed: Path, kind: tuple[str, dict[str, str]]) -> None:
    name, variables = kind
    shell = Shell(installed)
    for made in ("instance", "files"):
        shutil.rmtree(installed / made, ignore_errors=True)
    before = (installed / ".variables").read_text()
    try:
        shell.paste("settings")
        shell.paste(name, **variables)
        for step in ("location", "user"):
            shell.paste(step)
        with serving(shell):
            assert shell.paste("use").endswith("}stored\n")
            assert allowed_origin(shell, "https://app.example.org") == "https://app.example.org"
            assert allowed_origin(shell, "https://elsewhere.example.org") is None
    finally:
        (installed / ".variables").write_text(before)
    assert len([path for path in (installed / "files").rglob("data") if path.is_file()]) == 1
    (wheel,) = (installed / "wheels").iterdir()
    assert re.fullmatch(r"invenio_files_rest-[\d.]+-py3-none-any\.whl", wheel.name)
