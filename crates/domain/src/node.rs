//! Nodes: machines that execute tasks, the requirements of jobs, and the selection of a node.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::NodeId;
use crate::id::InvalidId;

/// The interval of a node's heartbeats.
pub const HEARTBEAT: SignedDuration = SignedDuration::from_secs(10);
/// The number of missed heartbeats after which a node gets no tasks.
const MISSED: i32 = 3;
/// The free disk space, in bytes, below which a node gets no tasks.
pub const MIN_DISK: u64 = 512 << 20;

/// A capability of a node that a job can require: `gpu`, `linux`, `command:aider`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// Returns the label of nodes that test the branches of others: all of our own.
    ///
    /// # Panics
    /// Never panics: the name is a label.
    pub fn verification() -> Self {
        Self("command:verify".to_owned())
    }

    /// The longest accepted label, in characters.
    pub const MAX_LEN: usize = 60;

    /// Parses a label and converts it to lower case.
    ///
    /// # Errors
    /// [`InvalidId`] when it is empty, longer than [`Self::MAX_LEN`], or holds anything but ASCII letters, digits and
    /// `.`, `_`, `-`, `:`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        if !text.is_empty() && text.len() <= Self::MAX_LEN && text.chars().all(plain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidId::new(text, "a label (1 to 60 letters, digits and . _ - :)"))
        }
    }

    /// Returns the label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Label {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

/// The requirements of a job on its node. The text form has one word per requirement, `node=…` and the labels, in
/// order, so that equal requirements have equal texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Needs {
    /// The id of the only acceptable node.
    pub node: Option<NodeId>,
    /// The labels that the node must have.
    pub labels: BTreeSet<Label>,
}

impl Needs {
    /// Returns the requirements of a job whose branch is only tested: our own nodes can, third-party nodes cannot.
    pub fn verification() -> Self {
        Self { node: None, labels: BTreeSet::from([Label::verification()]) }
    }

    /// Returns whether any node is acceptable.
    pub fn is_none(&self) -> bool {
        self.node.is_none() && self.labels.is_empty()
    }

    /// Returns whether a node with these labels is acceptable.
    pub fn are_met_by(&self, node: Option<NodeId>, labels: &BTreeSet<Label>) -> bool {
        (self.node.is_none() || self.node == node) && self.labels.is_subset(labels)
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.map(|node| format!("node={node}"));
        let words: Vec<String> = node.into_iter().chain(self.labels.iter().map(ToString::to_string)).collect();
        f.write_str(&words.join(" "))
    }
}

impl FromStr for Needs {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut needs = Self::default();
        for word in text.split_whitespace() {
            match word.strip_prefix("node=") {
                Some(id) => needs.node = Some(id.parse()?),
                None => drop(needs.labels.insert(Label::parse(word)?)),
            }
        }
        Ok(needs)
    }
}

impl TryFrom<String> for Needs {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Needs> for String {
    fn from(needs: Needs) -> Self {
        needs.to_string()
    }
}

/// What makes the change instead of the built-in stages. Programs run in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkCommand {
    /// The name of a preset that the node has.
    Preset(Label),
    /// A command line.
    Free(String),
    /// No program: the branch of the job before it is rebased onto the base branch.
    Rebase,
}

impl WorkCommand {
    /// Returns the label of nodes that can run it.
    ///
    /// # Panics
    /// Never panics: a preset's name is short enough for a label with the prefix.
    pub fn label(&self) -> Label {
        match self {
            Self::Preset(name) => Label(format!("command:{name}")),
            Self::Free(_) => Label("command".to_owned()),
            Self::Rebase => Label("command:rebase".to_owned()),
        }
    }
}

impl fmt::Display for WorkCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(name) => write!(f, "{name}"),
            Self::Free(line) => f.write_str(line),
            Self::Rebase => f.write_str("rebase"),
        }
    }
}

/// How a node gets its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeMode {
    /// It polls the server, and needs no address of its own.
    Pull,
    /// The server sends them to this address.
    Push(String),
}

/// The health of a node, as last reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The machine's load average of the last minute per processor.
    #[serde(default)]
    pub load: f64,
    /// The free disk space, in bytes; `None` if unknown.
    #[serde(default)]
    pub disk_free: Option<u64>,
    /// The number of running tasks.
    #[serde(default)]
    pub running: u32,
    /// Whether it is about to end, and gets no further tasks.
    #[serde(default)]
    pub is_ending: bool,
}

/// A machine that executes tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The node's id.
    pub id: NodeId,
    /// The unique name.
    pub name: Label,
    /// Its labels: those that an administrator gave it and those that it detected.
    pub labels: BTreeSet<Label>,
    /// How it gets its tasks.
    pub mode: NodeMode,
    /// How many tasks it can run at the same time.
    pub capacity: u32,
    /// Whether it gets no new tasks and only finishes its running ones.
    pub draining: bool,
    /// Its version, once it has registered.
    pub version: Option<String>,
    /// Its health.
    pub health: Health,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it registered; `None` until then.
    pub registered_at: Option<Timestamp>,
    /// When it last contacted the server.
    pub seen_at: Option<Timestamp>,
    /// When it last got a task.
    pub used_at: Option<Timestamp>,
}

impl Node {
    /// Returns whether it contacted the server recently.
    pub fn is_online(&self, now: Timestamp) -> bool {
        self.registered_at.is_some()
            && self.seen_at.is_some_and(|seen| now.duration_since(seen) <= HEARTBEAT.saturating_mul(MISSED))
    }

    /// Returns whether it can get tasks, regardless of its free capacity.
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.is_online(now)
            && !self.draining
            && !self.health.is_ending
            && self.health.disk_free.is_none_or(|free| free >= MIN_DISK)
    }
}

/// A candidate for a task.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The node.
    pub node: Node,
    /// The number of its current tasks.
    pub running: u32,
}

impl Candidate {
    /// Returns its used capacity, in thousandths.
    fn relative_load(&self) -> u64 {
        u64::from(self.running) * 1000 / u64::from(self.node.capacity.max(1))
    }

    fn has_room(&self) -> bool {
        self.running < self.node.capacity
    }
}

/// Selects the node for a task (`NodeSelectionService` of `docs/requirements.md#r130`): of the ready nodes with free
/// capacity that meet the requirements, the one with the least relative load, then with the most recent success in that
/// repository, then the least recently used.
pub fn choose<'a>(
    candidates: &'a [Candidate],
    needs: &Needs,
    last_success: impl Fn(NodeId) -> Option<Timestamp>,
    now: Timestamp,
) -> Option<&'a Candidate> {
    let fits = |candidate: &&Candidate| {
        let node = &candidate.node;
        node.is_ready(now) && candidate.has_room() && needs.are_met_by(Some(node.id), &node.labels)
    };
    candidates.iter().filter(fits).min_by_key(|candidate| {
        let node = &candidate.node;
        (candidate.relative_load(), std::cmp::Reverse(last_success(node.id)), node.used_at, node.id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn candidate(n: u128, labels: &[&str], running: u32, capacity: u32) -> Candidate {
        let node = Node {
            id: NodeId::from_uuid(uuid::Uuid::from_u128(n)),
            name: Label::parse(&format!("node-{n}")).unwrap(),
            labels: labels.iter().map(|label| Label::parse(label).unwrap()).collect(),
            mode: NodeMode::Pull,
            capacity,
            draining: false,
            version: None,
            health: Health::default(),
            created_at: at(0),
            registered_at: Some(at(0)),
            seen_at: Some(at(0)),
            used_at: None,
        };
        Candidate { node, running }
    }

    fn chosen(candidates: &[Candidate], needs: &str) -> Option<u128> {
        let found = choose(candidates, &needs.parse().unwrap(), |_| None, at(1));
        found.map(|found| found.node.id.as_uuid().as_u128())
    }

    #[test]
    fn the_least_loaded_for_its_size_is_first() {
        let nodes = [candidate(1, &[], 1, 2), candidate(2, &[], 2, 8), candidate(3, &[], 4, 4)];
        assert_eq!(chosen(&nodes, ""), Some(2));
        assert_eq!(chosen(&nodes[2..], ""), None, "it has no room");
    }

    #[test]
    fn among_equals_the_one_that_knows_the_repository_is_first_and_then_the_one_that_rested_longest() {
        let mut nodes = [candidate(1, &[], 0, 1), candidate(2, &[], 0, 1), candidate(3, &[], 0, 1)];
        for (node, used) in nodes.iter_mut().zip([30, 10, 20]) {
            node.node.used_at = Some(at(used));
        }
        assert_eq!(chosen(&nodes, ""), Some(2));
        let three = nodes[2].node.id;
        let warm = choose(&nodes, &Needs::default(), |id| (id == three).then(|| at(5)), at(1)).unwrap();
        assert_eq!(warm.node.id, three);
    }

    #[test]
    fn silent_draining_full_and_unfit_nodes_get_nothing() {
        let mut nodes = [candidate(1, &["gpu", "linux"], 0, 1), candidate(2, &["linux"], 0, 1)];
        assert_eq!((chosen(&nodes, "linux gpu"), chosen(&nodes, "windows")), (Some(1), None));
        let second = format!("node={}", nodes[1].node.id);
        assert_eq!(chosen(&nodes, &second), Some(2));
        nodes[0].node.draining = true;
        nodes[1].node.health.disk_free = Some(1);
        assert_eq!(chosen(&nodes, ""), None);
        nodes[1].node.health.disk_free = Some(MIN_DISK);
        nodes[1].node.seen_at = Some(at(-30));
        assert_eq!(chosen(&nodes, ""), None, "three heartbeats were missed");
        nodes[1].node.registered_at = None;
        nodes[1].node.seen_at = Some(at(0));
        assert_eq!(chosen(&nodes, ""), None, "it has not registered");
    }

    #[test]
    fn needs_are_one_text_whatever_their_order() {
        let needs: Needs = " GPU  linux ".parse().unwrap();
        assert_eq!(needs, "linux gpu".parse().unwrap());
        assert_eq!(needs.to_string(), "gpu linux");
        assert!(Needs::default().is_none() && Needs::default().to_string().is_empty());
        assert!("node=x".parse::<Needs>().is_err() && "a;b".parse::<Needs>().is_err());
    }
}
