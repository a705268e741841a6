//! Answers that are asked for again only if they changed. GitHub does not count such requests when nothing did.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use crate::{Request, Response};

/// Answers that are kept.
const MAX_ENTRIES: usize = 256;
/// The largest answer that is kept, in bytes.
const MAX_BODY: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Entries {
    by_address: HashMap<String, (String, Response)>,
    order: VecDeque<String>,
}

/// The answers to earlier reads with their entity tags, the newest few hundred.
#[derive(Debug, Default)]
pub struct Etags(Mutex<Entries>);

impl Etags {
    /// Adds `If-None-Match` to a read whose answer is known. `account` keeps what different people may see apart.
    #[must_use]
    pub fn ask(&self, request: Request, account: &str) -> Request {
        let entries = self.0.lock().expect("no holder of this lock can panic");
        match entries.by_address.get(&key(&request, account)) {
            Some((etag, _)) => request.header("if-none-match", etag.clone()),
            None => request,
        }
    }

    /// The answer to hand on: the known one after 304, else the new one, which is kept if it has a tag.
    pub fn settle(&self, request: &Request, account: &str, response: Response) -> Response {
        let key = key(request, account);
        let entries = &mut *self.0.lock().expect("no holder of this lock can panic");
        if response.status == 304 {
            return entries.by_address.get(&key).map_or(response, |(_, known)| known.clone());
        }
        let etag = response.header("etag").map(str::to_owned);
        if let Some(etag) = etag.filter(|_| response.status == 200 && response.body.len() <= MAX_BODY) {
            if entries.by_address.insert(key.clone(), (etag, response.clone())).is_none() {
                entries.order.push_back(key);
            }
            if entries.order.len() > MAX_ENTRIES
                && let Some(oldest) = entries.order.pop_front()
            {
                entries.by_address.remove(&oldest);
            }
        }
        response
    }
}

fn key(request: &Request, account: &str) -> String {
    format!("{account} {}", request.address())
}
