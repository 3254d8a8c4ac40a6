"""Every block of code of the documentation is run by a test, or says why it is not.

A block that no test runs has a comment before it, ``.. not run: the reason``.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers.pages import PAGES, Block, blocks, read
from servers.nginx import NGINX, needs_nginx

from invenio_files_rest.telemetry.events import FIELDS

TESTS = Path(__file__).parent
TEXTS = [*PAGES, "../README", "../CONTRIBUTING", "../invenio-records-files/README"]

HERE = "test_docs_code.py"
COMMANDS, SERVER, PYTHON = "test_docs_commands.py", "test_docs_tutorial.py", "test_docs.py"
INSTALLATION, AUTHENTICATION = "test_docs_installation.py", "test_docs_authentication.py"
REQUESTS = "test_docs_requests.py::test_each_request_is_answered_as_documented"
RECORDS = "../invenio-records-files/tests/test_records_docs.py"

RUN: dict[tuple[str, str, str | None], str] = {
    ("explanation/concepts", "python", None): f"{PYTHON}::test_the_documented_limit_is_added_to_the_others",
    ("howto/archives", "console", None): REQUESTS,
    ("howto/authentication", "console", None): f"{SERVER}::test_users_tokens_and_grants_are_made_as_documented",
    ("howto/authentication", "bash", "run"): f"{AUTHENTICATION}::test_the_lines_for_a_shell_store_a_file",
    ("howto/authentication", "python", "client"): f"{AUTHENTICATION}::test_the_example_in_python_stores_a_file",
    ("howto/authentication", "javascript", "session"): (
        f"{AUTHENTICATION}::test_a_session_needs_the_token_of_its_cookie"
    ),
    ("howto/authentication", "javascript", "fetch"): (
        f"{AUTHENTICATION}::test_the_example_with_fetch_runs_in_a_page_of_another_site"
    ),
    ("howto/authentication", "javascript", "angular"): (
        f"{AUTHENTICATION}::test_the_example_with_ng_file_upload_sends_a_file_whole_and_in_parts"
    ),
    **{
        ("howto/backup", language, kind): (
            "test_docs_backup.py::test_what_is_backed_up_while_it_is_written_to_is_restored_elsewhere_without_a_loss"
        )
        for language, kind in [
            *(("console", kind) for kind in ("backup", "restore", "mark", "check", "sweep")),
            ("sql", "restore"),
        ]
    },
    **{
        ("howto/damaged-file", language, kind): (
            f"{SERVER}::test_a_damaged_file_is_answered_from_the_alert_to_the_right_bytes"
        )
        for language, kind in (("console", None), ("console", "shell"), ("python", "shell"))
    },
    **{
        ("howto/installation", "bash", step): f"{INSTALLATION}::test_a_plain_application_serves_files"
        for step in ("settings", "sqlite", "postgresql", "location", "user", "serve", "use")
    },
    ("howto/installation", "bash", "install"): f"{INSTALLATION}::installed",
    ("howto/installation", "bash", "build"): f"{INSTALLATION}::installed",
    ("howto/installation", "console", "mark"): f"{COMMANDS}::test_a_location_is_marked",
    ("howto/installation", "console", "start"): f"{SERVER}::server",
    ("howto/javascript", "javascript", "node"): f"{SERVER}::test_the_program_in_node_stores_a_file",
    ("howto/javascript", "console", "node"): f"{SERVER}::test_the_program_in_node_stores_a_file",
    ("howto/javascript", "html", "page"): f"{SERVER}::test_the_page_in_javascript_uploads_pauses_and_goes_on",
    ("howto/move-storage", "console", None): f"{COMMANDS}::test_files_move_to_another_storage",
    ("howto/moving", "console", None): f"{COMMANDS}::test_files_move_to_another_folder",
    ("howto/moving", "python", None): f"{PYTHON}::test_the_documented_task_moves_a_file",
    ("howto/nginx", "nginx", "https"): f"{HERE}::test_nginx_takes_what_is_shown_of_its_configuration",
    ("howto/nginx", "nginx", "balancer"): f"{HERE}::test_nginx_takes_what_is_shown_of_its_configuration",
    ("howto/operations", "console", "mark"): f"{COMMANDS}::test_a_location_is_marked",
    ("howto/operations", "text", "crontab"): f"{COMMANDS}::test_the_crontab_runs",
    ("howto/permission-factory", "python", "factory"): (
        f"{PYTHON}::test_the_documented_factory_lets_members_work_and_everyone_read_what_is_published"
    ),
    **{
        ("howto/python-clients", language, kind): (f"{SERVER}::test_the_client_in_python_uploads_downloads_and_lists")
        for language, kind in (("python", "client"), ("python", "use"), ("text", "printed"))
    },
    ("howto/resumable", "javascript", None): ("test_tus_clients.py::test_the_documented_javascript_uploads_a_file"),
    ("howto/resumable", "html", None): ("test_tus_browser.py::test_a_person_on_a_train_uploads_a_large_file_with_uppy"),
    ("howto/resumable", "python", None): "test_tus_clients.py::test_the_documented_python_uploads_a_file",
    ("howto/resumable", "console", None): "test_multipart_docs.py::test_the_lines_on_resumable_uploads_work",
    ("howto/s3", "console", "demo"): "test_run_server_s3.py::demo",
    ("howto/s3", "html", None): "test_storage_s3_browser.py::test_a_page_of_another_site_uploads_straight_to_the_store",
    ("howto/shares", "nginx", None): f"{HERE}::test_nginx_takes_what_is_shown_of_its_configuration",
    ("howto/storage-backend", "python", "backend"): f"{PYTHON}::TestSQLiteStorage",
    ("howto/storage-backend", "console", "use"): f"{COMMANDS}::test_a_backend_of_one_s_own_is_a_location",
    ("howto/uploads", "console", None): REQUESTS,
    ("howto/uploads", "nginx", None): f"{HERE}::test_nginx_takes_what_is_shown_of_its_configuration",
    ("howto/uploads", "python", None): f"{PYTHON}::test_the_documented_part_factory_counts_from_one",
    ("records/rest", "console", "run"): f"{SERVER}::test_files_of_a_record_are_stored_and_read",
    ("records/usage", "python", None): f"{RECORDS}::test_the_page_on_files_of_records_runs",
    ("reference/access", "console", None): f"{SERVER}::test_users_tokens_and_grants_are_made_as_documented",
    ("reference/access", "python", None): f"{PYTHON}::test_the_documented_question_about_many_buckets_is_answered",
    ("reference/cli", "bash", None): f"{COMMANDS}::test_a_shell_completes_commands",
    ("reference/cli", "zsh", None): f"{COMMANDS}::test_a_shell_completes_commands",
    ("reference/cli", "console", None): "test_docs_cli.py::test_each_command_prints_what_is_documented",
    ("reference/events", "python", None): f"{PYTHON}::test_the_documented_receiver_is_told_of_downloads",
    ("reference/openapi", "console", None): REQUESTS,
    ("reference/rest", "console", None): REQUESTS,
    ("reference/storage", "python", None): f"{PYTHON}::TestDictStorage",
    ("reference/telemetry", "json", None): f"{HERE}::test_the_line_of_the_log_has_fields_that_there_are",
    ("reference/telemetry", "nginx", None): f"{HERE}::test_nginx_takes_what_is_shown_of_its_configuration",
    ("reference/telemetry", "console", None): f"{COMMANDS}::test_processes_get_a_folder_to_count_in",
    ("reference/telemetry", "yaml", None): f"{HERE}::test_prometheus_takes_its_configuration",
    ("tutorial/first-file", "console", None): f"{SERVER}::test_the_tutorial_leads_from_nothing_to_a_shared_file",
    ("tutorial/first-file", "console", "start"): f"{SERVER}::server",
    ("tutorial/first-file", "console", "shell"): f"{SERVER}::test_the_tutorial_leads_from_nothing_to_a_shared_file",
    ("tutorial/first-file", "python", "shell"): f"{SERVER}::test_the_tutorial_leads_from_nothing_to_a_shared_file",
    ("tutorial/python", "python", None): f"{PYTHON}::test_the_getting_started_guide_runs",
    ("../README", "python", None): f"{PYTHON}::test_the_python_of_the_readme_runs",
    ("../invenio-records-files/README", "python", None): f"{RECORDS}::test_the_python_of_the_readme_runs",
}
"""Which test runs the blocks of a page, a language and a class. Those of settings are run here, of all pages."""

# Where in its configuration nginx has what a page shows.
IN_NGINX = {
    ("howto/shares", None): "%s",
    ("howto/uploads", None): "server { %s }",
    ("howto/nginx", "https"): "server { %s }",
    ("howto/nginx", "balancer"): "server { %s }",
    ("reference/telemetry", None): "server { location / { %s } }",
}


def all_blocks() -> list[Block]:
    """Return the blocks of all texts."""
    return [block for text in TEXTS for block in read(text)]


def test_every_block_is_run_or_says_why_not() -> None:
    found = all_blocks()
    assert len(found) > 150
    for block in found:
        is_run = (block.page, block.language, block.kind) in RUN or (block.language, block.kind) == (
            "python",
            "settings",
        )
        assert is_run or block.reason, f"{block.page}: who runs this?\n\n{block.code}"
    assert sum(block.reason is not None for block in found) < 25


def test_what_runs_them_is_there() -> None:
    known = {(block.page, block.language, block.kind) for block in all_blocks() if block.reason is None}
    assert set(RUN) - known == set()
    for (page, *_), name in RUN.items():
        module, _, test = name.partition("::")
        source = (TESTS / module).read_text()
        names = {node.name for node in ast.walk(ast.parse(source)) if hasattr(node, "name")}
        assigned = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        assert not test or test in names | assigned, name
        assert page.rpartition("/")[2] in source, f"{module} does not read {page}"


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_is_shown_is_one(page: str, base_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RGW_ACCESS_KEY", "RGW_SECRET_KEY"):
        monkeypatch.setenv(name, "key")
    settings: dict[str, Any] = {}
    for code in blocks(page, "python", "settings"):
        exec(code, settings)
    names = {name for name in settings if name.isupper()}
    assert names - known_settings(base_app) == set()


def known_settings(app: Flask) -> set[str]:
    """Return the settings of the application, of what it stands on, and of what a whole Invenio application has."""
    found = set(app.config)
    for package in ("files_rest", "app", "accounts", "admin", "cache", "rest"):
        found |= set(dir(import_module(f"invenio_{package}.config")))
    # Of Celery, of Flask-CORS, of Invenio-Base, and of templates that packages have in common.
    elsewhere = "BROKER_URL CELERY_BEAT_SCHEDULE CORS_EXPOSE_HEADERS CORS_ORIGINS PROXYFIX_CONFIG"
    return found | {*elsewhere.split(), "BASE_TEMPLATE", "COVER_TEMPLATE", "SETTINGS_TEMPLATE"}


@needs_nginx
@pytest.mark.parametrize(("page", "kind"), IN_NGINX)
def test_nginx_takes_what_is_shown_of_its_configuration(page: str, kind: str | None, tmp_path: Path) -> None:
    shown = "".join(blocks(page, "nginx", kind))
    if "ssl_certificate" in shown:
        certificate = ["-subj", "/CN=localhost", "-keyout", "files.key", "-out", "files.crt"]
        making = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *certificate]
        subprocess.run(making, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    shown = shown.replace("/etc/nginx", str(tmp_path)).replace("/var/log/nginx", str(tmp_path))
    path = tmp_path / "nginx.conf"
    path.write_text(f"pid {tmp_path}/pid; events {{}} http {{ {IN_NGINX[page, kind] % shown} }}")
    done = subprocess.run(
        [str(NGINX), "-t", "-e", "stderr", "-c", str(path)], capture_output=True, text=True, timeout=60
    )
    assert "test is successful" in done.stderr, done.stderr


def test_the_line_of_the_log_has_fields_that_there_are() -> None:
    (shown,) = blocks("reference/telemetry", "json")
    assert json.loads(shown).keys() <= FIELDS.keys() | {"event", "time", "logger", "level"}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed; ./run-tests.sh installs it")
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    (shown,) = blocks("reference/telemetry", "yaml")
    (tmp_path / "prometheus.yml").write_text(shown)
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
