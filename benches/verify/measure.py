#!/usr/bin/env python3
"""Measures `patchwright verify` on bug fixes of real projects that carry their tests.

    measure.py REPOSITORIES BINARY WORK [--only NAME] [--skip NAME,NAME] [--timeout SECONDS]

REPOSITORIES has one git directory a project (`owner+name/repo`, `owner+name.git` or `owner/name`), BINARY is `patchwright`, and
clones and environments are made in WORK. For every commit of commits.jsonl four changes to its parent are verified: the whole
commit (fixed_proven), its tests alone (still_failing), the commit with a break elsewhere in the changed file (regressions), and
a comment (no_regressions). Prints a JSON line for each, and a summary. A break that no test can see is no failure of the verdict:
look at it before counting.
"""
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WANTED = {"fix": "fixed_proven", "test": "still_failing", "break": "regressions", "comment": "no_regressions"}
TESTS = re.compile(r"(^|/)(tests?|testing|spec|__tests__)/|(^|/)test_|[_.-]test\.|\.spec\.|_spec\.")
# What a broken function returns, and how a comment begins.
LANGUAGES = {
    "py": ("return None", "#"), "rb": ("return nil", "#"), "js": ("return undefined", "//"), "mjs": ("return undefined", "//"),
    "ts": ("return undefined as any", "//"), "go": (None, "//"), "rs": (None, "//"), "cc": (None, "//"), "h": (None, "//"),
    "php": ("return null;", "//"), "java": (None, "//"),
}


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


def prepare(folder, commit):
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
    source = os.path.join(folder, sources[0])
    broken, mark = LANGUAGES[sources[0].rsplit(".", 1)[-1]]
    git(folder, "checkout", "-qfB", "comment", base)
    with open(source, "a", encoding="utf-8") as file:
        file.write(f"\n{mark} a comment\n")
    git(folder, "commit", "-qm", "comment", "--", sources[0])
    kinds = ["fix", "test", "comment"]
    if broken:
        git(folder, "checkout", "-qfB", "break", commit)
        with open(source, encoding="utf-8", errors="surrogateescape", newline="") as file:
            text = file.read()
        # One line that ends there: a longer expression would leave a part behind.
        pattern = r"(?m)^(\s+)return (?!None|nil|undefined|null|\()[^\n({\[]+$"
        changed_text = re.sub(pattern, lambda found: found.group(1) + broken, text, count=1)
        if changed_text != text:
            with open(source, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(changed_text)
            git(folder, "commit", "-qm", "break", "--", sources[0])
            kinds.append("break")
    git(folder, "checkout", "-qf", "base")
    return kinds


def main():
    repositories, binary, work = (os.path.abspath(path) for path in sys.argv[1:4])
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    skip = sys.argv[sys.argv.index("--skip") + 1].split(",") if "--skip" in sys.argv else []
    timeout = sys.argv[sys.argv.index("--timeout") + 1] if "--timeout" in sys.argv else "300"
    os.makedirs(work, exist_ok=True)
    right, times = {}, []
    for line in open(os.path.join(HERE, "commits.jsonl"), encoding="utf-8"):
        entry = json.loads(line)
        if "skipped" in entry or only not in entry["repository"] or any(name in entry["repository"] for name in skip):
            continue
        folder = os.path.join(work, entry["repository"].replace("/", "+"))
        if not os.path.isdir(folder):
            subprocess.run(["git", "clone", "-q", "--no-checkout", find(repositories, entry["repository"]), folder], check=True)
        kinds = prepare(folder, entry["commit"])
        path = os.environ["PATH"]
        if "setup" in entry:
            environment = folder + "-environment"
            if not os.path.isdir(environment):
                subprocess.run(["sh", "-ec", entry["setup"].replace("{env}", environment)], cwd=folder, check=True)
            path = f"{environment}/bin:{path}"
        for kind in kinds:
            started = time.time()
            command = [binary, "verify", "--repo", folder, "--base", "base", "--head", kind, "--timeout", timeout, "--json"]
            done = subprocess.run(command, env=dict(os.environ, PATH=path), capture_output=True, check=False)
            found = json.loads((done.stdout.decode() or "{}").strip().splitlines()[-1])
            verdict, ok = found.get("verdict"), found.get("verdict") == WANTED[kind]
            right.setdefault(kind, []).append(ok)
            first = found.get("first_result_seconds")
            if kind == "fix" and ok:
                times.append(first)
            shown = {
                "repository": entry["repository"], "commit": entry["commit"][:10], "kind": kind, "verdict": verdict, "ok": ok,
                "proof": found.get("proof"), "compared": found.get("compared"), "first_seconds": first,
                "seconds": round(time.time() - started), "explanation": found.get("explanation", found.get("error")),
            }
            print(json.dumps(shown), flush=True)
    times.sort()
    print({kind: f"{sum(found)}/{len(found)}" for kind, found in right.items()})
    if times:
        print(f"the first proof: median {times[len(times) // 2]:.1f} s, at most {times[-1]:.1f} s")


main()
