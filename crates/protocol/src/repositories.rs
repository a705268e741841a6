//! Repositories.

use serde::{Deserialize, Serialize};

/// A registered repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RepositoryView {
    pub id: String,
    pub platform: String,
    pub name: String,
    pub created_at: String,
    /// When its issues were last imported.
    pub synced_at: Option<String>,
    pub settings: RepositorySettings,
}

/// What an administrator decided about a repository.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RepositorySettings {
    /// A command that runs all tests, in place of the suites that are found or that the repository names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 2000, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$", example = "make check")
    )]
    pub test_command: Option<String>,
    /// How often in a row failing checks of the forge's CI start a follow-up. What those checks print, which whoever can run
    /// the repository's CI writes, is then given to the model.
    #[serde(default, deserialize_with = "crate::whole")]
    #[cfg_attr(feature = "openapi", schema(maximum = 5))]
    pub ci_rounds: u32,
    /// What the repository's code may do in the sandbox beyond the rules; it asks for it in `.patchwright.toml`.
    #[serde(default, skip_serializing_if = "SandboxGrants::is_empty")]
    pub sandbox: SandboxGrants,
}

/// What an administrator lets a repository's code do in the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SandboxGrants {
    /// Hosts that it may reach with TLS; `registries` stands for those of `SANDBOX_REGISTRIES`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::granted_hosts))]
    pub network: Vec<String>,
    /// Container images in which it may run.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::granted_images))]
    pub images: Vec<String>,
    /// Variables of the machine that it may read.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::granted_variables))]
    pub env: Vec<String>,
    /// Whether its packages may be fetched where that runs code: by Maven, Gradle, `NuGet` and Bundler.
    #[serde(default)]
    pub packages_with_code: bool,
}

impl From<patchwright_domain::SandboxGrants> for SandboxGrants {
    fn from(grants: patchwright_domain::SandboxGrants) -> Self {
        let patchwright_domain::SandboxGrants { network, images, env, packages_with_code } = grants;
        Self { network, images, env, packages_with_code }
    }
}

impl From<SandboxGrants> for patchwright_domain::SandboxGrants {
    fn from(grants: SandboxGrants) -> Self {
        let SandboxGrants { network, images, env, packages_with_code } = grants;
        Self { network, images, env, packages_with_code }
    }
}

impl SandboxGrants {
    /// Returns whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A repository to register.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewRepository {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::platform))]
    pub platform: String,
    /// `owner/name`
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$", example = "acme/demo")
    )]
    pub name: String,
}

/// The result of an import.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportResult {
    /// Issues that were not known before.
    pub imported: u64,
    /// Known issues whose title or text had changed.
    pub updated: u64,
}

/// The users who are assigned to a repository: they see its issues, jobs, logs and prompts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Members {
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub user_ids: Vec<String>,
}

/// What is deleted with a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct DeleteRepository {
    /// Whether its issues, jobs, logs, prompts and statistics are deleted, too.
    pub data: Option<bool>,
}
