"""Runs the samples of an issue, or a test that it names, and prints which functions of the repository were executed.

Needs Python 3.6 and no packages but those of the repository. The last line of its output is MARK and a JSON object of at most
MAX_REPORT characters: for each file a list of functions, as [line, name, recency in percent, depth in the traceback or -1].
"""

import ast
import json
import os
import re
import sys
import textwrap
import threading
import time
import traceback

MARK = "patchwright-trace "
MAX_REPORT = 5000
MAX_FUNCTIONS = 20000
# The longest statement that is looked for, in lines.
MAX_LINES = 80
SAMPLE = "<sample>"
PROMPT = re.compile(r"^\s*(?:In ?\[\s*\d*\s*\]: ?|\.\.\.: ?|>>> ?|\.\.\. ?)")
NEW_LOCALS = 1


class Trace:
    """The functions that were executed, without those that ran while modules were imported."""

    def __init__(self, root):
        self.root = os.path.realpath(root) + os.sep
        self.program = os.path.realpath(__file__)
        self.paths = {}
        # By path, line and name: how many were called before, and the number of the last statement.
        self.functions = {}
        self.count = 0
        self.statement = 0
        self.importing = 0
        # The statement that failed last in the repository, and its frames, innermost first.
        self.failed = None
        self.frames = []

    def path_of(self, filename):
        if filename not in self.paths:
            path = os.path.realpath(filename)
            is_own = path.startswith(self.root) and "site-packages" not in path
            # Neither the sample nor this program.
            is_own = is_own and filename[0] != "<" and path != self.program
            self.paths[filename] = path[len(self.root):] if is_own else None
        return self.paths[filename]

    def on_event(self, frame, event, _):
        code = frame.f_code
        if code.co_name == "<module>":
            if code.co_filename != SAMPLE:
                self.importing += {"call": 1, "return": -1}.get(event, 0)
        elif event == "call" and not self.importing and code.co_flags & NEW_LOCALS and code.co_name[0] != "<":
            path = self.path_of(code.co_filename)
            if path is not None and len(self.functions) < MAX_FUNCTIONS:
                self.count += 1
                self.functions[path, code.co_firstlineno, code.co_name] = (self.count, self.statement)

    def record(self, run):
        """Calls a function and remembers where in the repository it failed, if it did."""
        self.importing = 0
        threading.setprofile(self.on_event)
        sys.setprofile(self.on_event)
        try:
            run()
        except BaseException as error:
            sys.setprofile(None)
            self.remember(error)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def remember(self, error):
        frames = []
        for frame, line in traceback.walk_tb(error.__traceback__):
            path = self.path_of(frame.f_code.co_filename)
            if path is not None:
                frames.append((path, frame.f_code.co_firstlineno, frame.f_code.co_name))
        if frames:
            self.failed = self.statement
            self.frames = frames[::-1]

    def report(self):
        """Returns the functions, those that matter most first, as many as fit."""
        # What failed matters; if nothing failed, what ran last.
        functions = dict(self.functions)
        last = self.failed
        if last is None:
            last = max([statement for _, statement in functions.values()], default=0)
        ran_last = [key for key, (_, statement) in functions.items() if statement == last]
        ran_last.sort(key=lambda key: -functions[key][0])
        recency = {key: 100 - 100 * place // len(ran_last) for place, key in enumerate(ran_last)}
        depth = {}
        for place, key in enumerate(self.frames):
            depth.setdefault(key, place)

        def order(key):
            return (depth.get(key, 1 << 30), -recency.get(key, 0), -functions.get(key, (0, 0))[0])
        files, size = {}, 0
        for key in sorted(set(functions) | set(depth), key=order):
            path, line, name = key
            row = [line, name, recency.get(key, 0), depth.get(key, -1)]
            size += len(json.dumps(row)) + 2 + (0 if path in files else len(json.dumps(path)) + 4)
            if size > MAX_REPORT - 10:
                break
            files.setdefault(path, []).append(row)
        return json.dumps({"files": files})


class Names(dict):
    """The names of a sample. Those that it does not import are looked up in the packages of the repository."""

    def __init__(self, packages):
        super().__init__(__name__="__main__", __builtins__=__builtins__)
        self.packages = packages

    def __missing__(self, name):
        builtins = sys.modules["builtins"]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        profile = sys.getprofile()
        sys.setprofile(None)
        try:
            for package in self.packages:
                if name == package:
                    return __import__(package)
                try:
                    return getattr(__import__(package), name)
                except (ImportError, AttributeError):
                    continue
        finally:
            sys.setprofile(profile)
        raise KeyError(name)


def read_statements(sample):
    """Returns the statements of a sample. What is no code, such as the output of a session, is left out."""
    lines = sample.expandtabs(4).splitlines()
    without_prompts = [PROMPT.sub("", line) if PROMPT.match(line) else None for line in lines]
    if any(line is not None for line in without_prompts):
        lines = [line or "" for line in without_prompts]
    lines = textwrap.dedent("\n".join(lines)).split("\n")
    statements, start = [], 0
    while start < len(lines):
        end = min(len(lines), start + MAX_LINES)
        while end > start:
            try:
                found = ast.parse("\n".join(lines[start:end])).body
                break
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                end -= 1
        if end > start:
            statements += found
        start = max(end, start + 1)
    return statements


def compile_statement(statement):
    if isinstance(statement, ast.Expr):
        # As in a session, where the value is printed.
        return compile(ast.Interactive([statement]), SAMPLE, "single")
    module = ast.parse("")
    module.body = [statement]
    return compile(module, SAMPLE, "exec")


def run_samples(trace, samples, packages):
    names = Names(packages)
    for sample in samples:
        for statement in read_statements(sample):
            trace.statement += 1
            try:
                code = compile_statement(statement)
            except (SyntaxError, ValueError):
                # Part of a function, such as `return x` alone.
                continue
            trace.record(lambda: exec(code, names))


def run_tests(trace, tests):
    import pytest

    class Plugin:
        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_call(self, item):
            trace.statement += 1
            trace.importing = 0
            sys.setprofile(trace.on_event)
            outcome = yield
            sys.setprofile(None)
            if outcome.excinfo is not None:
                trace.remember(outcome.excinfo[1])

    # One by one: an id that there is not ends a run.
    for test in tests:
        pytest.main(["-q", "-p", "no:cacheprovider", test], plugins=[Plugin()])


def find_packages(folders):
    """Returns the packages in the folders in which a repository keeps them."""
    found = []
    for folder in folders:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            is_package = os.path.isfile(os.path.join(folder, name, "__init__.py"))
            if is_package and name.isidentifier() and name not in ("test", "tests", "docs", "doc", "examples"):
                found.append(name)
    return found


def main(job):
    root = os.getcwd()
    sys.path[:0] = [os.path.join(root, "src"), root]
    output = os.dup(1)
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    trace = Trace(root)
    lock = threading.Lock()

    def finish():
        # Of the two threads, one.
        lock.acquire()
        os.write(output, ("\n" + MARK + trace.report() + "\n").encode())
        os._exit(0)

    def watch():
        time.sleep(job["seconds"])
        finish()

    threading.Thread(target=watch, daemon=True).start()
    if job["tests"]:
        try:
            run_tests(trace, job["tests"])
        except BaseException:
            sys.setprofile(None)
    try:
        run_samples(trace, job["samples"], find_packages(["src", "."]))
    finally:
        finish()
