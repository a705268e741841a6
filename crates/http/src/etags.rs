//! Conditional requests. GitHub does not count a request against the rate limit if its answer is 304.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use crate::{Request, Response};

/// The number of responses that are kept.
const MAX_ENTRIES: usize = 256;
/// The largest response that is kept, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<String, (String, Response)>,
    order: VecDeque<String>,
}

/// Keeps the newest 256 responses of up to 64 KiB with their entity tags.
#[derive(Debug, Default)]
pub struct EtagCache(Mutex<Entries>);

impl EtagCache {
    /// Adds `If-None-Match` to a request whose response is known. `account` keeps responses for different accounts apart.
    #[must_use]
    pub fn make_conditional(&self, request: Request, account: &str) -> Request {
        let entries = self.0.lock().expect("no holder of this lock can panic");
        match entries.by_key.get(&key(&request, account)) {
            Some((etag, _)) => request.header("if-none-match", etag.clone()),
            None => request,
        }
    }

    /// Returns the kept response for a 304, and otherwise the given one, which is kept if it has an entity tag.
    pub fn resolve(&self, request: &Request, account: &str, response: Response) -> Response {
        let key = key(request, account);
        let entries = &mut *self.0.lock().expect("no holder of this lock can panic");
        if response.status == 304 {
            return entries.by_key.get(&key).map_or(response, |(_, known)| known.clone());
        }
        let etag = response.header("etag").map(str::to_owned);
        if let Some(etag) = etag.filter(|_| response.status == 200 && response.body.len() <= MAX_BODY_BYTES) {
            if entries.by_key.insert(key.clone(), (etag, response.clone())).is_none() {
                entries.order.push_back(key);
            }
            if entries.order.len() > MAX_ENTRIES
                && let Some(oldest) = entries.order.pop_front()
            {
                entries.by_key.remove(&oldest);
            }
        }
        response
    }
}

fn key(request: &Request, account: &str) -> String {
    format!("{account} {}", request.url_with_query())
}
