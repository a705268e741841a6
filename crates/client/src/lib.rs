#![doc = include_str!("../README.md")]

mod error;
mod login;
mod operations;
mod reference;

use patchwright_core::Secret;
use patchwright_http::{HttpClient, Request, Response, Retry};
use patchwright_protocol::problem::{GatewayError, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::error::ClientError;

/// A client of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: HttpClient,
    server: String,
    token: Option<Secret>,
}

impl Client {
    /// Creates a client. `server` is the address of the server, such as `https://patchwright.example`; `token` is an API
    /// token, which a server on the same machine without users does not need.
    pub fn new(http: HttpClient, server: &str, token: Option<Secret>) -> Self {
        Self { http, server: server.trim_end_matches('/').to_owned(), token }
    }

    /// Returns the address of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.server)
    }

    async fn send(&self, request: Request) -> Result<Response, ClientError> {
        let request = match &self.token {
            Some(token) => request.bearer(token),
            None => request,
        };
        let sent = self.http.send(request, Retry::Never).await;
        let response =
            sent.map_err(|error| ClientError::Unreachable { server: self.server.clone(), detail: error.to_string() })?;
        if response.is_success() { Ok(response) } else { Err(self.refusal(&response)) }
    }

    async fn receive<T: DeserializeOwned>(&self, request: Request) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        response.json().map_err(|_| self.invalid_response(&response))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.receive(Request::get(self.url(path))).await
    }

    /// The fields of the query that are set become parameters.
    async fn list<T: DeserializeOwned>(&self, path: &str, query: &(impl Serialize + Sync)) -> Result<T, ClientError> {
        let query = serde_json::to_value(query).expect("a query is JSON");
        let mut parameters = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.as_object().into_iter().flatten() {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => drop(parameters.append_pair(name, text)),
                other => drop(parameters.append_pair(name, &other.to_string())),
            }
        }
        let request = Request::get(format!("{}?{}", self.url(path), parameters.finish()));
        self.receive(request).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T, ClientError> {
        self.receive(Request::post(self.url(path)).json(body)).await
    }

    async fn patch<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T, ClientError> {
        self.receive(Request::patch(self.url(path)).json(body)).await
    }

    async fn put<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T, ClientError> {
        self.receive(Request::put(self.url(path)).json(body)).await
    }

    async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(Request::delete(self.url(path))).await.map(drop)
    }

    /// Sends a POST without a body.
    async fn command<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.receive(Request::post(self.url(path))).await
    }

    fn refusal(&self, response: &Response) -> ClientError {
        if let Ok(problem) = response.json::<Problem>()
            && !problem.detail.is_empty()
        {
            return if response.status == 401 {
                ClientError::Unauthorized { detail: problem.detail }
            } else {
                ClientError::Refused(problem)
            };
        }
        match response.json::<GatewayError>() {
            Ok(error) => {
                ClientError::Refused(Problem { status: response.status, detail: error.error, ..Problem::default() })
            }
            Err(_) => self.invalid_response(response),
        }
    }

    fn invalid_response(&self, response: &Response) -> ClientError {
        ClientError::InvalidResponse { server: self.server.clone(), status: response.status }
    }
}
