//! A real browser, driven like a user does, and checks of its pages.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use patchwright_http::{HttpClient, HttpOptions, Request, Retry};
use patchwright_testkit::fetched;
use serde_json::{Value, json};

/// The longest wait for an element, also on a slow machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A Chromium session.
pub(super) struct Browser {
    pub(super) client: Client,
    http: HttpClient,
    driver: Child,
    address: String,
    /// If this pipe were closed, the driver would fail when it writes to it.
    _printed: BufReader<ChildStdout>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts a driver; returns `None` if none is installed and none is required.
#[expect(clippy::print_stderr, reason = "who runs the tests must see what was skipped")]
fn spawn() -> Option<Child> {
    let spawned = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    match spawned {
        Ok(driver) => Some(driver),
        Err(error) if std::env::var_os("REQUIRE_BROWSER").is_some() => panic!("chromedriver: {error}"),
        Err(_) => {
            eprintln!("skipped: chromedriver is not installed (Debian: chromium chromium-driver)");
            None
        }
    }
}

/// Returns the port that the driver listens on, or its output if it exits before.
fn port_of(printed: &mut BufReader<ChildStdout>) -> Result<String, String> {
    let mut all = String::new();
    while printed.read_line(&mut all).unwrap() > 0 {
        if let Some((_, port)) = all.split_once("started successfully on port ") {
            return Ok(port.trim().trim_end_matches('.').to_owned());
        }
    }
    Err(all)
}

impl Browser {
    /// Returns `None` if no driver is installed and none is required.
    pub(super) async fn start() -> Option<Self> {
        let mut tries = 4;
        // The driver finds a free port and binds it later: another test may take it in between.
        let (driver, printed, port) = loop {
            let mut driver = spawn()?;
            let mut printed = BufReader::new(driver.stdout.take().unwrap());
            match port_of(&mut printed) {
                Ok(port) => break (driver, printed, port),
                Err(why) => assert!(tries > 0, "the driver ends before it has begun: {why}"),
            }
            driver.wait().unwrap();
            tries -= 1;
        };
        let address = format!("http://127.0.0.1:{port}");
        let capabilities = json!({
            "goog:chromeOptions": {
                "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en", "--window-size=1440,900"],
            },
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is written so") };
        let client =
            ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&address).await.unwrap();
        patchwright_http::install_tls();
        let http = HttpClient::new(&HttpOptions::default()).unwrap();
        Some(Self { client, http, driver, address, _printed: printed })
    }

    pub(super) async fn see(&self, css: &str) -> fantoccini::elements::Element {
        match self.client.wait().at_most(WAIT_TIMEOUT).for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("{css} does not show: {error}: {}", self.client.source().await.unwrap()),
        }
    }

    /// Waits until an element that matches the selector has a text that starts with this.
    pub(super) async fn read(&self, css: &str, text: &str) {
        let reads = "return [...document.querySelectorAll(arguments[0])].some(e => e.innerText.trim().startsWith(arguments[1]))";
        let found = self.comes_true(reads, vec![css.into(), text.into()]).await;
        assert!(found, "no {css} reads {text:?}: {}", self.client.source().await.unwrap());
    }

    /// Clicks an element. If the page has just replaced it, it is located again; if the click has led to another page before
    /// the driver looked at the element again, it is done.
    pub(super) async fn press(&self, css: &str) {
        let page = self.client.current_url().await.unwrap();
        loop {
            match self.see(css).await.click().await {
                Err(error) if error.is_stale_element_reference() => {
                    if self.client.current_url().await.unwrap() != page {
                        return;
                    }
                }
                done => return done.unwrap_or_else(|error| panic!("{css} cannot be pressed: {error}")),
            }
        }
    }

    pub(super) async fn write(&self, css: &str, text: &str) {
        self.see(css).await.send_keys(text).await.unwrap();
    }

    /// A command of this browser's driver only.
    async fn driver(&self, path: &str, body: &Value) -> Value {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/{path}", self.address);
        let answer = self.http.send(Request::post(url).json(body), Retry::Never).await.unwrap();
        answer.json::<Value>().unwrap()["value"].clone()
    }

    /// Sets the width of the page, in CSS pixels, and the dark or light theme.
    pub(super) async fn look(&self, width: u32, dark: bool) {
        let mobile = width < 500;
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile});
        let scheme =
            json!({"features": [{"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }}]});
        for (cmd, params) in [("Emulation.setDeviceMetricsOverride", size), ("Emulation.setEmulatedMedia", scheme)] {
            self.driver("goog/cdp/execute", &json!({"cmd": cmd, "params": params})).await;
        }
    }

    /// Returns the problems of the current page: errors in the console, accessibility violations, and a page that is
    /// wider than the window.
    pub(super) async fn judge(&self, place: &str) {
        let printed = self.driver("se/log", &json!({"type": "browser"})).await;
        let errors: Vec<&Value> =
            printed.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE").collect();
        // The browser itself logs rejected requests to the console.
        let ours: Vec<_> =
            errors.iter().filter(|entry| !entry["message"].as_str().unwrap().contains("status of 4")).collect();
        assert!(ours.is_empty(), "{place}: the console says {ours:?}");
        let overflow = "const root = document.documentElement, wide = root.clientWidth;
            if (root.scrollWidth === wide) return [];
            return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > wide + 1)
                .map(e => `${e.tagName} ${e.className} ${e.getBoundingClientRect().right}`).slice(0, 12)";
        assert_eq!(self.run(overflow).await, json!([]), "{place} is wider than the window");
        let Some(axe) = fetched("GITHUB_OPENAPI_NPM").map(|npm| npm.join("node_modules/axe-core/axe.min.js")) else {
            return;
        };
        if !axe.is_file() {
            assert!(std::env::var_os("REQUIRE_BROWSER").is_none(), "axe-core is missing");
            return;
        }
        self.client.execute(&std::fs::read_to_string(axe).unwrap(), vec![]).await.unwrap();
        let run = "const done = arguments[0]; axe.run().then(found => done(found.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html)])))";
        let found = self.client.execute_async(run, vec![]).await.unwrap();
        assert_eq!(found, json!([]), "{place}");
    }

    /// Checks the page at all widths, light and dark, and stores screenshots if `PICTURES` names a folder.
    pub(super) async fn judge_everywhere(&self, place: &str) {
        for (width, dark) in [(1440, false), (1440, true), (768, false), (390, false), (390, true)] {
            self.look(width, dark).await;
            self.run("window.scrollTo(0, 0)").await;
            let look = format!("{place}-{width}-{}", if dark { "dark" } else { "light" });
            self.judge(&look).await;
            if let Some(folder) = std::env::var_os("PICTURES") {
                let whole = json!({"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": true}});
                let picture = self.driver("goog/cdp/execute", &whole).await;
                let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
                std::fs::write(std::path::Path::new(&folder).join(format!("{look}.png")), picture).unwrap();
            }
        }
        self.look(1440, false).await;
    }

    pub(super) async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits until no element matches the selector any more.
    pub(super) async fn gone(&self, css: &str) {
        let gone = "return document.readyState === 'complete' && !document.querySelector(arguments[0])";
        assert!(self.comes_true(gone, vec![css.into()]).await, "{css} stays");
    }

    /// Waits until a script in the page returns true.
    pub(super) async fn until(&self, script: &str) {
        assert!(self.comes_true(script, vec![]).await, "it never says so: {script}");
    }

    async fn comes_true(&self, script: &str, arguments: Vec<Value>) -> bool {
        let printed = async {
            // Between two pages there is no document.
            while !matches!(self.client.execute(script, arguments.clone()).await, Ok(Value::Bool(true))) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WAIT_TIMEOUT, printed).await.is_ok()
    }

    /// Returns the result of a script in the page.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Selects in a list, or sets an input that keys cannot fill, such as a date.
    pub(super) async fn choose(&self, css: &str, value: &str) {
        self.see(css).await;
        let set = "const e = document.querySelector(arguments[0]); e.value = arguments[1]; return e.value";
        let now = self.client.execute(set, vec![css.into(), value.into()]).await.unwrap();
        assert_eq!(now, value, "{css} takes no {value}");
    }

    pub(super) async fn log_in(&self, login: &str, password: &str) {
        self.see("[name=login]").await;
        // A wrong login stays in its field.
        self.run("document.querySelector('[name=login]').value = ''").await;
        self.write("[name=login]", login).await;
        self.write("[name=password]", password).await;
        self.press("main button").await;
    }

    pub(super) async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}
