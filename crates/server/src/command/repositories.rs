//! `patchwright repositories create` and `import`: repositories of the built-in forge, made in the data folder of the server.
//! They need no login: access to the folder is the authorization.

use std::process::ExitCode;

use patchwright_domain::{BranchName, RepoName};
use patchwright_gitops_gix::{import_repository, seed_repository};
use patchwright_local::LOCAL;
use patchwright_management::{ManagementError, Principal};

use super::CommandResult;
use crate::cli::{BuiltInCommand, RemoteArgs};
use crate::compose::{App, Overrides, compose, git_options, public_url};
use crate::config::Config;
use crate::draft_folder::DraftFolder;
use crate::telemetry;
use crate::terminal::say;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The owner of a repository whose path or address names none.
const OWNER: &str = "local";

pub(crate) async fn run(config: Config, command: BuiltInCommand, remote: &RemoteArgs) -> CommandResult {
    if remote.server.is_some() || remote.token.is_some() || remote.json {
        let detail = "this is done on the server's own machine, in its DATA_DIR, and prints text: leave out --server, --token and \
                      --json, and PATCHWRIGHT_SERVER and PATCHWRIGHT_TOKEN";
        return Err(detail.into());
    }
    telemetry::start(&config, true);
    let app = compose(&config, Overrides::default()).await?;
    let name = match command {
        BuiltInCommand::Create { name } => create(&app, parse_name(&name)?).await?,
        BuiltInCommand::Import { source, name, branch } => {
            let name = match name {
                Some(name) => parse_name(&name)?,
                None => name_of(&source)?,
            };
            import(&config, &app, &source, branch.as_deref(), name).await?
        }
    };
    let folder = app.local.path_of(&name);
    if let Err(error) = register(&app, &name).await {
        // It can be repeated.
        let _ = std::fs::remove_dir_all(&folder);
        return Err(error);
    }
    say(&format!("{name} is at {}", folder.display()));
    say(&format!("Clone it:       git clone {}", folder.display()));
    say(&format!("Open an issue:  {}/issues/new?repository={name}", public_url(&config, None)));
    Ok(ExitCode::SUCCESS)
}

async fn create(app: &App, name: RepoName) -> Result<RepoName, Failure> {
    let draft = begin(app, &name)?;
    let readme = format!("# {}\n", name.name());
    let branch = BranchName::parse("main").expect("it is a branch");
    let seeded = tokio::task::spawn_blocking(move || {
        seed_repository(draft.path(), &branch, &[("README.md", &readme)], jiff::Timestamp::now())?;
        draft.finish().map_err(Failure::from)
    });
    seeded.await??;
    Ok(name)
}

async fn import(
    config: &Config,
    app: &App,
    source: &str,
    branch: Option<&str>,
    name: RepoName,
) -> Result<RepoName, Failure> {
    let branch = branch.map(BranchName::parse).transpose()?;
    let draft = begin(app, &name)?;
    let imported = import_repository(&git_options(config), source, branch.as_ref(), None, draft.path()).await?;
    draft.finish()?;
    say(&format!("The branch {imported} was copied."));
    Ok(name)
}

/// Begins the folder of a repository that does not exist.
fn begin(app: &App, name: &RepoName) -> Result<DraftFolder, Failure> {
    let folder = app.local.path_of(name);
    if folder.exists() {
        return Err(format!("there is a repository {name} already, at {}", folder.display()).into());
    }
    DraftFolder::new(&folder).map_err(|error| format!("{} cannot be created: {error}", folder.display()).into())
}

async fn register(app: &App, name: &RepoName) -> Result<(), Failure> {
    let registered = app.management.repositories().create(&Principal::operator(), LOCAL, &name.to_string()).await;
    match registered {
        // It was there before its folder was lost.
        Ok(_) | Err(ManagementError::Conflict { code: "added_already", .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn parse_name(name: &str) -> Result<RepoName, Failure> {
    name.parse().map_err(|error| format!("`{name}` names no repository: {error}").into())
}

/// Returns the name of a path or address: its last two parts, or [`OWNER`] and the last one.
fn name_of(source: &str) -> Result<RepoName, Failure> {
    let unusable = || format!("`{source}` has no name that can be used here; give one with --name owner/name");
    if source.contains('@') && source.contains(':') && !source.contains("://") {
        return Err(format!("`{source}` is an address of ssh; write it as ssh://USER@HOST/PATH").into());
    }
    if let Some((_, address)) = source.split_once("://") {
        let (_, path) = address.split_once('/').ok_or_else(unusable)?;
        return last_parts(path, 2).ok_or_else(|| unusable().into());
    }
    let folder = std::path::Path::new(source);
    // `.` has the name of the folder that it is.
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    last_parts(&folder.to_string_lossy(), 1).ok_or_else(|| unusable().into())
}

fn last_parts(path: &str, most: usize) -> Option<RepoName> {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
    let mut parts = path.rsplit('/').filter(|part| !part.is_empty());
    let name = parts.next()?;
    let owner = parts.next().filter(|_| most > 1).unwrap_or(OWNER);
    format!("{owner}/{name}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_after_its_path_or_address() {
        for (source, name) in [
            ("https://git.example.com/acme/shop.git", "acme/shop"),
            ("ssh://git@git.example.com:22/group/acme/shop", "acme/shop"),
            ("https://git.example.com/shop/", "local/shop"),
            ("/srv/git/acme/shop.git", "local/shop"),
            ("../somewhere/shop/.git", "local/shop"),
        ] {
            assert_eq!(name_of(source).unwrap().to_string(), name, "{source}");
        }
        let scp = name_of("git@git.example.com:acme/shop.git").unwrap_err().to_string();
        assert!(scp.contains("ssh://USER@HOST/PATH"), "{scp}");
        for source in ["https://git.example.com", "https://git.example.com/", "/"] {
            let error = name_of(source).unwrap_err().to_string();
            assert!(error.contains("--name owner/name"), "{source}: {error}");
        }
    }
}
