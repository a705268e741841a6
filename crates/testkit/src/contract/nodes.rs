//! What every keeper of nodes and of logs does, beside a store.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use patchwright_core::llm::Message;
use patchwright_core::model_calls::{ModelCall, ModelCalls, StoredCall, Transcript};
use patchwright_core::nodes::{Invitation, NodeChange, Nodes, Registration};
use patchwright_core::store::{Claimant, ConcurrencyLimits, Step, Store, Write};
use patchwright_core::task_log::TaskLogs;
use patchwright_domain::job::{Lease, Priority};
use patchwright_domain::node::{Health, Label, Needs, Node, NodeMode};
use patchwright_domain::{Job, NodeId, Task, TaskStatus};
use uuid::Uuid;

use crate::build::{after, issue, job_for, job_id, start_of_time, task_id};

/// The four ports of one database.
pub trait Keeper: Store + Nodes + TaskLogs + ModelCalls {}

impl<T: Store + Nodes + TaskLogs + ModelCalls> Keeper for T {}

/// Runs the whole suite. `fresh` makes an empty store.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Keeper>>,
{
    an_invitation_is_good_once_and_for_its_time(fresh().await.as_ref()).await;
    a_node_is_changed_and_removed(fresh().await.as_ref()).await;
    what_a_node_is_at_is_counted(fresh().await.as_ref()).await;
    a_job_goes_only_to_who_has_what_it_asks_for(fresh().await.as_ref()).await;
    what_is_urgent_goes_first(fresh().await.as_ref()).await;
    a_log_is_read_as_it_was_written(fresh().await.as_ref()).await;
    a_log_has_an_end(fresh().await.as_ref()).await;
    a_call_is_read_as_it_was_kept(fresh().await.as_ref()).await;
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

async fn an_invitation_is_good_once_and_for_its_time(store: &dyn Keeper) {
    assert!(store.add_node(&node(1), &invitation("join")).await.unwrap());
    let twin = Node { id: node(2).id, ..node(1) };
    assert!(!store.add_node(&twin, &invitation("other")).await.unwrap(), "the name is taken");
    let register = async |hash: &str, token: &str, at: Timestamp| {
        store.register_node(hash, &registration(token), at).await.unwrap()
    };
    assert_eq!(register("guess", "t1", after(1)).await, None);
    assert_eq!(register("join", "t1", after(60)).await, None, "its time is over");
    let known = register("join", "t1", after(1)).await.unwrap();
    assert_eq!(known.labels, BTreeSet::from([label("given"), label("linux")]));
    assert_eq!((known.capacity, known.registered_at, known.seen_at), (4, Some(after(1)), Some(after(1))));
    assert_eq!(register("join", "t2", after(2)).await, None, "it is used up");
    assert_eq!(store.node_by_token("t1").await.unwrap(), Some(known));
    assert_eq!(store.node_by_token("t2").await.unwrap(), None);
    let again = NodeChange { invitation: Some(invitation("again")), ..NodeChange::default() };
    assert!(store.change_node(node(1).id, again).await.unwrap());
    assert_eq!(store.node_by_token("t1").await.unwrap(), None, "whoever is invited anew loses the old token");
    assert!(register("again", "t3", after(3)).await.is_some());
}

async fn a_node_is_changed_and_removed(store: &dyn Keeper) {
    store.add_node(&node(1), &invitation("join")).await.unwrap();
    let change = NodeChange {
        labels: Some(BTreeSet::from([label("gpu")])),
        mode: Some(NodeMode::Push("http://127.0.0.1:8007".to_owned())),
        capacity: Some(7),
        draining: Some(true),
        invitation: None,
    };
    assert!(store.change_node(node(1).id, change).await.unwrap());
    let health = Health { load: 0.5, disk_free: Some(1 << 40), running: 3 };
    store.note_health(node(1).id, &health, after(5)).await.unwrap();
    store.note_used(node(1).id, after(6)).await.unwrap();
    let found = store.node(node(1).id).await.unwrap().unwrap().node;
    assert_eq!(found.labels, BTreeSet::from([label("gpu")]));
    assert_eq!(found.mode, NodeMode::Push("http://127.0.0.1:8007".to_owned()));
    assert_eq!((found.capacity, found.draining, &found.health), (7, true, &health));
    assert_eq!((found.seen_at, found.used_at), (Some(after(5)), Some(after(6))));
    let instance = async |name: &str| store.note_instance(node(1).id, name).await.unwrap();
    assert_eq!([instance("a").await, instance("a").await, instance("b").await], [true, false, true]);
    store.note_silent(node(1).id).await.unwrap();
    assert_eq!(store.node(node(1).id).await.unwrap().unwrap().node.seen_at, None);
    assert!(!store.change_node(node(2).id, NodeChange::default()).await.unwrap());
    store.note_success(node(1).id, "acme/demo", after(7)).await.unwrap();
    store.note_success(node(1).id, "acme/demo", after(9)).await.unwrap();
    store.note_success(node(2).id, "acme/demo", after(9)).await.unwrap();
    let successes = store.last_successes().await.unwrap();
    assert_eq!(successes.into_iter().collect::<Vec<_>>(), [((node(1).id, "acme/demo".to_owned()), after(9))]);
    assert!(store.remove_node(node(1).id).await.unwrap() && !store.remove_node(node(1).id).await.unwrap());
    assert!(store.last_successes().await.unwrap().is_empty() && store.nodes().await.unwrap().is_empty());
}

async fn put(store: &dyn Keeper, number: u32, needs: &str) -> Job {
    let job = Job { needs: needs.parse().unwrap(), ..job_for(number, number, after(i64::from(number))) };
    let step =
        Step { issue: Some(Write::Insert(issue(number))), job: Some(Write::Insert(job.clone())), ..Step::default() };
    store.commit(step).await.unwrap();
    job
}

async fn what_a_node_is_at_is_counted(store: &dyn Keeper) {
    for n in [2, 1] {
        store.add_node(&node(n), &invitation(&format!("join-{n}"))).await.unwrap();
    }
    let job = put(store, 1, "").await;
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

/// Somebody with labels.
struct Fit(Needs);

impl Claimant for Fit {
    fn is_plain(&self) -> bool {
        false
    }

    fn can(&self, needs: &Needs) -> bool {
        needs.are_met_by(self.0.node, &self.0.labels)
    }

    fn hold(&self, _: &Job) -> Option<Lease> {
        Some(lease(60))
    }
}

fn lease(until: i64) -> Lease {
    Lease { holder: "worker".to_owned(), task_id: task_id(9), until: after(until) }
}

async fn a_job_goes_only_to_who_has_what_it_asks_for(store: &dyn Keeper) {
    let this = format!("node={}", node(1).id);
    put(store, 1, "gpu linux").await;
    put(store, 2, &this).await;
    put(store, 3, "").await;
    let claim = async |has: &str, second: i64, share: ConcurrencyLimits| {
        let claimant: Arc<dyn Claimant> =
            if has == "plain" { Arc::new(lease(60)) } else { Arc::new(Fit(has.parse().unwrap())) };
        let claimed = store.claim_job(after(second), claimant, share).await.unwrap();
        claimed.map(|job| job.value.source.number.api)
    };
    let any = ConcurrencyLimits::default();
    assert_eq!(claim("plain", 10, any).await, Some(3), "the others ask for something");
    assert_eq!(claim("plain", 10, any).await, None);
    assert_eq!(claim("gpu", 10, any).await, None, "not all of what it asks for");
    assert_eq!(claim("gpu linux rust", 10, ConcurrencyLimits { per_repository: 9, per_actor: 9 }).await, Some(1));
    assert_eq!(claim(&this, 10, any).await, Some(2));
    // All leases have run out.
    assert_eq!(claim("gpu linux", 100, any).await, Some(1).filter(|_| true), "the longest silent one that it can do");
}

async fn what_is_urgent_goes_first(store: &dyn Keeper) {
    for (number, priority) in [(1, Priority::Low), (2, Priority::Normal), (3, Priority::High), (4, Priority::Normal)] {
        let job = Job { priority, ..job_for(number, number, after(i64::from(number))) };
        let (issue, job) = (Some(Write::Insert(issue(number))), Some(Write::Insert(job)));
        store.commit(Step { issue, job, ..Step::default() }).await.unwrap();
    }
    for share in [ConcurrencyLimits::default(), ConcurrencyLimits { per_repository: 9, per_actor: 9 }] {
        let mut order = Vec::new();
        for _ in 0..2 {
            let claimed = store.claim_job(after(10), Arc::new(lease(60)), share).await.unwrap().unwrap();
            order.push(claimed.value.source.number.api);
        }
        assert!(order == [3, 2] || order == [4, 1], "{order:?}");
    }
}

async fn a_log_is_read_as_it_was_written(store: &dyn Keeper) {
    let job = put(store, 1, "").await;
    let task = Task::first(&job, "embedded", start_of_time());
    store.commit(Step { task: Some(task.clone()), ..Step::default() }).await.unwrap();
    for (piece, text) in [(0, "one\n"), (1, "zwei 二\n"), (1, "told twice\n"), (2, ""), (3, "three\n")] {
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

async fn a_call_is_read_as_it_was_kept(store: &dyn Keeper) {
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
    let said = Transcript {
        question: vec![Message::system("rules"), Message::user("问题\n?")],
        answer: Some("a".repeat(9_000)),
    };
    store.add_call(job, task, &call(0, None), &said, after(1)).await.unwrap();
    store.add_call(job, task, &call(1, Some("cut off")), &Transcript::default(), after(2)).await.unwrap();
    store.add_call(job_id(2), task_id(2), &call(0, None), &Transcript::default(), after(3)).await.unwrap();
    // Sent once more, because the answer was lost.
    store.add_call(job, task, &call(0, Some("other")), &Transcript::default(), after(9)).await.unwrap();
    let all = store.calls(job).await.unwrap();
    let first = StoredCall { task, at: after(1), call: call(0, None) };
    assert_eq!(all, [first.clone(), StoredCall { task, at: after(2), call: call(1, Some("cut off")) }]);
    assert_eq!(store.call(task, 0).await.unwrap(), Some((first, said)));
    assert_eq!(store.call(task, 7).await.unwrap(), None);
    assert_eq!(store.forget_calls(after(2)).await.unwrap(), 1);
    assert_eq!(store.calls(job).await.unwrap().len(), 1);
}

async fn a_log_has_an_end(store: &dyn Keeper) {
    let job = put(store, 1, "").await;
    let task = Task::first(&job, "embedded", start_of_time());
    store.commit(Step { task: Some(task.clone()), ..Step::default() }).await.unwrap();
    let megabyte = "x".repeat(1 << 20);
    for piece in 0..20 {
        store.append_log(task.id, piece, &megabyte, after(0)).await.unwrap();
    }
    let log = store.read_log(task.id, 0, 100 << 20).await.unwrap();
    assert!(log.text.len() as u64 <= patchwright_core::task_log::MAX_LOG + 200, "{}", log.text.len());
}
