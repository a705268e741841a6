"""Decides whether an event of GitHub Actions starts a run, and runs it. Only the standard library is used.

Only people who may push to the repository start a run: a comment or a label of anybody else does nothing.
"""

import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request

# Exit codes of `patchwright run` (docs/terminal.md). A run without a proof is a result, not a broken workflow.
RESULTS = {0, 3, 4, 5}
MAX_ARCHIVE_BYTES = 200 << 20


def wanted_issue(name, event, environment):
    """Returns the issue's number and who asks for it, or a sentence that says why nothing is started."""
    if name == "workflow_dispatch":
        number = environment.get("ISSUE", "").strip().lstrip("#")
        return (int(number), None) if number.isdigit() else "the input `issue` is no number"
    if name == "issue_comment":
        if event.get("action") != "created":
            return "only new comments start a run"
        if "pull_request" in event["issue"]:
            return "the comment is on a pull request"
        mention = re.escape(environment.get("APP_NAME") or "patchwright")
        if not re.search(rf"(?<![\w@.-])@{mention}\s+fix\b", event["comment"]["body"], re.IGNORECASE):
            return "the comment does not ask for a fix"
        asker = event["comment"]["user"]
    elif name == "issues":
        label = environment.get("PATCHWRIGHT_LABEL") or "patchwright"
        if event.get("action") != "labeled" or event["label"]["name"].lower() != label.lower():
            return f"only the label `{label}` starts a run"
        asker = event["sender"]
    else:
        return f"the event `{name}` starts no run"
    if asker.get("type") == "Bot":
        return "it was asked for by a bot"
    return event["issue"]["number"], asker["login"]


def may_push(login, environment):
    """Asks GitHub whether somebody may push to the repository."""
    base = environment.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    repository = environment["GITHUB_REPOSITORY"]
    request = urllib.request.Request(
        f"{base}/repos/{repository}/collaborators/{urllib.parse.quote(login, safe='')}/permission",
        headers={
            "authorization": f"Bearer {environment['GITHUB_TOKEN']}",
            "accept": "application/vnd.github+json",
            "user-agent": "patchwright-action",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer).get("permission") in ("admin", "write")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise


def install(environment, folder):
    """Fetches the archive, checks it, and returns the program in it."""
    if environment.get("PATCHWRIGHT_PROGRAM"):
        return environment["PATCHWRIGHT_PROGRAM"]
    archive = os.path.join(folder, "patchwright.tar.gz")
    with urllib.request.urlopen(environment["ARCHIVE"], timeout=300) as answer, open(archive, "wb") as file:
        data = answer.read(MAX_ARCHIVE_BYTES)
        file.write(data)
    found = hashlib.sha256(data).hexdigest()
    if found != environment["ARCHIVE_SHA256"].strip().lower():
        sys.exit(f"{environment['ARCHIVE']} has the checksum {found} and not the one of the input `sha256`")
    with tarfile.open(archive) as files:
        program = next(name for name in files.getnames() if name.endswith("/bin/patchwright"))
        files.extract(program, folder, filter="data")
    return os.path.join(folder, program)


def report(environment, **outputs):
    path = environment.get("GITHUB_OUTPUT")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            for name, value in outputs.items():
                # One line each: a value with a line break could set other outputs.
                file.write(f"{name.replace('_', '-')}={' '.join(str(value).split())}\n")


def main(environment):
    with open(environment["GITHUB_EVENT_PATH"], encoding="utf-8") as file:
        event = json.load(file)
    wanted = wanted_issue(environment["GITHUB_EVENT_NAME"], event, environment)
    if not isinstance(wanted, str) and wanted[1] is not None and not may_push(wanted[1], environment):
        wanted = f"{wanted[1]} may not push to this repository"
    if isinstance(wanted, str):
        print(f"Nothing is started: {wanted}.")
        report(environment, verdict="not_started")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        program = install(environment, folder)
        arguments = ["run", "--repo", environment["GITHUB_REPOSITORY"], "--issue", f"#{wanted[0]}", "--pr", "--json"]
        # The program reads its settings from the environment, and what belongs to the runner is none.
        others = ("ACTIONS_", "ARCHIVE", "PATCHWRIGHT_PROGRAM")
        kept = {name: value for name, value in environment.items() if not name.startswith(others)}
        kept.setdefault("DATA_DIR", os.path.join(folder, "data"))
        run = subprocess.run(
            [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kept, check=False
        )
    lines = run.stdout.strip().splitlines()
    # Texts of the issue and of the model: none of their lines is a command to the runner.
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}\n{run.stdout}\n::{token}::", flush=True)
    result = json.loads(next((line for line in reversed(lines) if line.startswith("{")), "{}"))
    pull_request = (result.get("pull_request") or {}).get("url", "")
    report(environment, verdict=result.get("verdict") or "none", pull_request=pull_request)
    return 0 if run.returncode in RESULTS else run.returncode


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
