"""A third-party node: it knows the two requests of docs/requirements.md#r144 and git, and nothing else of this product.

usage: third_party_node.py SERVER NODE_TOKEN BEHAVIOUR [--health]; prints its port.
"""
import http.server, json, os, subprocess, sys, tempfile, threading, urllib.error, urllib.request

SERVER, TOKEN, BEHAVIOUR = sys.argv[1:4]
FIELDS = "issue_id task_id repository_url issue_number issue_title issue_description credential_token command".split()


def git(folder, *arguments, token=""):
    helper = '!f() { echo username=x; echo "password=$TASK_TOKEN"; }; f'
    command = ["git", "-c", "user.name=n", "-c", "user.email=n@n", "-c", "credential.helper=" + helper, *arguments]
    environment = {**os.environ, "TASK_TOKEN": token, "GIT_TERMINAL_PROMPT": "0"}
    subprocess.run(command, cwd=folder, check=True, env=environment, capture_output=True)


def report(task, **fields):
    body = {"task_id": task["task_id"], "error_message": None, **fields}
    url = f"{SERVER}/api/v1/issues/{task['issue_id']}/report-branch"
    headers = {"content-type": "application/json", "authorization": "Bearer " + TOKEN}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        print("reported", urllib.request.urlopen(request).status, flush=True)
    except urllib.error.HTTPError as error:
        print("refused", error.code, error.read().decode(), flush=True)


def work(task):
    branch, folder = f"feature/issue-{task['issue_number']}", tempfile.mkdtemp()
    if BEHAVIOUR == "silence":
        return
    if BEHAVIOUR == "failure":
        return report(task, branch_name=None, status="failed", error_message="no idea, sorry")
    if BEHAVIOUR == "branch that does not exist":
        return report(task, branch_name="feature/nowhere", status="success")
    if BEHAVIOUR == "branch of somebody else":
        return report(task, branch_name="main", status="success")
    git(folder, "clone", "-q", task["repository_url"], ".", token=task["credential_token"])
    git(folder, "checkout", "-q", "-b", branch)
    path = {"protected file": ".github/workflows/ci.yml", "build folder": "build/table.txt"}.get(BEHAVIOUR, "calc.py")
    if BEHAVIOUR == "mode":
        os.chmod(os.path.join(folder, path), 0o755)
    elif BEHAVIOUR != "no change":
        os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
        text = "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n"
        open(os.path.join(folder, path), "w").write(text + f"# {task['command']}\n")
    if BEHAVIOUR != "no change":
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", task["issue_title"])
    git(folder, "push", "-q", "-f", "origin", branch, token=task["credential_token"])
    for _ in range(2 if BEHAVIOUR == "double report" else 1):
        report(task, branch_name=branch, status="success")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if "--health" in sys.argv and self.path == "/health" else 404)
        self.end_headers()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        threading.Thread(target=work, args=({name: body[name] for name in FIELDS},)).start()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
