#!/usr/bin/env python3
"""Measures `patchwright verify` on bug fixes of real projects that carry their tests.

    measure.py REPOSITORIES BINARY WORK [--commits FILE] [--only NAME] [--skip NAME,NAME] [--kinds KIND,KIND] [--timeout SECONDS]

REPOSITORIES has one git directory a project (`owner+name/repo`, `owner+name.git` or `owner/name`), BINARY is `patchwright`, and
clones, environments and logs are made in WORK. For every commit of commits.jsonl four changes to its parent are verified: the whole
commit (fixed_proven), its tests alone (still_failing), the commit with a break elsewhere in the changed file (regressions), and
a comment (no_regressions). The project's own runner (`runner`) is timed beside the first proof, and tries the break before.
Prints a JSON line for each, and a summary. A verdict that is not the wanted one is looked at before it is counted.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WANTED = {"fix": "fixed_proven", "test": "still_failing", "comment": "no_regressions", "break": "regressions"}
TESTS = re.compile(r"(^|/)(tests?|testing|spec|__tests__)/|(^|/)test_|[_.-]test\.|\.spec\.|_spec\.")
# What a broken function returns (else a condition is turned round), and a comment.
LANGUAGES = {
    "py": ("return None", "# %s"), "rb": ("return nil", "# %s"), "js": ("return undefined", "// %s"),
    "mjs": ("return undefined", "// %s"), "ts": ("return undefined as any", "// %s"), "php": ("return null;", "// %s"),
    "go": (None, "// %s"), "rs": (None, "// %s"), "java": (None, "// %s"),
    "c": (None, "/* %s */"), "cc": (None, "// %s"), "h": (None, "// %s"),
}
# How many breaks are tried until the tests of the parent see one.
MAX_BREAKS = 12
# A run of a project's own runner.
RUNNER_SECONDS = 600


def git(folder, *arguments, check=True):
    command = ["git", "-C", folder, "-c", "user.name=bench", "-c", "user.email=bench@localhost", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.decode(errors='replace')[:300]}")
    return done.stdout.decode(errors="replace")


def find(repositories, name):
    owner, project = name.split("/")
    for path in (f"{owner}+{project}/repo", f"{owner}+{project}.git", f"{owner}/{project}"):
        if os.path.isdir(os.path.join(repositories, path)):
            return os.path.join(repositories, path)
    sys.exit(f"{name} is not in {repositories}")


def breaks(text, extension):
    """The texts of a file with one break: nothing returned, or a condition turned round."""
    broken = LANGUAGES[extension][0]
    if broken:
        # One line that ends there: a longer expression would leave a part behind.
        pattern = r"(?m)^(\s+)return (?!None|nil|undefined|null|\()[^\n({\[]+$"
        change = lambda found: found.group(1) + broken
    elif extension in ("c", "cc", "h", "java"):
        pattern = r"(?m)^(\s+)if \((?!.*constexpr)([^\n;()]+)\)(?=\s)"
        change = lambda found: f"{found.group(1)}if (!({found.group(2)}))"
    else:
        pattern = r"(?m)^(\s+)if (?!let )([^\n;]+) \{$"
        change = lambda found: f"{found.group(1)}if !({found.group(2)}) {{"
    for found in re.finditer(pattern, text):
        # A chain may go on in the next line.
        if not text[found.end():].lstrip().startswith((".", "?", ":", "&&", "||")):
            yield text[: found.start()] + change(found) + text[found.end() :]


def make_break(folder, commit, base, source, tests, runs):
    """Makes the branch `break`: the commit, and the first break that the tests of the parent see, else those of the commit."""
    path = os.path.join(folder, source)
    git(folder, "checkout", "-qfB", "break", commit)
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        text = file.read()

    def write(content):
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(content)

    git(folder, "checkout", "-q", base, "--", *tests, check=False)
    if runs and not runs():
        git(folder, "checkout", "-qf", commit, "--", ".")
        runs = runs if runs() else None
    found = None
    for candidate in list(breaks(text, source.rsplit(".", 1)[-1]))[: MAX_BREAKS if runs else 1]:
        write(candidate)
        if not runs or not runs():
            found = candidate
            break
    git(folder, "checkout", "-qf", commit, "--", ".")
    if found is None:
        return False
    write(found)
    git(folder, "commit", "-qm", "break" if runs else "break that was not tried", "--", source)
    return True


def prepare(folder, commit, runs):
    """Makes one branch for each change. Returns those that could be made."""
    base = git(folder, "rev-parse", commit + "^").strip()
    git(folder, "checkout", "-qf", "--detach", base)
    changed = git(folder, "diff", "--name-only", base, commit).split()
    sources = [path for path in changed if not TESTS.search(path) and path.rsplit(".", 1)[-1] in LANGUAGES]
    tests = [path for path in changed if TESTS.search(path)]
    git(folder, "branch", "-f", "base", base)
    git(folder, "branch", "-f", "fix", commit)
    git(folder, "checkout", "-qfB", "test", base)
    git(folder, "checkout", commit, "--", *tests, check=False)
    git(folder, "commit", "-qm", "test", check=False)
    git(folder, "checkout", "-qfB", "comment", base)
    with open(os.path.join(folder, sources[0]), "a", encoding="utf-8") as file:
        file.write("\n" + LANGUAGES[sources[0].rsplit(".", 1)[-1]][1] % "a comment" + "\n")
    git(folder, "commit", "-qm", "comment", "--", sources[0])
    kinds = ["fix", "test", "comment"]
    if make_break(folder, commit, base, sources[0], tests, runs):
        kinds.append("break")
    git(folder, "checkout", "-qf", "base")
    return kinds


def runner_of(entry, folder, path):
    """Returns what runs the project's own runner on the changed tests, and whether it succeeded."""
    if "runner" not in entry:
        return None
    environment = dict(os.environ, PATH=path, CI="true")

    def runs():
        try:
            command = ["sh", "-ec", entry["runner"]]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, check=False, timeout=RUNNER_SECONDS
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    return runs


def time_of(runs, folder):
    """The time of the runner on the fix, warm: what it leaves behind on the parent is there."""
    git(folder, "checkout", "-qf", "base")
    runs()
    git(folder, "checkout", "-qf", "fix")
    started = time.time()
    runs()
    seconds = round(time.time() - started, 1)
    git(folder, "checkout", "-qf", "base")
    return seconds


def main():
    parser = argparse.ArgumentParser()
    for name in ("repositories", "binary", "work"):
        parser.add_argument(name, type=os.path.abspath)
    parser.add_argument("--commits", default=os.path.join(HERE, "commits.jsonl"))
    parser.add_argument("--only", default="")
    parser.add_argument("--skip", default="")
    parser.add_argument("--kinds", default=",".join(WANTED))
    parser.add_argument("--timeout", default="300")
    asked = parser.parse_args()
    skip = [name for name in asked.skip.split(",") if name]
    os.makedirs(os.path.join(asked.work, "logs"), exist_ok=True)
    right, times, slow = {}, [], []
    for line in open(asked.commits, encoding="utf-8"):
        entry = json.loads(line)
        name = entry["repository"]
        if "skipped" in entry or asked.only not in name or any(part in name for part in skip):
            continue
        folder = os.path.join(asked.work, name.replace("/", "+"))
        if not os.path.isdir(folder):
            subprocess.run(["git", "clone", "-q", "--no-checkout", find(asked.repositories, name), folder], check=True)
        path = os.environ["PATH"]
        if "setup" in entry:
            environment = folder + "-environment"
            if not os.path.isdir(environment):
                git(folder, "checkout", "-qf", "--detach", entry["commit"])
                subprocess.run(["sh", "-ec", entry["setup"].replace("{env}", environment)], cwd=folder, check=True)
            path = f"{environment}/bin:{path}"
        runs = runner_of(entry, folder, path)
        kinds = prepare(folder, entry["commit"], None if entry.get("slow") else runs)
        warm = time_of(runs, folder) if runs else None
        for kind in (kind for kind in kinds if kind in asked.kinds.split(",")):
            started = time.time()
            command = [asked.binary, "verify", "--repo", folder, "--base", "base", "--head", kind]
            command += ["--timeout", asked.timeout, "--json"]
            done = subprocess.run(command, env=dict(os.environ, PATH=path), capture_output=True, check=False)
            log = f"{name.replace('/', '+')}-{entry['commit'][:10]}-{kind}.log"
            with open(os.path.join(asked.work, "logs", log), "wb") as file:
                file.write(done.stderr + b"\n" + done.stdout)
            found = json.loads((done.stdout.decode() or "{}").strip().splitlines()[-1])
            verdict, ok = found.get("verdict"), found.get("verdict") == WANTED[kind]
            right.setdefault(kind, []).append(ok)
            first = found.get("first_result_seconds")
            shown = {
                "repository": name, "commit": entry["commit"][:10], "kind": kind, "verdict": verdict, "ok": ok,
                "proof": found.get("proof"), "compared": found.get("compared"), "first_seconds": first,
                "seconds": round(time.time() - started), "explanation": found.get("explanation", found.get("error")),
            }
            if kind == "break":
                title = git(folder, "log", "-1", "--format=%s", "break", "--")
                shown["break"] = title + git(folder, "diff", "-U0", "fix", "break", "--")[-300:]
            if kind == "fix" and warm is not None:
                shown["runner_seconds"] = warm
            if kind == "fix" and ok:
                times.append(first)
                if warm is not None and first > 4 * warm + 10:
                    slow.append(f"{name} {entry['commit'][:10]}: {first:.1f} s, the runner {warm} s")
            print(json.dumps(shown), flush=True)
    print({kind: f"{sum(found)}/{len(found)}" for kind, found in right.items()})
    if times:
        print(f"the first proof: median {statistics.median(times):.1f} s, at most {max(times):.1f} s")
        print(f"more than four times the runner and ten seconds: {len(slow)}", *slow, sep="\n  ")


main()
