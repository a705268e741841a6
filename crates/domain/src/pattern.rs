//! Regular expressions of input fields, shared by the API's description and the validation. This crate does not match
//! them, so that it needs no regex engine.

/// The name of a node, and a label.
pub const LABEL: &str = "^[A-Za-z0-9._:-]{1,60}$";

/// A Jira site: the host name, up to six labels.
pub const SITE: &str = "^[A-Za-z0-9](-?[A-Za-z0-9]){0,30}(\\.[A-Za-z0-9](-?[A-Za-z0-9]){0,30}){0,5}$";

/// The e-mail address of a service account.
pub const SERVICE_ACCOUNT: &str = "^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,180}$";

/// A secret: one word without whitespace.
pub const SECRET: &str = "^[!-~]{8,1000}$";

/// Atlassian's id of a site.
pub const CLOUD_ID: &str = "^[A-Za-z0-9-]{1,64}$";

/// The key of a Jira project.
pub const PROJECT: &str = "^[A-Z][A-Z0-9_]{0,79}$";

/// The URL of a chat or webhook: a host name or IPv4 address, a port, a path. No user name, and no `--` in a host
/// label, because the URL parser rejects invalid punycode.
pub const CHANNEL_URL: &str = "^https?://(([A-Za-z0-9](-?[A-Za-z0-9]){0,30}\\.){0,9}[A-Za-z](-?[A-Za-z0-9]){0,30}\
    |((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]))\
    (:([1-5]?[0-9]{1,4}|6[0-4][0-9]{3}))?(/[!-~]{0,400})?$";

/// An e-mail address.
pub const MAILBOX: &str = "^([A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,64}\
    |[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,20}(\\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,20}){1,2}\
    |[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,12}(\\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,12}){3,4})\
    @([A-Za-z0-9](-?[A-Za-z0-9]){0,30}\\.){1,3}[A-Za-z](-?[A-Za-z0-9]){1,30}$";

/// `owner/name` of a repository.
pub const REPOSITORY: &str = "^([A-Za-z0-9_]|\\.{1,2}[A-Za-z0-9_-])[A-Za-z0-9._-]{0,90}\
    /([A-Za-z0-9_]|\\.{1,2}[A-Za-z0-9_-])[A-Za-z0-9._-]{0,90}$";

/// The most labels that a node or a request to start a job may have.
pub const MAX_LABELS: usize = 50;
