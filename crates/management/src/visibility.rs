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
use patchwright_core::striped_locks::StripedLocks;
use patchwright_domain::user::Role;
use patchwright_domain::{Issue, Job, UserId};

use crate::Inner;
use crate::error::ManagementError;
use crate::principal::Principal;

/// How long what a user sees is remembered. A change by this server's administrators counts at once in this process.
const REMEMBER_USER: SignedDuration = SignedDuration::from_secs(15);
/// How long an answer of a forge is remembered.
const REMEMBER_PERMISSION: SignedDuration = SignedDuration::from_mins(10);
/// How long it counts when the forge does not answer any more.
const MAX_PERMISSION_AGE: SignedDuration = SignedDuration::from_hours(1);
/// How long a forge that did not answer is left alone.
const FORGE_PAUSE: SignedDuration = SignedDuration::from_secs(60);
/// How many questions to forges are open at the same time.
const CONCURRENT_QUESTIONS: usize = 8;
/// How many answers of forges are remembered.
const MAX_REMEMBERED: usize = 20_000;

/// What was found out lately.
#[derive(Debug, Default)]
pub(crate) struct VisibilityCache {
    users: Mutex<KnownUsers>,
    permissions: Mutex<HashMap<(ForgeAccount, RepositoryKey), KnownPermission>>,
    /// One user's visibility is computed once, however many requests ask at the same time.
    computing: StripedLocks,
}

#[derive(Debug, Default)]
struct KnownUsers {
    /// Changes when administrators do; what was computed before does not count any more.
    generation: u64,
    users: HashMap<UserId, (Timestamp, Visibility)>,
}

/// What a forge said about an account and a repository.
#[derive(Debug, Clone, Copy)]
struct KnownPermission {
    may_read: bool,
    answered_at: Timestamp,
    /// When it is asked again.
    next: Timestamp,
}

impl VisibilityCache {
    /// Forgets what users see, because an administrator changed it.
    pub(crate) fn forget_users(&self) {
        let mut known = self.users.lock().expect("no holder of this lock can panic");
        known.generation += 1;
        known.users.clear();
    }

    fn user(&self, user: UserId, now: Timestamp) -> Option<Visibility> {
        let known = self.users.lock().expect("no holder of this lock can panic");
        known.users.get(&user).filter(|(at, _)| now.duration_since(*at) < REMEMBER_USER).map(|(_, seen)| seen.clone())
    }

    fn generation(&self) -> u64 {
        self.users.lock().expect("no holder of this lock can panic").generation
    }

    fn remember(&self, generation: u64, user: UserId, seen: Visibility, now: Timestamp) {
        let mut known = self.users.lock().expect("no holder of this lock can panic");
        if known.generation == generation {
            known.users.retain(|_, (at, _)| now.duration_since(*at) < REMEMBER_USER);
            known.users.insert(user, (now, seen));
        }
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
        if let Some(known) = self.visibility.user(user, now) {
            return Ok(known);
        }
        let _computing = self.visibility.computing.lock(user).await;
        if let Some(known) = self.visibility.user(user, now) {
            return Ok(known);
        }
        let generation = self.visibility.generation();
        let visibility = self.compute_visibility(user, now).await?;
        self.visibility.remember(generation, user, visibility.clone(), now);
        Ok(visibility)
    }

    async fn compute_visibility(&self, user: UserId, now: Timestamp) -> Result<Visibility, ManagementError> {
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
        Ok(Visibility::Limited { user, repositories: repositories.into_iter().collect() })
    }

    /// Asks a forge whether an account may read a repository. While the forge does not answer, its last answer counts for an
    /// hour.
    async fn may_read(&self, account: ForgeAccount, key: &RepositoryKey, now: Timestamp) -> bool {
        let place = (account, key.clone());
        let permissions = || self.visibility.permissions.lock().expect("no holder of this lock can panic");
        let known = permissions().get(&place).copied();
        let is_fresh = |known: &KnownPermission| now.duration_since(known.answered_at) < MAX_PERMISSION_AGE;
        if let Some(known) = known.filter(|known| now < known.next) {
            return known.may_read && is_fresh(&known);
        }
        let Some(forge) = self.engine.forge(&key.platform) else { return false };
        let after = |wait: SignedDuration| now.saturating_add(wait).unwrap_or(now);
        let answer = match forge.permission(&key.name, &place.0.login).await {
            Ok(permission) => KnownPermission {
                may_read: permission >= Permission::Read,
                answered_at: now,
                next: after(REMEMBER_PERMISSION),
            },
            Err(error) => {
                tracing::warn!(repository = %key.name, %error, "failed to ask the forge who may read a repository");
                let last = known.unwrap_or(KnownPermission { may_read: false, answered_at: now, next: now });
                KnownPermission { next: after(FORGE_PAUSE), ..last }
            }
        };
        let mut permissions = permissions();
        if permissions.len() >= MAX_REMEMBERED {
            permissions.retain(|_, known| is_fresh(known));
        }
        permissions.insert(place, answer);
        answer.may_read && is_fresh(&answer)
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
