//! Telling people what happened: signed webhooks, e-mail, and the chats that take webhooks of their own form.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use patchwright_core::notifications::{Channels as _, ClaimedNotice};
use patchwright_core::store::{EffectOutcome, StoreError};
use patchwright_core::{Clock, Redactor, Secret};
use patchwright_domain::NoticeId;
use patchwright_domain::notification::{ChannelKind, Notice};
use patchwright_http::{HttpClient, HttpError, Request, Response, Retry};
use patchwright_store_diesel::Vault;
use ring::hmac;
use serde_json::json;

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a notice is held for one try.
const HOLD: SignedDuration = SignedDuration::from_secs(60);
/// How often a notice is tried; with the doubling waits that is about a day.
const MAX_TRIES: u32 = 12;
/// The longest wait between two tries.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(6);

/// How mail goes out.
#[derive(Clone)]
pub(crate) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mail {
    /// The mail server at an address: `smtps://user:password@host`, `smtp://host?tls=required`.
    ///
    /// # Errors
    /// What is wrong with the address or the sender.
    pub(crate) fn new(url: &Secret, from: &str) -> Result<Self, String> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
            .map_err(|error| format!("SMTP_URL cannot be used: {error}"))?
            .timeout(Some(PATIENCE))
            .build();
        let from = from.parse().map_err(|error| format!("SMTP_FROM is no mailbox: {error}"))?;
        Ok(Self { transport, from })
    }
}

/// Why something was not told.
struct NotTold {
    why: String,
    /// Whether later may be better.
    later: bool,
}

impl NotTold {
    fn later(why: impl Into<String>) -> Self {
        Self { why: why.into(), later: true }
    }

    fn never(why: impl Into<String>) -> Self {
        Self { why: why.into(), later: false }
    }
}

impl From<HttpError> for NotTold {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Address { detail } => Self::never(detail),
            HttpError::PrivateAddress { host } => Self::never(format!(
                "{host} is an address of a private network; an administrator can allow it with ALLOW_PRIVATE_ADDRESSES"
            )),
            other => Self::later(other.to_string()),
        }
    }
}

/// Tells people.
pub(crate) struct Notifier {
    vault: Vault,
    http: HttpClient,
    mail: Option<Mail>,
    clock: Arc<dyn Clock>,
    redactor: Redactor,
    /// Before the second try; it doubles.
    first_wait: SignedDuration,
}

impl Notifier {
    pub(crate) const fn new(
        vault: Vault,
        http: HttpClient,
        mail: Option<Mail>,
        clock: Arc<dyn Clock>,
        redactor: Redactor,
        first_wait: SignedDuration,
    ) -> Self {
        Self { vault, http, mail, clock, redactor, first_wait }
    }

    /// Sends the oldest due notice, if there is one.
    ///
    /// # Errors
    /// [`StoreError`]. Whoever cannot be told is no error here: it is tried again later.
    pub(crate) async fn next(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let until = now.saturating_add(HOLD).unwrap_or(now);
        let Some(held) = self.vault.claim_notice(now, until).await? else { return Ok(false) };
        let told = tokio::time::timeout(PATIENCE, self.tell(&held)).await;
        let outcome = match told.unwrap_or_else(|_| Err(NotTold::later("no answer in time"))) {
            Ok(()) => EffectOutcome::Done,
            Err(not_told) => self.outcome(&held, &not_told),
        };
        self.vault.settle_notice(held.id, outcome).await?;
        Ok(true)
    }

    fn outcome(&self, held: &ClaimedNotice, not_told: &NotTold) -> EffectOutcome {
        let error = self.redactor.redact(&not_told.why);
        let channel = &held.channel.name;
        if !not_told.later || held.attempt >= MAX_TRIES {
            tracing::warn!(channel, error, "a notification is given up");
            return EffectOutcome::Dead { error };
        }
        tracing::info!(channel, error, held.attempt, "a notification is tried again later");
        let wait = self.first_wait.saturating_mul(2_i32.saturating_pow(held.attempt - 1)).min(LONGEST_WAIT);
        let now = self.clock.now();
        EffectOutcome::Retry { at: now.saturating_add(wait).unwrap_or(now), error }
    }

    async fn tell(&self, held: &ClaimedNotice) -> Result<(), NotTold> {
        let (notice, secret, now) = (&held.notice, held.secret.as_ref(), self.clock.now());
        let target = &held.channel.target;
        match held.channel.kind {
            ChannelKind::Webhook => taken(&self.post(webhook(target, held.id, notice, secret, now)).await?),
            ChannelKind::Slack => taken(&self.post(Request::post(target).json(&json!({"text": notice.text()}))).await?),
            ChannelKind::Feishu => {
                agreed(&self.post(feishu(target, notice, secret, now)).await?, &["code", "StatusCode"])
            }
            ChannelKind::Dingtalk => agreed(&self.post(dingtalk(target, notice, secret, now)).await?, &["errcode"]),
            ChannelKind::Email => self.mail(target, notice).await,
        }
    }

    async fn post(&self, request: Request) -> Result<Response, HttpError> {
        self.http.send(request, Retry::Never).await
    }

    async fn mail(&self, target: &str, notice: &Notice) -> Result<(), NotTold> {
        let mail = self.mail.as_ref().ok_or_else(|| NotTold::later("no mail server is configured (SMTP_URL)"))?;
        let to: Mailbox = target.parse().map_err(|error| NotTold::never(format!("{target} is no mailbox: {error}")))?;
        let message = Message::builder()
            .from(mail.from.clone())
            .to(to)
            .subject(format!("[patchwright] {}", notice.headline().replace(['\r', '\n'], " ")))
            .body(format!("{}\n", notice.text()))
            .map_err(|error| NotTold::never(error.to_string()))?;
        match mail.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(NotTold::never(error.to_string())),
            Err(error) => Err(NotTold::later(error.to_string())),
        }
    }
}

/// A webhook as Standard Webhooks (standardwebhooks.com) describes it.
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

/// `pull_request.opened`: the thing, a dot, and what happened to it.
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

/// A bot of Feishu. What is signed is nothing, with time and secret as the key.
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

/// A robot of `DingTalk`. The signature stands in the address.
fn dingtalk(target: &str, notice: &Notice, secret: Option<&Secret>, now: Timestamp) -> Request {
    let request = Request::post(target).json(&json!({"msgtype": "text", "text": {"content": notice.text()}}));
    let Some(secret) = secret else { return request };
    let at = now.as_millisecond().to_string();
    let sign = mac(secret.expose().as_bytes(), format!("{at}\n{}", secret.expose()).as_bytes());
    request.query("timestamp", at).query("sign", sign)
}

/// Whether it was taken, by the status.
fn taken(answer: &Response) -> Result<(), NotTold> {
    let why = || format!("it answered with status {}: {}", answer.status, answer.excerpt());
    match answer.status {
        200..=299 => Ok(()),
        // Standard Webhooks: whoever says so wants nothing more.
        410 => Err(NotTold::never(why())),
        400..=407 | 409..=428 | 430..=499 => Err(NotTold { later: false, why: why() }),
        _ => Err(NotTold::later(why())),
    }
}

/// The same for those who say in the body whether they took it.
fn agreed(answer: &Response, fields: &[&str]) -> Result<(), NotTold> {
    taken(answer)?;
    let body: serde_json::Value = answer.json().unwrap_or_default();
    match fields.iter().find_map(|field| body[*field].as_i64()) {
        Some(0) | None => Ok(()),
        Some(code) => Err(NotTold::later(format!("it answered with code {code}: {}", answer.excerpt()))),
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
