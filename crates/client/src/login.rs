//! Getting an API token with a password.

use patchwright_core::Secret;
use patchwright_http::Request;
use patchwright_protocol::auth::{Login, Me, SessionView};
use patchwright_protocol::users::{CreatedToken, NewToken};

use crate::{Client, ClientError};

impl Client {
    /// Returns who the token belongs to.
    ///
    /// # Errors
    /// [`ClientError::Unauthorized`] if the server does not know the token; others as for all operations.
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.get("/me").await
    }

    /// Logs in with a password, creates an API token, and ends the session again.
    ///
    /// # Errors
    /// [`ClientError::Unauthorized`] if login or password is wrong; others as for all operations.
    pub async fn create_token_with_password(
        &self,
        login: &str,
        password: &Secret,
        new: &NewToken,
    ) -> Result<CreatedToken, ClientError> {
        let credentials = Login { login: login.to_owned(), password: password.expose().to_owned() };
        let response = self.send(Request::post(self.url("/auth/login")).json(&credentials)).await?;
        let session: SessionView = response.json().map_err(|_| self.invalid_response(&response))?;
        let cookie = response.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        let cookie = Secret::new(cookie.ok_or_else(|| self.invalid_response(&response))?.to_owned());
        let csrf = Secret::new(session.csrf_token);
        let of_session =
            |request: Request| request.secret_header("cookie", &cookie).secret_header("x-csrf-token", &csrf);
        let created = self.receive(of_session(Request::post(self.url("/tokens")).json(new))).await;
        // A session that stays ends by itself.
        let _ = self.send(of_session(Request::post(self.url("/auth/logout")))).await;
        created
    }
}
