//! Comments and reviews on pull requests of this server: they ask for a follow-up on the same branch.

use patchwright_core::forge::ForgeError;
use patchwright_core::store::{DeliveryRecord, Step, StoreError, Versioned, Write};
use patchwright_core::webhook::{DiffPlace, InboundComment, Review};
use patchwright_domain::job::TriggerKind;
use patchwright_domain::trigger::{Command, MAX_INSTRUCTIONS, language_of};
use patchwright_domain::{InboundIssue, IssueEvent, PlatformId, Refused, RepoName, TriggerRequest};

use super::mention::{Mention, find_command, find_request};
use super::trigger::{Identified, ignored, without_nul};
use super::{IntakeError, IntakeOutcome};
use crate::Engine;

/// How much of a diff hunk is given to the model, in characters from its end, where the commented line is.
const MAX_HUNK_CHARS: usize = 3_000;

/// A comment on a pull request.
pub(super) struct PullRequestComment {
    pub(super) repo: RepoName,
    pub(super) number: u64,
    pub(super) comment: InboundComment,
    pub(super) place: Option<DiffPlace>,
    pub(super) review: Option<Review>,
}

impl Engine {
    /// Returns the request of a comment on a pull request, or the outcome of one without.
    pub(super) async fn trigger_of_pull_request(
        &self,
        platform: &PlatformId,
        event: PullRequestComment,
    ) -> Result<Result<Identified, IntakeOutcome>, IntakeError> {
        let PullRequestComment { repo, number, comment, place, review } = event;
        if let Some(outcome) = self.ignore_author(&comment) {
            return Ok(Err(outcome));
        }
        let Some(Mention { command, language }) = self.command_of_review(&comment, place.as_ref(), review.as_ref())
        else {
            return Ok(Err(ignored("the comment does not mention the app")));
        };
        let Some(job) = self.ports.store.job_by_pull_request(platform, &repo.to_string(), number).await? else {
            return Ok(Err(ignored("the pull request is not by this server")));
        };
        let Some(issue) = self.ports.store.issue(job.value.issue_id).await? else {
            return Ok(Err(ignored("the issue of the pull request is not known")));
        };
        let issue = issue.value;
        let instructions = command.instructions().map(str::to_owned);
        let instructions = match &place {
            Some(place) => Some(in_context(place, instructions.as_deref())),
            None => instructions,
        };
        let identity = Some(comment.id).filter(|id| !id.is_empty()).map(|id| format!("comment:{id}"));
        let request = TriggerRequest {
            issue: InboundIssue {
                opened_at: Some(issue.created_at),
                source: issue.source,
                title: issue.title,
                body: issue.body,
                author: issue.author,
                labels: issue.labels,
                is_pull_request: false,
                default_branch: None,
            },
            actor: comment.author.login,
            owner: None,
            kind: TriggerKind::Mention,
            has_instructions: instructions.is_some() || review.is_some(),
            command: command.with_instructions(instructions),
            language,
            comment_id: None,
            pull_request: Some(number),
            review: review.map(|review| review.id),
        };
        Ok(Ok((request, identity)))
    }

    /// Whoever reviews says what is wrong without a verb: the words after a mention are the instructions. A review that
    /// requests changes needs no mention with `REVIEW_FOLLOW_UPS`.
    fn command_of_review(
        &self,
        comment: &InboundComment,
        place: Option<&DiffPlace>,
        review: Option<&Review>,
    ) -> Option<Mention> {
        let text = without_nul(comment.body.clone());
        let names = self.mention_names();
        let found = match find_command(&text, &names) {
            Some(Mention { command: Command::Unknown { .. }, .. }) => {
                let request = find_request(&text, &names);
                let says_something = |found: &Mention| found.command.instructions().is_some() || place.is_some();
                request.filter(says_something).or_else(|| find_command(&text, &names))
            }
            found => found,
        };
        let requests_changes = review.is_some_and(|review| review.requests_changes);
        found.or_else(|| {
            let instructions = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            let language = language_of(&text);
            (requests_changes && self.settings().review_follow_ups)
                .then_some(Mention { command: Command::Fix { instructions }, language })
        })
    }

    /// Adds the comments of a review to the instructions of its request. Those that mention the app are requests of their
    /// own.
    pub(crate) async fn with_review(&self, request: TriggerRequest) -> Result<TriggerRequest, ForgeError> {
        let (Some(number), Some(review)) = (request.pull_request, request.review) else { return Ok(request) };
        let source = &request.issue.source;
        let Some(forge) = self.ports.forges.get(&source.platform) else { return Ok(request) };
        if !request.command.starts_job() {
            return Ok(request);
        }
        let names = self.mention_names();
        let comments = forge.review_comments(&source.repo, number, review).await?;
        let comments = comments.into_iter().filter(|(_, comment)| find_command(&comment.body, &names).is_none());
        let parts = request.command.instructions().map(str::to_owned).into_iter();
        let parts = parts.chain(comments.map(|(place, comment)| in_context(&place, Some(comment.body.trim()))));
        let all = parts.collect::<Vec<_>>().join("\n\n");
        let instructions: String = without_nul(all).chars().take(MAX_INSTRUCTIONS).collect();
        let has_instructions = !instructions.is_empty();
        let command = request.command.clone().with_instructions(Some(instructions).filter(|text| !text.is_empty()));
        Ok(TriggerRequest { command, has_instructions, ..request })
    }

    /// Records that a closed issue was opened again: it can be started anew.
    pub(super) async fn reopen(
        &self,
        issue: &InboundIssue,
        record: DeliveryRecord,
    ) -> Result<IntakeOutcome, IntakeError> {
        let written = self
            .write(async || {
                let known = self.ports.store.issue_by_source(&issue.source).await?;
                let known = known.ok_or_else(|| NotReopened::Because("the issue is not known here".to_owned()))?;
                let value = known.value.advance(IssueEvent::Reopen, self.ports.clock.now())?;
                let issue = Some(Write::Update(Versioned { value, revision: known.revision }));
                Ok((Step { delivery: Some(record.clone()), issue, ..Step::default() }, ()))
            })
            .await;
        match written {
            Ok(()) | Err(NotReopened::Store(StoreError::Repeated { .. })) => {
                Ok(ignored("noted: the issue was opened again"))
            }
            Err(NotReopened::Because(reason)) => Ok(ignored(&reason)),
            Err(NotReopened::Store(error)) => Err(error.into()),
        }
    }
}

/// Why an issue was not reopened here.
enum NotReopened {
    Because(String),
    Store(StoreError),
}

impl From<StoreError> for NotReopened {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refused> for NotReopened {
    fn from(refused: Refused) -> Self {
        Self::Because(refused.to_string())
    }
}

/// Renders a comment on a diff for the model, with its place and the lines before it.
fn in_context(place: &DiffPlace, words: Option<&str>) -> String {
    let lines = match place.lines {
        Some((first, last)) if first < last => format!(", lines {first} to {last}"),
        Some((_, line)) => format!(", line {line}"),
        None => String::new(),
    };
    let path: String = place.path.chars().filter(|c| !c.is_control()).take(500).collect();
    let skipped = place.hunk.chars().count().saturating_sub(MAX_HUNK_CHARS);
    let hunk: String = place.hunk.chars().skip(skipped).collect();
    let longest = hunk.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let mut out = format!("On {path}{lines}, in the pull request:\n");
    if !hunk.trim().is_empty() {
        out.push_str(&format!("{fence}diff\n{}\n{fence}\n", hunk.trim_end()));
    }
    out.push_str(words.unwrap_or("Fix this."));
    out.chars().take(MAX_INSTRUCTIONS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_b8_a_comment_on_a_diff_keeps_its_place_and_cannot_leave_its_fence() {
        let hunk = "@@ -1,2 +1,2 @@\n def add(a, b):\n+    return \"```\"";
        let place = DiffPlace { path: "src/calc.py".into(), lines: Some((2, 3)), hunk: hunk.into() };
        assert_eq!(
            in_context(&place, Some("use a constant")),
            format!("On src/calc.py, lines 2 to 3, in the pull request:\n````diff\n{hunk}\n````\nuse a constant")
        );
        let long = DiffPlace { hunk: format!("{}\n+the commented line", "x".repeat(20_000)), ..place };
        let text = in_context(&long, None);
        assert!(text.contains("+the commented line\n```\nFix this.") && text.len() < 4_000, "{text}");
    }
}
