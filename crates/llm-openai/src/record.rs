//! Recording a model's answers to a file, and replaying them without a server.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::Redactor;
use patchwright_core::llm::{ChatAnswer, ChatRequest, Llm, LlmError, Role};
use patchwright_domain::Usage;
use serde::{Deserialize, Serialize};

/// A request and its answer: one line of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// [`ChatRequest::purpose`].
    pub purpose: String,
    /// The last message of the request, for users; not compared on replay.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub question: String,
    /// The answer's text.
    pub answer: String,
    /// Tokens and cost of the answer.
    #[serde(default)]
    pub usage: Usage,
}

/// A recording cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be opened.
    #[error("the recording {path} cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A line is not an [`Exchange`].
    #[error("line {line} of the recording is not an exchange")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

/// Replays a recording: answers with the next unused answer for the request's purpose.
#[derive(Debug)]
pub struct Recorded {
    model: String,
    remaining: Mutex<Vec<Exchange>>,
    /// All answers, if they are given again after they are used up.
    again: Option<Vec<Exchange>>,
}

impl Recorded {
    /// Parses the text of a recording: one JSON object a line; empty lines are skipped.
    ///
    /// # Errors
    /// [`RecordingError::Line`] with the first invalid line.
    pub fn parse(model: impl Into<String>, text: &str) -> Result<Self, RecordingError> {
        let mut remaining = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let exchange =
                serde_json::from_str(line).map_err(|source| RecordingError::Line { line: index + 1, source })?;
            remaining.push(exchange);
        }
        Ok(Self { model: model.into(), remaining: Mutex::new(remaining), again: None })
    }

    /// Gives the answers for a purpose again after all of them were given.
    #[must_use]
    pub fn repeated(self) -> Self {
        let all = self.remaining.lock().expect("no holder of this lock can panic").clone();
        Self { again: Some(all), ..self }
    }

    /// Reads a recording from a file.
    ///
    /// # Errors
    /// [`RecordingError::File`] if it cannot be read, [`RecordingError::Line`] for an invalid line.
    pub fn open(model: impl Into<String>, path: &Path) -> Result<Self, RecordingError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| RecordingError::File { path: path.to_owned(), source })?;
        Self::parse(model, &text)
    }
}

#[async_trait]
impl Llm for Recorded {
    fn model(&self) -> String {
        self.model.clone()
    }

    fn is_recorded(&self) -> bool {
        true
    }

    async fn chat(&self, request: &ChatRequest, _: &CancellationToken) -> Result<ChatAnswer, LlmError> {
        let mut remaining = self.remaining.lock().expect("no holder of this lock can panic");
        let fits = |exchange: &Exchange| exchange.purpose == request.purpose;
        if let Some(all) = self.again.as_ref().filter(|_| !remaining.iter().any(fits)) {
            remaining.extend(all.iter().filter(|exchange| fits(exchange)).cloned());
        }
        let found = remaining.iter().position(fits);
        let exchange = found.map(|at| remaining.remove(at)).ok_or_else(|| LlmError::Unusable {
            detail: format!("the recording has no further answer for `{}`", request.purpose),
        })?;
        let usage = Usage { calls: 1, ..exchange.usage };
        Ok(ChatAnswer { text: exchange.answer, model: self.model.clone(), usage })
    }
}

/// Passes requests on to another model and appends each exchange to a file, with secrets masked.
pub struct Recording<L> {
    inner: L,
    redactor: Redactor,
    file: Mutex<std::fs::File>,
}

impl<L: Llm> Recording<L> {
    /// Creates a recorder that appends to a file, which is created if necessary.
    ///
    /// # Errors
    /// [`RecordingError::File`] if it cannot be opened.
    pub fn new(inner: L, redactor: Redactor, path: &Path) -> Result<Self, RecordingError> {
        let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let file = file.map_err(|source| RecordingError::File { path: path.to_owned(), source })?;
        Ok(Self { inner, redactor, file: Mutex::new(file) })
    }
}

#[async_trait]
impl<L: Llm> Llm for Recording<L> {
    fn model(&self) -> String {
        self.inner.model()
    }

    fn estimate(&self, request: &ChatRequest) -> Usage {
        self.inner.estimate(request)
    }

    async fn chat(&self, request: &ChatRequest, cancel: &CancellationToken) -> Result<ChatAnswer, LlmError> {
        use std::io::Write as _;
        let answer = self.inner.chat(request, cancel).await?;
        let question = request.messages.iter().rfind(|message| message.role == Role::User);
        let exchange = Exchange {
            purpose: request.purpose.to_owned(),
            question: question.map(|message| self.redactor.redact(&message.content)).unwrap_or_default(),
            answer: self.redactor.redact(&answer.text),
            usage: answer.usage,
        };
        let line = serde_json::to_string(&exchange).expect("an exchange has only text and numbers");
        let mut file = self.file.lock().expect("no holder of this lock can panic");
        if let Err(error) = writeln!(file, "{line}") {
            tracing::warn!(%error, "failed to record a model request");
        }
        drop(file);
        Ok(answer)
    }
}

impl<L> std::fmt::Debug for Recording<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recording")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(purpose: &'static str) -> ChatRequest {
        ChatRequest::new(purpose, Vec::new())
    }

    #[tokio::test]
    async fn a_recording_is_replayed_by_purpose_and_in_order() {
        let text = "{\"purpose\":\"a\",\"answer\":\"1\"}\n\n{\"purpose\":\"b\",\"answer\":\"2\"}\n{\"purpose\":\"a\",\"answer\":\"3\"}\n";
        let recorded = Recorded::parse("recorded", text).unwrap();
        let cancel = CancellationToken::new();
        assert_eq!(recorded.chat(&ask("b"), &cancel).await.unwrap().text, "2");
        assert_eq!(recorded.chat(&ask("a"), &cancel).await.unwrap().text, "1");
        assert_eq!(recorded.chat(&ask("a"), &cancel).await.unwrap().text, "3");
        assert!(recorded.chat(&ask("a"), &cancel).await.is_err());
    }

    #[tokio::test]
    async fn a_written_recording_can_be_replayed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let source = Recorded::parse("m", "{\"purpose\":\"a\",\"answer\":\"the answer\"}").unwrap();
        let recording = Recording::new(source, Redactor::default(), &path).unwrap();
        let cancel = CancellationToken::new();
        recording.chat(&ask("a"), &cancel).await.unwrap();
        let replay = Recorded::open("m", &path).unwrap();
        assert_eq!(replay.chat(&ask("a"), &cancel).await.unwrap().text, "the answer");
    }
}
