//! The contract of nodes, task logs and model calls, beside a store.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use patchwright_core::audit::{Audit, AuditEntry};
use patchwright_core::conversation::Conversation;
use patchwright_core::llm::Message;
use patchwright_core::model_calls::{ModelCall, ModelCalls, StoredCall, Transcript};
use patchwright_core::nodes::{Invitation, NodeChange, Nodes, Registration};
use patchwright_core::store::{Claimant, ConcurrencyLimits, JobWrite, Step, Store, Write};
use patchwright_core::task_log::TaskLogs;
use patchwright_domain::job::{Lease, Priority};
use patchwright_domain::node::{Health, Label, Needs, Node, NodeMode};
use patchwright_domain::{Job, NodeId, Task, TaskStatus};
use uuid::Uuid;

use super::audit::actions;
use crate::build::{after, audit_entry, issue, job_for, job_id, start_of_time, task_id};

/// The ports of one database.
pub trait FullStore: Store + Nodes + TaskLogs + ModelCalls + Audit {}

impl<T: Store + Nodes + TaskLogs + ModelCalls + Audit> FullStore for T {}

/// Runs the whole suite. `fresh` creates an empty store.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn FullStore>>,
{
    an_invitation_is_valid_once_until_it_expires(fresh().await.as_ref()).await;
    a_registration_is_audited_under_the_name_of_the_node(fresh().await.as_ref()).await;
    a_node_is_changed_and_removed(fresh().await.as_ref()).await;
    the_open_tasks_of_a_node_are_counted(fresh().await.as_ref()).await;
    a_job_is_claimed_only_by_a_node_that_meets_its_needs(fresh().await.as_ref()).await;
    jobs_of_high_priority_are_claimed_first(fresh().await.as_ref()).await;
    a_log_is_read_as_it_was_written(fresh().await.as_ref()).await;
    a_log_is_cut_off_at_its_limit(fresh().await.as_ref()).await;
    a_model_call_is_stored_once(fresh().await.as_ref()).await;
    the_last_conversation_of_a_job_is_kept_until_it_ends(fresh().await.as_ref()).await;
}

/// A node that was added and has not registered.
pub fn node(n: u32) -> Node {
    Node {
        id: NodeId::from_uuid(Uuid::from_u128(0x900_0000 + u128::from(n))),
        name: label(&format!("node-{n}")),
        labels: BTreeSet::from([label("given")]),
        mode: NodeMode::Pull,
        capacity: 1,
        draining: false,
        version: None,
        health: Health::default(),
        created_at: start_of_time(),
        registered_at: None,
        seen_at: None,
        used_at: None,
    }
}

fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

fn invitation(hash: &str) -> Invitation {
    Invitation { hash: hash.to_owned(), until: after(60) }
}

fn registration(token: &str) -> Registration {
    let labels = BTreeSet::from([label("linux"), label("given")]);
    Registration { token: token.to_owned(), labels, capacity: 4, version: "1.0.0".to_owned() }
}

async fn an_invitation_is_valid_once_until_it_expires(store: &dyn FullStore) {
    assert!(store.add_node(&node(1), &invitation("join"), audit_entry("node.added")).await.unwrap());
    let twin = Node { id: node(2).id, ..node(1) };
    let added = store.add_node(&twin, &invitation("other"), audit_entry("added twice")).await.unwrap();
    assert!(!added, "the name is taken");
    let register = async |hash: &str, token: &str, at: Timestamp| {
        store.register_node(hash, &registration(token), at, audit_entry("node.registered")).await.unwrap()
    };
    assert_eq!(register("guess", "t1", after(1)).await, None);
    assert_eq!(register("join", "t1", after(60)).await, None, "it has expired");
    let known = register("join", "t1", after(1)).await.unwrap();
    assert_eq!(known.labels, BTreeSet::from([label("given"), label("linux")]));
    assert_eq!((known.capacity, known.registered_at, known.seen_at), (4, Some(after(1)), Some(after(1))));
    assert_eq!(register("join", "t2", after(2)).await, None, "it is used up");
    assert_eq!(store.node_by_token("t1").await.unwrap(), Some(known));
    assert_eq!(store.node_by_token("t2").await.unwrap(), None);
    let again = NodeChange { invitation: Some(invitation("again")), ..NodeChange::default() };
    assert!(store.change_node(node(1).id, again, audit_entry("node.invited")).await.unwrap());
    assert_eq!(store.node_by_token("t1").await.unwrap(), None, "a new invitation ends the old token");
    assert!(register("again", "t3", after(3)).await.is_some());
    assert_eq!(actions(store).await, ["node.added", "node.registered", "node.invited", "node.registered"]);
}

async fn a_registration_is_audited_under_the_name_of_the_node(store: &dyn FullStore) {
    store.add_node(&node(1), &invitation("join"), audit_entry("node.added")).await.unwrap();
    let entry = audit_entry("node.registered");
    store.register_node("join", &registration("t1"), after(1), entry.clone()).await.unwrap().unwrap();
    let name = node(1).name.to_string();
    let expected = AuditEntry { actor: name.clone(), subject: name, ..entry };
    assert_eq!(store.entries(None, 1).await.unwrap(), [expected]);
}

async fn a_node_is_changed_and_removed(store: &dyn FullStore) {
    store.add_node(&node(1), &invitation("join"), audit_entry("node.added")).await.unwrap();
    let change = NodeChange {
        labels: Some(BTreeSet::from([label("gpu")])),
        mode: Some(NodeMode::Push("http://127.0.0.1:8007".to_owned())),
        capacity: Some(7),
        draining: Some(true),
        invitation: None,
    };
    assert!(store.change_node(node(1).id, change, audit_entry("node.changed")).await.unwrap());
    let health = Health { load: 0.5, disk_free: Some(1 << 40), running: 3, is_ending: true };
    store.record_health(node(1).id, &health, after(5)).await.unwrap();
    store.record_use(node(1).id, after(6)).await.unwrap();
    let found = store.node(node(1).id).await.unwrap().unwrap().node;
    assert_eq!(found.labels, BTreeSet::from([label("gpu")]));
    assert_eq!(found.mode, NodeMode::Push("http://127.0.0.1:8007".to_owned()));
    assert_eq!((found.capacity, found.draining, &found.health), (7, true, &health));
    assert_eq!((found.seen_at, found.used_at), (Some(after(5)), Some(after(6))));
    let instance = async |name: &str| store.record_instance(node(1).id, name).await.unwrap();
    assert_eq!([instance("a").await, instance("a").await, instance("b").await], [true, false, true]);
    store.record_silence(node(1).id).await.unwrap();
    assert_eq!(store.node(node(1).id).await.unwrap().unwrap().node.seen_at, None);
    let unknown = store.change_node(node(2).id, NodeChange::default(), audit_entry("unknown")).await.unwrap();
    assert!(!unknown);
    store.record_success(node(1).id, "acme/demo", after(7)).await.unwrap();
    store.record_success(node(1).id, "acme/demo", after(9)).await.unwrap();
    store.record_success(node(2).id, "acme/demo", after(9)).await.unwrap();
    let successes = store.last_successes().await.unwrap();
    assert_eq!(successes.into_iter().collect::<Vec<_>>(), [((node(1).id, "acme/demo".to_owned()), after(9))]);
    assert!(store.remove_node(node(1).id, audit_entry("node.removed")).await.unwrap());
    assert!(!store.remove_node(node(1).id, audit_entry("removed twice")).await.unwrap());
    assert!(store.last_successes().await.unwrap().is_empty() && store.nodes().await.unwrap().is_empty());
    assert_eq!(actions(store).await, ["node.added", "node.changed", "node.removed"]);
}

async fn add_job(store: &dyn FullStore, number: u32, needs: &str) -> Job {
    let job = Job { needs: needs.parse().unwrap(), ..job_for(number, number, after(i64::from(number))) };
    let step =
        Step { issue: Some(Write::Insert(issue(number))), job: Some(JobWrite::Insert(job.clone())), ..Step::default() };
    store.commit(step).await.unwrap();
    job
}

async fn the_open_tasks_of_a_node_are_counted(store: &dyn FullStore) {
    for n in [2, 1] {
        let invitation = invitation(&format!("join-{n}"));
        store.add_node(&node(n), &invitation, audit_entry("node.added")).await.unwrap();
    }
    let job = add_job(store, 1, "").await;
    let mut tasks = Vec::new();
    for (n, status) in [(1, TaskStatus::Pending), (2, TaskStatus::Running), (3, TaskStatus::Failed)] {
        let task = Task { id: task_id(n), status, ..Task::first(&job, &node(1).id.to_string(), start_of_time()) };
        store.commit(Step { task: Some(task.clone()), ..Step::default() }).await.unwrap();
        tasks.push(task);
    }
    let counted: Vec<_> = store.nodes().await.unwrap().into_iter().map(|node| (node.node.name, node.running)).collect();
    assert_eq!(counted, [(label("node-1"), 2), (label("node-2"), 0)]);
    assert_eq!(store.tasks_of_node(node(1).id).await.unwrap(), tasks[..2]);
}

/// A node with labels.
struct LabelledClaimant(Needs);

impl Claimant for LabelledClaimant {
    fn is_plain(&self) -> bool {
        false
    }

    fn can(&self, needs: &Needs) -> bool {
        needs.are_met_by(self.0.node, &self.0.labels)
    }

    fn lease(&self, _: &Job) -> Option<Lease> {
        Some(lease(60))
    }
}

fn lease(until: i64) -> Lease {
    Lease { holder: "worker".to_owned(), task_id: task_id(9), until: after(until) }
}

async fn a_job_is_claimed_only_by_a_node_that_meets_its_needs(store: &dyn FullStore) {
    let this = format!("node={}", node(1).id);
    add_job(store, 1, "gpu linux").await;
    add_job(store, 2, &this).await;
    add_job(store, 3, "").await;
    let claim = async |labels: &str, second: i64, limits: ConcurrencyLimits| {
        let claimant: Arc<dyn Claimant> =
            if labels == "plain" { Arc::new(lease(60)) } else { Arc::new(LabelledClaimant(labels.parse().unwrap())) };
        let claimed = store.claim_job(after(second), claimant, limits).await.unwrap();
        claimed.map(|job| job.value.source.number.api)
    };
    let any = ConcurrencyLimits::default();
    assert_eq!(claim("plain", 10, any).await, Some(3), "the others have needs");
    assert_eq!(claim("plain", 10, any).await, None);
    assert_eq!(claim("gpu", 10, any).await, None, "one of the labels is missing");
    assert_eq!(claim("gpu linux rust", 10, ConcurrencyLimits { per_repository: 9, per_actor: 9 }).await, Some(1));
    assert_eq!(claim(&this, 10, any).await, Some(2));
    // All leases have expired.
    assert_eq!(claim("gpu linux", 100, any).await, Some(1), "the oldest expired lease whose job it can run");
}

async fn jobs_of_high_priority_are_claimed_first(store: &dyn FullStore) {
    for (number, priority) in [(1, Priority::Low), (2, Priority::Normal), (3, Priority::High), (4, Priority::Normal)] {
        let job = Job { priority, ..job_for(number, number, after(i64::from(number))) };
        let (issue, job) = (Some(Write::Insert(issue(number))), Some(JobWrite::Insert(job)));
        store.commit(Step { issue, job, ..Step::default() }).await.unwrap();
    }
    for limits in [ConcurrencyLimits::default(), ConcurrencyLimits { per_repository: 9, per_actor: 9 }] {
        let mut order = Vec::new();
        for _ in 0..2 {
            let claimed = store.claim_job(after(10), Arc::new(lease(60)), limits).await.unwrap().unwrap();
            order.push(claimed.value.source.number.api);
        }
        assert!(order == [3, 2] || order == [4, 1], "{order:?}");
    }
}

async fn a_log_is_read_as_it_was_written(store: &dyn FullStore) {
    let job = add_job(store, 1, "").await;
    let task = Task::first(&job, "embedded", start_of_time());
    store.commit(Step { task: Some(task.clone()), ..Step::default() }).await.unwrap();
    for (piece, text) in [(0, "one\n"), (1, "zwei 二\n"), (1, "sent twice\n"), (2, ""), (3, "three\n")] {
        store.append_log(task.id, piece, text, after(i64::try_from(piece).unwrap())).await.unwrap();
    }
    let whole = store.read_log(task.id, 0, 1 << 20).await.unwrap();
    assert_eq!(whole.text, "one\nzwei 二\nthree\n");
    assert_eq!((whole.next, whole.end), (whole.text.len() as u64, whole.text.len() as u64));
    assert_eq!(store.read_log(task.id, 4, 1 << 20).await.unwrap().text, "zwei 二\nthree\n");
    let past = store.read_log(task.id, whole.end, 1 << 20).await.unwrap();
    assert_eq!((past.text.as_str(), past.next), ("", whole.end));
    assert_eq!(store.read_log(task_id(77), 0, 100).await.unwrap(), patchwright_core::task_log::LogPart::default());
    assert_eq!(store.forget_logs(after(3)).await.unwrap(), 2);
}

async fn a_model_call_is_stored_once(store: &dyn FullStore) {
    let (job, task) = (job_id(1), task_id(1));
    let usage = patchwright_domain::Usage { calls: 1, prompt_tokens: 900, completion_tokens: 80, cost_micros: 12 };
    let call = |number, error: Option<&str>| ModelCall {
        number,
        purpose: "fix_plan".to_owned(),
        model: "m-1".to_owned(),
        usage,
        millis: 1_234,
        error: error.map(str::to_owned),
    };
    let transcript = Transcript {
        question: vec![Message::system("rules"), Message::user("问题\n?")],
        answer: Some("a".repeat(9_000)),
    };
    store.add_call(job, task, &call(0, None), &transcript, after(1)).await.unwrap();
    store.add_call(job, task, &call(1, Some("cut off")), &Transcript::default(), after(2)).await.unwrap();
    store.add_call(job_id(2), task_id(2), &call(0, None), &Transcript::default(), after(3)).await.unwrap();
    // Sent again, because the response was lost.
    store.add_call(job, task, &call(0, Some("other")), &Transcript::default(), after(9)).await.unwrap();
    let all = store.calls(job).await.unwrap();
    let first = StoredCall { task, at: after(1), call: call(0, None) };
    assert_eq!(all, [first.clone(), StoredCall { task, at: after(2), call: call(1, Some("cut off")) }]);
    assert_eq!(store.call(task, 0).await.unwrap(), Some((first, transcript)));
    assert_eq!(store.call(task, 7).await.unwrap(), None);
    assert_eq!(store.forget_calls(after(2)).await.unwrap(), 1);
    assert_eq!(store.calls(job).await.unwrap().len(), 1);
}

async fn the_last_conversation_of_a_job_is_kept_until_it_ends(store: &dyn FullStore) {
    let job = job_id(1);
    assert_eq!(store.conversation(job).await.unwrap(), None);
    let first = Conversation { messages: vec![Message::system("rules")], ..Conversation::default() };
    let second =
        Conversation { steps: 2, messages: vec![Message::user("问题"), Message::assistant("…")], ..first.clone() };
    for conversation in [&first, &second, &second] {
        store.save_conversation(job, conversation, after(1)).await.unwrap();
        assert_eq!(store.conversation(job).await.unwrap().as_ref(), Some(conversation));
    }
    store.save_conversation(job_id(2), &first, after(1)).await.unwrap();
    for _ in 0..2 {
        store.delete_conversation(job).await.unwrap();
        assert_eq!(store.conversation(job).await.unwrap(), None);
    }
    assert_eq!(store.conversation(job_id(2)).await.unwrap(), Some(first));
}

async fn a_log_is_cut_off_at_its_limit(store: &dyn FullStore) {
    let job = add_job(store, 1, "").await;
    let task = Task::first(&job, "embedded", start_of_time());
    store.commit(Step { task: Some(task.clone()), ..Step::default() }).await.unwrap();
    let megabyte = "x".repeat(1 << 20);
    for piece in 0..20 {
        store.append_log(task.id, piece, &megabyte, after(0)).await.unwrap();
    }
    let log = store.read_log(task.id, 0, 100 << 20).await.unwrap();
    assert!(log.text.len() as u64 <= patchwright_core::task_log::MAX_LOG + 200, "{}", log.text.len());
}
