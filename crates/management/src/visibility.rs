//! Which issues, jobs, tasks, logs, prompts and statistics a user sees.
//!
//! Administrators see everything. A member sees the repositories that they may read on the forge with an account that an
//! administrator linked to them, those that an administrator assigned them to, and the issues that they own. What is not
//! visible does not exist for them: it is answered 404 and is in no list.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use patchwright_core::access::{ForgeAccount, RepositoryKey, Visibility};
use patchwright_core::forge::Permission;
use patchwright_domain::user::Role;
use patchwright_domain::{Issue, Job, UserId};

use crate::Inner;
use crate::error::ManagementError;
use crate::principal::Principal;

/// How long what a user sees is remembered. A change by this server's administrators counts at once in this process.
const REMEMBER_USER: SignedDuration = SignedDuration::from_secs(15);
/// How long an answer of a forge is remembered.
const REMEMBER_PERMISSION: SignedDuration = SignedDuration::from_mins(10);
/// How many questions to forges are open at the same time.
const CONCURRENT_QUESTIONS: usize = 8;
/// How many answers of forges are remembered.
const MAX_REMEMBERED: usize = 20_000;

/// What was found out lately.
#[derive(Debug, Default)]
pub(crate) struct VisibilityCache {
    users: Mutex<HashMap<UserId, (Timestamp, Visibility)>>,
    permissions: Mutex<HashMap<(ForgeAccount, RepositoryKey), (Timestamp, bool)>>,
}

impl VisibilityCache {
    /// Forgets what users see, because an administrator changed it.
    pub(crate) fn forget_users(&self) {
        self.users.lock().expect("no holder of this lock can panic").clear();
    }
}

impl Inner {
    /// Returns what a caller sees.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub(crate) async fn visibility(&self, principal: &Principal) -> Result<Visibility, ManagementError> {
        let Some(user) = principal.id().filter(|_| principal.role() != Role::Admin) else { return Ok(Visibility::All) };
        let now = self.ports.clock.now();
        let known = self.visibility.users.lock().expect("no holder of this lock can panic").get(&user).cloned();
        if let Some((at, known)) = known
            && now.duration_since(at) < REMEMBER_USER
        {
            return Ok(known);
        }
        let grants = self.ports.access.grants(user).await?;
        let mut repositories: BTreeSet<RepositoryKey> = grants.repositories.into_iter().collect();
        if !grants.accounts.is_empty() {
            let others = self.ports.access.known_repositories().await?;
            let questions = others.into_iter().filter(|key| !repositories.contains(key)).flat_map(|key| {
                let of_forge = grants.accounts.iter().filter(|account| account.platform == key.platform);
                of_forge.map(|account| (account.clone(), key.clone())).collect::<Vec<_>>()
            });
            let questions: Vec<_> = questions.collect();
            let answers = futures_util::stream::iter(questions)
                .map(|(account, key)| async move { self.may_read(account, &key, now).await.then_some(key) })
                .buffer_unordered(CONCURRENT_QUESTIONS);
            let readable: Vec<Option<RepositoryKey>> = answers.collect().await;
            repositories.extend(readable.into_iter().flatten());
        }
        let visibility = Visibility::Limited { user, repositories: repositories.into_iter().collect() };
        let mut users = self.visibility.users.lock().expect("no holder of this lock can panic");
        users.retain(|_, (at, _)| now.duration_since(*at) < REMEMBER_USER);
        users.insert(user, (now, visibility.clone()));
        Ok(visibility)
    }

    /// Asks a forge whether an account may read a repository. While the forge does not answer, its last answer counts.
    async fn may_read(&self, account: ForgeAccount, key: &RepositoryKey, now: Timestamp) -> bool {
        let place = (account, key.clone());
        let known = self.visibility.permissions.lock().expect("no holder of this lock can panic").get(&place).copied();
        if let Some((at, answer)) = known
            && now.duration_since(at) < REMEMBER_PERMISSION
        {
            return answer;
        }
        let Some(forge) = self.engine.forge(&key.platform) else { return false };
        let answer = match forge.permission(&key.name, &place.0.login).await {
            Ok(permission) => permission >= Permission::Read,
            Err(error) => {
                tracing::warn!(repository = %key.name, %error, "failed to ask the forge who may read a repository");
                return known.is_some_and(|(_, answer)| answer);
            }
        };
        let mut permissions = self.visibility.permissions.lock().expect("no holder of this lock can panic");
        if permissions.len() >= MAX_REMEMBERED {
            permissions.retain(|_, (at, _)| now.duration_since(*at) < REMEMBER_PERMISSION);
        }
        permissions.insert(place, (now, answer));
        answer
    }

    /// Requires that a caller sees an issue.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Unavailable`].
    pub(crate) async fn require_visible(
        &self,
        principal: &Principal,
        issue: &Issue,
        kind: &str,
    ) -> Result<(), ManagementError> {
        let visibility = self.visibility(principal).await?;
        let is_visible = visibility.includes_issue(&issue.source.platform, &issue.source.repo, issue.owner);
        if is_visible { Ok(()) } else { Err(ManagementError::not_found(kind)) }
    }

    /// Requires that a caller sees a job.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Unavailable`].
    pub(crate) async fn require_visible_job(
        &self,
        principal: &Principal,
        job: &Job,
        kind: &str,
    ) -> Result<(), ManagementError> {
        let visibility = self.visibility(principal).await?;
        if visibility.includes(&job.source.platform, &job.source.repo) {
            return Ok(());
        }
        let issue = self.engine.issue(job.issue_id).await?.ok_or_else(|| ManagementError::not_found(kind))?;
        self.require_visible(principal, &issue, kind).await
    }
}
