//! The steps of one attempt: an answer of the model, what it does, and what the model is told about it.

use std::sync::Arc;

use patchwright_core::fault::Fault;
use patchwright_core::llm::Message;
use patchwright_core::outgoing_text::shorten;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{ProposeReport, Reproduction, Review};

use tokio::task::JoinHandle;

use crate::budgeted_llm::BudgetedLlm;
use crate::context::{StageContext, StageError};
use crate::dialogue::{RESULT, shrink};
use crate::fix::actions::{self, Action};
use crate::fix::draft::{Draft, EditRules};
use crate::fix::evidence::{self, Evidence};
use crate::fix::format;
use crate::fix::look::Source;
use crate::prompt::code::{CodeQuery, describe_unseen};
use crate::prompt::{self, fix, review};
use crate::stage::propose::{CODE_TOKENS, describe, focus_of_plan, render_code};

/// How many answers in a row may hold no usable edit before the change is asked for in one piece.
const MAX_UNUSABLE: u32 = 3;
/// How much of the code of planned files is shown that was not shown before, in tokens.
const MORE_CODE_TOKENS: usize = 2_500;

/// The longest script that is kept, in characters.
const MAX_REPRODUCTION: usize = 20_000;

/// What the steps of an attempt work with.
pub(super) struct Steps<'a> {
    pub(super) context: &'a StageContext<'a>,
    pub(super) llm: &'a BudgetedLlm<'a>,
    pub(super) proposed: &'a ProposeReport,
    /// Whether tests and scripts may run while the fix is made.
    pub(super) can_run: bool,
}

/// What a step leads to.
enum Step {
    /// The fix is complete, as far as it can be known here.
    Complete,
    /// The model is told this. `is_usable` says whether its answer did anything.
    Answer { text: String, is_usable: bool },
}

impl Steps<'_> {
    /// Asks until the change is complete, and returns it.
    pub(super) async fn drive(&self) -> Result<Draft, StageError> {
        self.begin().await?;
        let mut draft = Draft::restore(&self.context.dialogue.state().await.draft, self.context.repository);
        let mut best: Option<(u8, Draft)> = None;
        let mut unusable = 0;
        while self.context.dialogue.state().await.steps < self.context.policy.fix_steps.max(1) {
            let answer = match self.ask("code_fix").await {
                Ok(answer) => answer,
                Err(error) if error.out_of_budget && !draft.is_empty() => {
                    tracing::info!(reason = %error.reason, "the budget ends the work on the fix");
                    break;
                }
                Err(error) => return Err(error),
            };
            let step = match actions::parse(&answer, &self.targets()) {
                Ok(actions) => self.act(&actions, &mut draft, &mut best).await?,
                Err(problem) => {
                    tracing::info!(problem, "the model's answer holds no action");
                    Step::Answer { text: fix::complaint(&problem), is_usable: false }
                }
            };
            match step {
                Step::Complete => match self.review(&draft).await? {
                    Some(objection) => self.tell(objection, &draft).await,
                    None => return Ok(draft),
                },
                Step::Answer { mut text, is_usable } => {
                    if text.ends_with("</result>\n") {
                        text.push_str(fix::GO_ON);
                    }
                    unusable = if is_usable { 0 } else { unusable + 1 };
                    if unusable == MAX_UNUSABLE {
                        return self.ask_in_one_piece(draft).await;
                    }
                    self.tell(text, &draft).await;
                }
            }
        }
        match best {
            Some((_, best)) => Ok(best),
            None => Ok(draft),
        }
    }

    /// Runs the repository's own formatter over the changed files, where code may run.
    pub(super) async fn format(&self, mut draft: Draft) -> Result<Draft, StageError> {
        if self.can_run && !draft.is_empty() {
            let targets = self.targets();
            format::format(self.context, &mut draft, &self.rules(&targets)).await?;
        }
        Ok(draft)
    }

    fn targets(&self) -> Vec<RepoPath> {
        self.proposed.target_files.clone()
    }

    fn rules<'b>(&'b self, targets: &'b [RepoPath]) -> EditRules<'b> {
        EditRules {
            repository: self.context.repository,
            index: self.context.tools.code_index.as_ref(),
            redactor: &self.context.tools.redactor,
            editable: &self.context.policy.editable_paths,
            targets,
        }
    }

    /// Adds the question to the conversation of the plan, or begins a new one.
    async fn begin(&self) -> Result<(), StageError> {
        let context = self.context;
        let (is_new, is_asked) = {
            let state = context.dialogue.state().await;
            let is_new = state.messages.is_empty() || state.attempt != context.job.rounds;
            (is_new, state.steps > 0 && !is_new)
        };
        if is_asked {
            // An earlier worker asked, and stored the answers.
            return Ok(());
        }
        let question = fix::question(&self.proposed.plan, self.can_run);
        if is_new {
            let focus = focus_of_plan(context, &self.proposed.plan);
            let code = describe(context, focus, CODE_TOKENS).await?;
            let mut state = context.dialogue.state().await;
            let earlier = fix::earlier_text(context.job, state.earlier.as_deref());
            let issue = prompt::issue_text(context.issue, context.job);
            state.attempt = context.job.rounds;
            state.messages = vec![prompt::rules(), Message::user(format!("{issue}\n\n{code}\n{earlier}\n{question}"))];
            return Ok(());
        }
        let unseen = self.unseen_code().await?;
        let mut state = context.dialogue.state().await;
        state.messages.push(Message::user(format!("{unseen}{question}")));
        Ok(())
    }

    /// Renders what the plan changes and the conversation has not shown: files, and definitions of files.
    async fn unseen_code(&self) -> Result<String, StageError> {
        let messages = self.context.dialogue.state().await.messages.clone();
        let shown: String = messages.iter().map(|message| message.content.as_str()).collect();
        let focus = focus_of_plan(self.context, &self.proposed.plan);
        if focus.is_empty() {
            return Ok(String::new());
        }
        let describe = move |query: &CodeQuery<'_>| describe_unseen(query, &shown);
        Ok(render_code(self.context, focus, Vec::new(), MORE_CODE_TOKENS, describe).await)
    }

    async fn ask(&self, purpose: &'static str) -> Result<String, StageError> {
        let messages = {
            let mut state = self.context.dialogue.state().await;
            shrink(&mut state.messages, self.context.policy.fix_window as usize);
            state.messages.clone()
        };
        self.context.progress.set_activity("asking the model for the change");
        let answer = self.llm.ask_for_actions(purpose, &messages).await?;
        let mut state = self.context.dialogue.state().await;
        state.messages.push(Message::assistant(answer.text.clone()));
        state.steps += 1;
        Ok(answer.text)
    }

    /// Adds what the model is told, and stores the step.
    async fn tell(&self, text: String, draft: &Draft) {
        let mut state = self.context.dialogue.state().await;
        state.messages.push(Message::user(text));
        state.draft = draft.contents();
        drop(state);
        self.context.dialogue.save().await;
    }

    async fn act(
        &self,
        actions: &[Action],
        draft: &mut Draft,
        best: &mut Option<(u8, Draft)>,
    ) -> Result<Step, StageError> {
        let edits = self.edit(actions, draft);
        let looks = self.look(actions, draft).await?;
        let finishes = actions.iter().any(|action| matches!(action, Action::Finish { .. }));
        let has_edits = actions.iter().any(Action::is_edit);
        let mut text = [edits.text.as_str(), &looks].concat();
        if edits.problem.is_some() {
            text.push_str("The edits that were applied are kept; send only the others again.");
            return Ok(Step::Answer { text, is_usable: edits.has_applied });
        }
        if draft.is_empty() {
            if finishes {
                return Ok(Step::Complete);
            }
            return Ok(Step::Answer { text, is_usable: !looks.is_empty() });
        }
        if finishes && !has_edits {
            return Ok(Step::Complete);
        }
        if !has_edits {
            return Ok(Step::Answer { text, is_usable: true });
        }
        if !self.can_run {
            return Ok(if looks.is_empty() { Step::Complete } else { Step::Answer { text, is_usable: true } });
        }
        self.context.progress.set_activity("running the tests near the change");
        let evidence = evidence::examine(self.context, draft).await?;
        if best.as_ref().is_none_or(|(rank, _)| evidence.rank() >= *rank) {
            *best = Some((evidence.rank(), draft.clone()));
        }
        if !looks.is_empty() && matches!(evidence, Evidence::Silent | Evidence::Reproduced | Evidence::Unavailable(_)) {
            // It is not done yet: it has looked at something for its next edit.
            return Ok(Step::Answer { text, is_usable: true });
        }
        self.conclude(evidence, text, draft).await
    }

    /// Decides what the tests near the draft mean for the conversation.
    async fn conclude(&self, evidence: Evidence, mut text: String, draft: &Draft) -> Result<Step, StageError> {
        match evidence {
            Evidence::Proven | Evidence::Unavailable(_) => Ok(Step::Complete),
            Evidence::Refuted(feedback) => {
                let feedback = self.context.tools.redactor.redact(&feedback).replace("</tests>", "<\\/tests>");
                text.push_str(&format!(
                    "The tests near the change were run before and after it:\n<tests>\n{feedback}</tests>\n"
                ));
                Ok(Step::Answer { text, is_usable: true })
            }
            Evidence::Silent | Evidence::Reproduced => {
                let mut state = self.context.dialogue.state().await;
                if state.asked_for_test || draft.has_test() {
                    return Ok(Step::Complete);
                }
                state.asked_for_test = true;
                text.push_str(fix::ASK_FOR_TEST);
                Ok(Step::Answer { text, is_usable: true })
            }
        }
    }

    fn edit(&self, actions: &[Action], draft: &mut Draft) -> Edits {
        let targets = self.targets();
        let rules = self.rules(&targets);
        let mut edits = Edits::default();
        for action in actions.iter().filter(|action| action.is_edit()) {
            self.context.progress.set_activity(action.name());
            let result = match draft.apply(action, &rules) {
                Ok(done) => {
                    edits.has_applied = true;
                    done
                }
                Err(problem) => {
                    tracing::info!(action = %action.name(), problem, "failed to apply an edit");
                    let result = format!("not applied: {problem}");
                    edits.problem = Some(problem);
                    result
                }
            };
            edits.text.push_str(&result_text(&action.name(), &result));
        }
        edits
    }

    /// Answers what the model looks at or runs.
    async fn look(&self, actions: &[Action], draft: &Draft) -> Result<String, StageError> {
        let mut out = String::new();
        // What only reads is answered side by side.
        let mut reads: Vec<_> = actions
            .iter()
            .filter(|action| action.is_read())
            .map(|action| self.start_reading(action.clone(), draft.clone()))
            .rev()
            .collect();
        for action in actions.iter().filter(|action| action.is_look()) {
            self.context.progress.set_activity(action.name());
            let answer = match action {
                Action::RunTests { .. } | Action::Run { .. } if !self.can_run => "nothing can be run here".to_owned(),
                Action::RunTests { targets } => evidence::run_tests(self.context, draft, targets).await?,
                Action::Run { script, language, shows_fault } => {
                    self.run_script(draft, script, language, *shows_fault).await?
                }
                _ => match reads.pop() {
                    Some(reading) => reading.await.expect("reading files does not panic"),
                    None => String::new(),
                },
            };
            out.push_str(&result_text(&action.name(), &answer));
        }
        Ok(out)
    }

    /// Runs a script. One that is meant to show the fault, and fails before anything is changed, is kept.
    async fn run_script(
        &self,
        draft: &Draft,
        script: &str,
        language: &str,
        shows_fault: bool,
    ) -> Result<String, StageError> {
        let run = evidence::run_script(self.context, draft, script, language, &self.targets()).await?;
        if shows_fault && run.failed && draft.is_empty() && script.chars().count() <= MAX_REPRODUCTION {
            let reproduction = Reproduction { language: language.to_owned(), script: script.to_owned() };
            self.context.dialogue.state().await.reproduction = Some(reproduction);
        }
        Ok(run.text)
    }

    fn start_reading(&self, action: Action, draft: Draft) -> JoinHandle<String> {
        let repository = Arc::clone(self.context.repository);
        let index = Arc::clone(&self.context.tools.code_index);
        tokio::task::spawn_blocking(move || {
            Source { repository: &repository, draft: &draft, index: index.as_ref() }.answer(&action)
        })
    }

    /// Lets a second reader look at the draft, once. Returns what goes back to the model; the job goes on if nobody answers.
    async fn review(&self, draft: &Draft) -> Result<Option<String>, StageError> {
        let context = self.context;
        let Some(model) = context.policy.review_model.as_deref().filter(|_| !draft.is_empty()) else { return Ok(None) };
        let (reviews, was_sent_back) = {
            let mut state = context.dialogue.state().await;
            state.reviews += 1;
            (state.reviews - 1, state.review.as_ref().is_some_and(|review| review.sent_back))
        };
        // Once, and once more for what was changed because of it.
        if reviews > u32::from(was_sent_back) {
            return Ok(None);
        }
        context.progress.set_activity("asking the second reader");
        let question = review::question(context.issue, context.job, &draft.diff());
        let problems = match self.llm.ask_model(model, "review", &question).await {
            Ok(answer) => review::read(&answer.text),
            Err(error) if matches!(error.fault, Fault::Retry { .. }) => return Err(error),
            Err(error) => Err(error.reason),
        };
        let problems = match problems {
            Ok(problems) => problems,
            Err(problem) => {
                tracing::info!(problem, "the second reader gave no usable answer");
                return Ok(None);
            }
        };
        // What it says a second time is shown, and does not go back again.
        let objection = review::objection(&problems).filter(|_| !was_sent_back);
        let sent_back = was_sent_back || objection.is_some();
        context.dialogue.state().await.review = Some(Review { model: model.to_owned(), problems, sent_back });
        Ok(objection)
    }

    /// Asks for the whole change once, without the answers that could not be used.
    async fn ask_in_one_piece(&self, draft: Draft) -> Result<Draft, StageError> {
        tracing::info!("no answer of the model could be used; asking for the whole change in one piece");
        let focus = focus_of_plan(self.context, &self.proposed.plan);
        let code = describe(self.context, focus, CODE_TOKENS).await?;
        let issue = prompt::issue_text(self.context.issue, self.context.job);
        let question = format!("{issue}\n\n{code}\n{}", fix::last_question(&self.proposed.plan));
        let answer = match self.llm.ask("repair", &[prompt::rules(), Message::user(question)]).await {
            Err(error) if error.out_of_budget && !draft.is_empty() => return Ok(draft),
            other => other?,
        };
        let mut whole = Draft::default();
        let problem = match actions::parse(&answer.text, &self.targets()) {
            Ok(actions) => {
                let edits = self.edit(&actions, &mut whole);
                if edits.problem.is_none() && edits.has_applied {
                    return Ok(whole);
                }
                edits.problem.unwrap_or_else(|| "it holds no edit".to_owned())
            }
            Err(problem) => problem,
        };
        if !draft.is_empty() {
            return Ok(draft);
        }
        let reason = format!(
            "the model's edit cannot be applied, also after {MAX_UNUSABLE} corrections: {}",
            shorten(problem.trim(), 300)
        );
        let remedy = "Retry the job, or set LLM_MODEL to a more capable model.";
        Err(StageError::new(reason, remedy, Fault::Internal))
    }
}

/// What the edits of one answer did.
#[derive(Default)]
struct Edits {
    text: String,
    has_applied: bool,
    /// Why the last of those that were not applied was not.
    problem: Option<String>,
}

/// Renders the result of an action as data.
fn result_text(name: &str, text: &str) -> String {
    let text = text.replace("</result>", "<\\/result>");
    let name = name.replace(['"', '\n', '<', '>'], " ");
    if text.contains('\n') {
        format!("{RESULT} of=\"{name}\">\n{}\n</result>\n", text.trim_end())
    } else {
        format!("{RESULT} of=\"{name}\">{text}</result>\n")
    }
}
