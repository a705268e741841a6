#![doc = include_str!("../README.md")]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use patchwright_core::notifications::{Channels, ClaimedNotice};
use patchwright_core::store::{EffectOutcome, StoreError};
use patchwright_core::{Clock, Redactor, Secret};
use patchwright_domain::NoticeId;
use patchwright_domain::notification::{ChannelKind, Notice};
use patchwright_http::{HttpClient, HttpError, Request, Response, Retry};
use ring::hmac;
use serde_json::json;

/// How long one attempt may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a notice is claimed for one attempt.
const CLAIM_DURATION: SignedDuration = SignedDuration::from_secs(60);
/// How often a notice is tried; with the doubling waits this takes about a day.
const MAX_ATTEMPTS: u32 = 12;
/// The longest wait between two attempts.
const MAX_BACKOFF: SignedDuration = SignedDuration::from_hours(6);

/// A mail server and the sender of its messages.
#[derive(Clone)]
pub struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mail {
    /// Connects to the mail server at an address: `smtps://user:password@host`, `smtp://host?tls=required`.
    ///
    /// # Errors
    /// [`MailError`], naming the address or the sender.
    pub fn new(url: &Secret, from: &str) -> Result<Self, MailError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
            .map_err(|error| MailError::Address(error.to_string()))?
            .timeout(Some(SEND_TIMEOUT))
            .build();
        let from = from.parse().map_err(|_| MailError::Sender(from.to_owned()))?;
        Ok(Self { transport, from })
    }
}

/// A notice could not be sent.
struct SendError {
    reason: String,
    /// Whether a later attempt may succeed.
    is_retryable: bool,
}

impl SendError {
    fn retryable(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_retryable: true }
    }

    fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_retryable: false }
    }
}

/// The mail settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The address of the mail server.
    #[error("the address of the mail server cannot be used: {0}")]
    Address(String),
    /// The sender.
    #[error("the sender `{0}` is not a mailbox")]
    Sender(String),
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail({})", self.from)
    }
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").field("mail", &self.mail).finish_non_exhaustive()
    }
}

impl From<HttpError> for SendError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Address { detail } => Self::permanent(detail),
            HttpError::PrivateAddress { host } => Self::permanent(format!(
                "{host} is an address of a private network; an administrator can allow it with ALLOW_PRIVATE_ADDRESSES"
            )),
            other => Self::retryable(other.to_string()),
        }
    }
}

/// Sends due notices, one at a time.
pub struct Notifier {
    channels: Arc<dyn Channels>,
    http: HttpClient,
    mail: Option<Mail>,
    clock: Arc<dyn Clock>,
    redactor: Redactor,
    /// The wait before the second attempt; it doubles.
    first_backoff: SignedDuration,
}

impl Notifier {
    /// Creates a notifier. `http` should refuse private addresses, because users choose the targets. Without `mail`,
    /// mail waits.
    pub fn new(
        channels: Arc<dyn Channels>,
        http: HttpClient,
        mail: Option<Mail>,
        clock: Arc<dyn Clock>,
        redactor: Redactor,
        first_backoff: SignedDuration,
    ) -> Self {
        Self { channels, http, mail, clock, redactor, first_backoff }
    }

    /// Sends the oldest due notice; `false` when there is none.
    ///
    /// # Errors
    /// [`StoreError`]. A target that cannot be reached is not an error here: the notice is sent again later.
    pub async fn send_next(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let until = now.saturating_add(CLAIM_DURATION).unwrap_or(now);
        let Some(claimed) = self.channels.claim_notice(now, until).await? else { return Ok(false) };
        let sent = tokio::time::timeout(SEND_TIMEOUT, self.send(&claimed)).await;
        let outcome = match sent.unwrap_or_else(|_| Err(SendError::retryable("no answer in time"))) {
            Ok(()) => EffectOutcome::Done,
            Err(error) => self.outcome(&claimed, &error),
        };
        self.channels.settle_notice(claimed.id, outcome).await?;
        Ok(true)
    }

    fn outcome(&self, claimed: &ClaimedNotice, failure: &SendError) -> EffectOutcome {
        let error = self.redactor.redact(&failure.reason);
        let channel = &claimed.channel.name;
        if !failure.is_retryable || claimed.attempt >= MAX_ATTEMPTS {
            tracing::warn!(channel, error, "giving up on a notification");
            return EffectOutcome::Dead { error };
        }
        tracing::info!(channel, error, attempt = claimed.attempt, "failed to send a notification; retrying");
        let wait = self.first_backoff.saturating_mul(2_i32.saturating_pow(claimed.attempt - 1)).min(MAX_BACKOFF);
        let now = self.clock.now();
        EffectOutcome::Retry { at: now.saturating_add(wait).unwrap_or(now), error }
    }

    async fn send(&self, claimed: &ClaimedNotice) -> Result<(), SendError> {
        let (notice, secret, now) = (&claimed.notice, claimed.secret.as_ref(), self.clock.now());
        let target = &claimed.channel.target;
        match claimed.channel.kind {
            ChannelKind::Webhook => check_status(&self.post(webhook(target, claimed.id, notice, secret, now)).await?),
            ChannelKind::Slack => {
                check_status(&self.post(Request::post(target).json(&json!({"text": notice.text()}))).await?)
            }
            ChannelKind::Feishu => {
                check_body_code(&self.post(feishu(target, notice, secret, now)).await?, &["code", "StatusCode"])
            }
            ChannelKind::Dingtalk => {
                check_body_code(&self.post(dingtalk(target, notice, secret, now)).await?, &["errcode"])
            }
            ChannelKind::Email => self.mail(target, notice).await,
        }
    }

    async fn post(&self, request: Request) -> Result<Response, HttpError> {
        self.http.send(request, Retry::Never).await
    }

    async fn mail(&self, target: &str, notice: &Notice) -> Result<(), SendError> {
        let mail = self.mail.as_ref().ok_or_else(|| SendError::retryable("no mail server is configured"))?;
        let to: Mailbox =
            target.parse().map_err(|error| SendError::permanent(format!("{target} is not a mailbox: {error}")))?;
        let message = Message::builder()
            .from(mail.from.clone())
            .to(to)
            .subject(format!("[patchwright] {}", notice.headline().replace(['\r', '\n'], " ")))
            .body(format!("{}\n", notice.text()))
            .map_err(|error| SendError::permanent(error.to_string()))?;
        match mail.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(SendError::permanent(error.to_string())),
            Err(error) => Err(SendError::retryable(error.to_string())),
        }
    }
}

/// A webhook in the form of Standard Webhooks (standardwebhooks.com).
fn webhook(target: &str, id: NoticeId, notice: &Notice, secret: Option<&Secret>, now: Timestamp) -> Request {
    let body = json!({
        "type": dotted(notice.event.as_str()),
        "timestamp": notice.at,
        "data": notice,
    })
    .to_string();
    let at = now.as_second();
    let request =
        Request::post(target).header("webhook-id", format!("msg_{id}")).header("webhook-timestamp", at.to_string());
    let request = match secret {
        Some(secret) => {
            let signed = format!("msg_{id}.{at}.{body}");
            request.header("webhook-signature", format!("v1,{}", mac(&webhook_key(secret), signed.as_bytes())))
        }
        None => request,
    };
    request.raw_json(body)
}

/// `pull_request.opened`: the subject, a dot, and what happened to it.
fn dotted(event: &str) -> String {
    event.rsplit_once('_').map_or_else(|| event.to_owned(), |(thing, what)| format!("{thing}.{what}"))
}

/// The bytes of a secret that is written as `whsec_` and Base64.
fn webhook_key(secret: &Secret) -> Vec<u8> {
    let text = secret.expose();
    let encoded = text.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    encoded.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn mac(key: &[u8], text: &[u8]) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text))
}

/// A bot of Feishu. It signs an empty text with time and secret as the key.
fn feishu(target: &str, notice: &Notice, secret: Option<&Secret>, now: Timestamp) -> Request {
    let mut body = json!({"msg_type": "text", "content": {"text": notice.text()}});
    if let Some(secret) = secret {
        let at = now.as_second().to_string();
        let key = format!("{at}\n{}", secret.expose());
        body["sign"] = mac(key.as_bytes(), b"").into();
        body["timestamp"] = at.into();
    }
    Request::post(target).json(&body)
}

/// A robot of `DingTalk`. The signature is a parameter of the address.
fn dingtalk(target: &str, notice: &Notice, secret: Option<&Secret>, now: Timestamp) -> Request {
    let request = Request::post(target).json(&json!({"msgtype": "text", "text": {"content": notice.text()}}));
    let Some(secret) = secret else { return request };
    let at = now.as_millisecond().to_string();
    let sign = mac(secret.expose().as_bytes(), format!("{at}\n{}", secret.expose()).as_bytes());
    request.query("timestamp", at).query("sign", sign)
}

/// Checks the status of a response.
fn check_status(answer: &Response) -> Result<(), SendError> {
    let reason = || format!("it answered with status {}: {}", answer.status, answer.excerpt());
    match answer.status {
        200..=299 => Ok(()),
        // Among them 410, by which a receiver refuses all further messages (Standard Webhooks).
        // 408 and 429 ask for a later attempt.
        400..=407 | 409..=428 | 430..=499 => Err(SendError::permanent(reason())),
        _ => Err(SendError::retryable(reason())),
    }
}

/// The same for services that report errors in the body.
fn check_body_code(answer: &Response, fields: &[&str]) -> Result<(), SendError> {
    check_status(answer)?;
    let body: serde_json::Value = answer.json().unwrap_or_default();
    match fields.iter().find_map(|field| body[*field].as_i64()) {
        Some(0) | None => Ok(()),
        Some(code) => Err(SendError::retryable(format!("it answered with code {code}: {}", answer.excerpt()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_signed_as_the_standard_says() {
        // The example of the specification.
        let key = webhook_key(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        let body = r#"{"test": 2432232314}"#;
        let signed = format!("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{body}");
        assert_eq!(mac(&key, signed.as_bytes()), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
