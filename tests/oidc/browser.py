"""A person with a browser: logs in at the provider, comes back, and says who the server takes them for.

    browser.py START LOGIN         -> the JSON of /api/v1/me, and where the browser ended
    browser.py --again START LOGIN -> what is answered when the way back is gone twice
"""
import html.parser
import http.cookiejar
import json
import sys
import urllib.error
import urllib.parse
import urllib.request


class Form(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.action, self.fields = None, {}

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = attrs.get("action")
        if tag == "input" and attrs.get("name") and self.action is not None:
            self.fields.setdefault(attrs["name"], attrs.get("value") or "")


class Trail(urllib.request.HTTPRedirectHandler):
    """Remembers where it was sent."""

    def __init__(self):
        self.places = []

    def redirect_request(self, request, *rest):
        self.places.append(rest[-1])
        return super().redirect_request(request, *rest)


again = sys.argv[1] == "--again"
start, login = sys.argv[-2:]
trail = Trail()
jar = http.cookiejar.CookieJar()
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar), trail)
server = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(start))


def open_page(url, data=None):
    try:
        answer = browser.open(url, data)
    except urllib.error.HTTPError as error:
        answer = error
    return answer, answer.read().decode()


answer, page = open_page(start)
while not answer.url.startswith(server):
    form = Form()
    form.feed(page)
    assert form.action, page
    fields = dict(form.fields)
    if "login" in fields:
        fields.update(login=login, password="any")
    url = urllib.parse.urljoin(answer.url, form.action)
    answer, page = open_page(url, urllib.parse.urlencode(fields).encode())

if again:
    back = next(place for place in trail.places if "/oidc/callback" in place)
    answer, page = open_page(back)
    print(json.dumps({"status": answer.status, "body": json.loads(page)}))
else:
    me, body = open_page(server + "/api/v1/me")
    names = {cookie.name: cookie.has_nonstandard_attr("HttpOnly") for cookie in jar if cookie.domain.startswith("127")}
    print(json.dumps({"status": me.status, "me": json.loads(body), "ended": trail.places[-1], "cookies": names}))
