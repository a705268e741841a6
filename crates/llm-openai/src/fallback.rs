//! Several models, of which one answers: the first that can.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::llm::{ChatAnswer, ChatRequest, Llm, LlmError};
use patchwright_domain::Usage;
use tokio::time::Instant;

/// After so many failures in a row a model is not asked for a while.
const MAX_FAILURES: u32 = 3;
/// The first such pause; it doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest one.
const MAX_PAUSE: Duration = Duration::from_secs(600);

/// Asks the first of several models that is not paused, and the next one where it cannot answer.
///
/// A model that fails three times in a row is paused for 30 s, and longer with each further failure. If all are paused, the one
/// whose pause ends first is asked. A request that is refused for what it says (it is too long, filtered, or the model refuses)
/// goes to the next model, and is no failure of the first.
pub struct Fallback {
    models: Vec<Model>,
}

struct Model {
    llm: Arc<dyn Llm>,
    breaker: Mutex<Breaker>,
}

/// Whether a model is asked.
#[derive(Debug, Default, Clone, Copy)]
struct Breaker {
    failures: u32,
    paused_until: Option<Instant>,
}

impl Fallback {
    /// Creates a model that is `first` as long as it answers. Without others, it is `first` alone.
    pub fn new(first: Arc<dyn Llm>, others: impl IntoIterator<Item = Arc<dyn Llm>>) -> Self {
        let models = std::iter::once(first).chain(others);
        Self { models: models.map(|llm| Model { llm, breaker: Mutex::default() }).collect() }
    }

    /// Returns the models in the order in which they are asked.
    fn in_order(&self) -> Vec<&Model> {
        let now = Instant::now();
        let pause = |model: &&Model| model.breaker().paused_until.filter(|until| *until > now);
        let mut models: Vec<&Model> = self.models.iter().collect();
        // Stable: those that are not paused keep their order.
        models.sort_by_key(pause);
        let paused = models.iter().filter(|model| pause(model).is_some()).count();
        // A paused model is asked only if there is no other.
        models.truncate((models.len() - paused).max(1));
        models
    }
}

impl Model {
    fn breaker(&self) -> Breaker {
        *self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, is_failure: bool) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_failure {
            *breaker = Breaker::default();
            return;
        }
        breaker.failures += 1;
        if breaker.failures >= MAX_FAILURES {
            let pause = FIRST_PAUSE.saturating_mul(1 << (breaker.failures - MAX_FAILURES).min(10)).min(MAX_PAUSE);
            breaker.paused_until = Some(Instant::now() + pause);
            tracing::warn!(
                llm.model = self.llm.model(),
                llm.pause_s = pause.as_secs(),
                "a model fails and is not asked for a while"
            );
        }
    }
}

/// Returns whether another model may answer what this one did not, and whether that is a failure of this one.
const fn judge(error: &LlmError) -> (bool, bool) {
    match error {
        LlmError::Cancelled => (false, false),
        LlmError::ContextTooLong { .. } | LlmError::Refused { .. } | LlmError::Filtered | LlmError::Truncated => {
            (true, false)
        }
        _ => (true, true),
    }
}

#[async_trait]
impl Llm for Fallback {
    fn model(&self) -> String {
        self.models[0].llm.model()
    }

    /// The most that any of the models can cost.
    fn estimate(&self, request: &ChatRequest) -> Usage {
        let all = self.models.iter().map(|model| model.llm.estimate(request));
        all.max_by_key(|usage| usage.cost_micros).unwrap_or_default()
    }

    async fn chat(&self, request: &ChatRequest, cancel: &CancellationToken) -> Result<ChatAnswer, LlmError> {
        let mut first_error = None;
        for model in self.in_order() {
            let error = match model.llm.chat(request, cancel).await {
                Ok(answer) => {
                    model.note(false);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let (goes_on, is_failure) = judge(&error);
            if is_failure {
                model.note(true);
            }
            if !goes_on {
                return Err(error);
            }
            tracing::info!(llm.model = model.llm.model(), llm.error = %error, "a model does not answer");
            first_error.get_or_insert(error);
        }
        Err(first_error.expect("there is at least one model"))
    }
}

impl std::fmt::Debug for Fallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.models.iter().map(|model| model.llm.model())).finish()
    }
}

#[cfg(test)]
mod tests {
    use patchwright_core::llm::Message;

    use super::*;

    /// Answers its name, unless it is down; counts how often it was asked.
    struct Scripted {
        name: &'static str,
        error: Mutex<Option<fn() -> LlmError>>,
        asked: Mutex<u32>,
    }

    impl Scripted {
        fn new(name: &'static str, error: Option<fn() -> LlmError>) -> Arc<Self> {
            Arc::new(Self { name, error: Mutex::new(error), asked: Mutex::default() })
        }

        fn count_requests(&self) -> u32 {
            *self.asked.lock().unwrap()
        }
    }

    #[async_trait]
    impl Llm for Scripted {
        fn model(&self) -> String {
            self.name.to_owned()
        }

        async fn chat(&self, _: &ChatRequest, _: &CancellationToken) -> Result<ChatAnswer, LlmError> {
            *self.asked.lock().unwrap() += 1;
            match *self.error.lock().unwrap() {
                Some(error) => Err(error()),
                None => {
                    Ok(ChatAnswer { text: self.name.to_owned(), model: self.name.to_owned(), usage: Usage::default() })
                }
            }
        }
    }

    fn down() -> LlmError {
        LlmError::Unavailable { url: String::new(), detail: "down".to_owned(), after: None }
    }

    fn too_long() -> LlmError {
        LlmError::ContextTooLong { detail: String::new() }
    }

    async fn ask(models: &Fallback) -> Result<String, LlmError> {
        let request = ChatRequest::new("test", vec![Message::user("hello")]);
        models.chat(&request, &CancellationToken::new()).await.map(|answer| answer.text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_fails_is_not_asked_for_a_while_and_then_again() {
        let (first, second) = (Scripted::new("first", Some(down)), Scripted::new("second", None));
        let models = Fallback::new(first.clone(), [second.clone() as Arc<dyn Llm>]);
        for _ in 0..5 {
            assert_eq!(ask(&models).await.unwrap(), "second");
        }
        assert_eq!(first.count_requests(), MAX_FAILURES, "then it is paused");
        tokio::time::advance(FIRST_PAUSE).await;
        *first.error.lock().unwrap() = None;
        assert_eq!(ask(&models).await.unwrap(), "first");
        assert_eq!(ask(&models).await.unwrap(), "first");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_request_says_is_no_failure_of_the_model() {
        let (small, large) = (Scripted::new("small", Some(too_long)), Scripted::new("large", None));
        let models = Fallback::new(small.clone(), [large as Arc<dyn Llm>]);
        for _ in 0..5 {
            assert_eq!(ask(&models).await.unwrap(), "large");
        }
        assert_eq!(small.count_requests(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_of_the_first_model_is_told_and_one_model_is_always_asked() {
        let (first, second) = (Scripted::new("first", Some(too_long)), Scripted::new("second", Some(down)));
        let models = Fallback::new(first, [second as Arc<dyn Llm>]);
        assert!(matches!(ask(&models).await, Err(LlmError::ContextTooLong { .. })));
        let only = Scripted::new("only", Some(down));
        let models = Fallback::new(only.clone(), []);
        for _ in 0..6 {
            assert!(ask(&models).await.is_err());
        }
        assert_eq!(only.count_requests(), 6);
    }
}
