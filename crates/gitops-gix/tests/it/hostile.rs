//! Repositories that were made to harm: nothing outside of the working copy may change, and nothing of theirs may run.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use patchwright_core::CancellationToken;
use patchwright_core::git::{Git as _, GitError, Workspace};
use patchwright_gitops_gix::{GitOptions, GixGit, Limits, StoreOptions};
use patchwright_testkit::server::{GitServer, PASSWORD};

use crate::fixture::{commit_request, credential, install_tls, path, request, with_store};

/// Builds objects that git itself would not write.
struct Builder {
    repository: PathBuf,
    objects: gix::Repository,
}

type Entry = (&'static str, Vec<u8>, String);

impl Builder {
    fn new(repository: PathBuf) -> Self {
        let objects = gix::open_opts(&repository, gix::open::Options::isolated()).unwrap();
        Self { repository, objects }
    }

    fn object(&self, kind: gix::objs::Kind, bytes: &[u8]) -> String {
        gix::objs::Write::write_buf(&self.objects.objects, kind, bytes).unwrap().to_string()
    }

    /// Makes a commit of these entries the tip of `main`.
    fn set_main(&self, entries: &[Entry]) {
        let commit = self.commit(&self.tree(entries));
        std::fs::write(self.repository.join("refs/heads/main"), format!("{commit}\n")).unwrap();
    }

    fn blob(&self, text: &str) -> String {
        self.object(gix::objs::Kind::Blob, text.as_bytes())
    }

    /// Writes entries as they are, in their order.
    fn tree(&self, entries: &[Entry]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend((0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()));
        }
        self.object(gix::objs::Kind::Tree, &bytes)
    }

    fn file(&self, name: &str, text: &str) -> Entry {
        ("100644", name.as_bytes().to_vec(), self.blob(text))
    }

    fn link(&self, name: &str, target: &str) -> Entry {
        ("120000", name.as_bytes().to_vec(), self.blob(target))
    }

    fn folder(&self, name: &str, entries: &[Entry]) -> Entry {
        ("40000", name.as_bytes().to_vec(), self.tree(entries))
    }

    fn commit(&self, tree: &str) -> String {
        let person = "t <t@t> 1700000000 +0000";
        self.object(
            gix::objs::Kind::Commit,
            format!("tree {tree}\nauthor {person}\ncommitter {person}\n\nHostile\n").as_bytes(),
        )
    }
}

type Case = (&'static str, fn(&Builder, &Path) -> Vec<Entry>);

/// Trees, each with a plain file `src/a.py` beside what is hostile. The path is a folder outside of all repositories.
const TREES: &[Case] = &[
    ("a hook", |b, _| {
        vec![b.folder(".git", &[b.folder("hooks", &[b.file("post-checkout", "#!/bin/sh\ntouch /tmp/x\n")])])]
    }),
    ("the configuration", |b, _| vec![b.folder(".git", &[b.file("config", "[core]\n\tfsmonitor = touch x\n")])]),
    (".git in other letters", |b, _| vec![b.folder(".GIT", &[b.file("config", "x")])]),
    (".git as a file", |b, _| vec![b.file(".git", "gitdir: /tmp\n")]),
    (".git as a link", |b, outside| vec![b.link(".git", &outside.display().to_string())]),
    (".git as a short name of Windows", |b, _| vec![b.folder("git~1", &[b.file("config", "x")])]),
    (".git with an ignorable character", |b, _| vec![b.folder(".g\u{200c}it", &[b.file("config", "x")])]),
    (".git with a mark of byte order", |b, _| vec![b.folder("\u{feff}.git", &[b.file("config", "x")])]),
    (".git with a space", |b, _| vec![b.folder(".git ", &[b.file("config", "x")])]),
    (".git with a dot", |b, _| vec![b.folder(".git.", &[b.file("config", "x")])]),
    (".git as a stream of NTFS", |b, _| vec![b.folder(".git::$INDEX_ALLOCATION", &[b.file("config", "x")])]),
    (".git in a folder", |b, _| vec![b.folder("src2", &[b.folder(".git", &[b.file("config", "x")])])]),
    ("the parent as a file", |b, _| vec![b.file("..", "x")]),
    ("the parent as a folder", |b, _| vec![b.folder("..", &[b.file("escaped", "x")])]),
    ("the folder itself", |b, _| vec![b.folder(".", &[b.file("escaped", "x")])]),
    ("a way up in one name", |b, _| vec![b.file("../escaped", "x")]),
    ("a longer way up in one name", |b, _| vec![b.file("a/../../escaped", "x")]),
    ("an absolute name", |b, outside| vec![b.file(&outside.join("escaped").display().to_string(), "x")]),
    ("an empty name", |b, _| vec![b.file("", "x")]),
    ("a name of two parts", |b, _| vec![b.file("a/b", "x")]),
    ("a backslash", |b, _| vec![b.file("..\\escaped", "x")]),
    ("a drive", |b, _| vec![b.file("C:\\escaped", "x"), b.file("C:escaped", "x")]),
    ("devices of Windows", |b, _| vec![b.file("CON", "x"), b.file("aux.txt", "x"), b.file("nul", "x")]),
    ("a link and a folder of one name", |b, outside| {
        vec![b.link("way", &outside.display().to_string()), b.folder("way", &[b.file("escaped", "x")])]
    }),
    ("a folder and a link of one name", |b, outside| {
        vec![b.folder("way", &[b.file("escaped", "x")]), b.link("way", &outside.display().to_string())]
    }),
    ("a link in other letters than a folder", |b, outside| {
        vec![b.link("Way", &outside.display().to_string()), b.folder("way", &[b.file("escaped", "x")])]
    }),
    ("a link to the parent", |b, _| vec![b.link("up", ".."), b.link("upper", "../..")]),
    ("a link into the repository's own folder", |b, _| {
        vec![b.link("own", ".git/hooks"), b.link("conf", ".git/config")]
    }),
    ("links in a circle", |b, _| vec![b.link("one", "two"), b.link("two", "one")]),
    ("a link to a device", |b, _| vec![b.link("README.md", "/dev/zero"), b.link("fd", "/proc/self/fd/0")]),
    ("a link with an endless target", |b, _| vec![b.link("long", &"x/".repeat(5000))]),
    ("a link with an empty target", |b, _| vec![b.link("empty", "")]),
    ("a link in place of the attributes", |b, _| vec![b.link(".gitattributes", "/etc/passwd")]),
    ("a link in place of the submodules", |b, outside| {
        vec![b.link(".gitmodules", &outside.join("m").display().to_string())]
    }),
    ("filters and macros", |b, _| {
        let filters =
            "* filter=evil diff=evil merge=evil\n[attr]all filter=evil\n*.py all working-tree-encoding=NO-SUCH\n";
        vec![b.file(".gitattributes", filters), b.file(".gitconfig", "[filter \"evil\"]\n\tsmudge = touch x\n")]
    }),
    ("attributes without end", |b, _| vec![b.file(".gitattributes", &"*.a b=c\n".repeat(200_000))]),
    ("a submodule with a command", |b, _| {
        let modules = "[submodule \"x\"]\n\tpath = ../../x\n\turl = ext::sh -c touch%20x\n\tupdate = !touch x\n";
        vec![b.file(".gitmodules", modules), ("160000", b"x".to_vec(), "1".repeat(40))]
    }),
    ("a submodule in place of .git", |_, _| vec![("160000", b".git".to_vec(), "1".repeat(40))]),
    ("a file twice", |b, _| vec![b.file("twice", "1"), b.file("twice", "2")]),
    ("a file and a folder of one name", |b, _| vec![b.file("both", "1"), b.folder("both", &[b.file("x", "2")])]),
    ("names in two cases", |b, _| vec![b.file("Makefile", "1"), b.file("makefile", "2"), b.file("MAKEFILE", "3")]),
    ("control characters", |b, _| vec![b.file("a\nb\x1b[31m", "x"), b.file("c\rd\te", "x")]),
    ("names that are no text", |b, _| vec![("100644", vec![0xff, 0xfe, b'x'], b.blob("x"))]),
    ("names like options", |b, _| vec![b.file("--upload-pack=touch x", "x"), b.file("-rf", "x")]),
    ("a name of 300 bytes", |b, _| vec![b.file(&"n".repeat(300), "x")]),
    ("a path of 8,000 bytes", |b, _| {
        let mut entry = b.file("x", "x");
        for _ in 0..40 {
            entry = b.folder(&"n".repeat(200), &[entry]);
        }
        vec![entry]
    }),
    ("folders 3,000 deep", |b, _| {
        let mut entry = b.file("x", "x");
        for _ in 0..3_000 {
            entry = b.folder("d", &[entry]);
        }
        vec![entry]
    }),
    ("ten billion files of a few objects", |b, _| {
        let mut entries: Vec<Entry> = (0..10).map(|number| b.file(&number.to_string(), "x")).collect();
        for _ in 0..9 {
            entries = (0..10).map(|number| b.folder(&number.to_string(), &entries)).collect();
        }
        entries
    }),
    ("a list of one folder that is endless", |b, _| {
        let id = b.blob("x");
        let entries: Vec<Entry> =
            (0..500).map(|number| ("100644", format!("f{number:06}").into_bytes(), id.clone())).collect();
        vec![("40000", b"wide".to_vec(), b.tree(&entries))]
    }),
    ("modes that do not exist", |b, _| {
        ["100777", "100600", "104755", "0", "777777", "60000", "20666", "10644"]
            .iter()
            .map(|mode| (*mode, format!("mode-{mode}").into_bytes(), b.blob("x")))
            .collect()
    }),
    ("a folder that is a file", |b, _| vec![("40000", b"lie".to_vec(), b.blob("x"))]),
    ("a file that is a folder", |b, _| vec![("100644", b"lie".to_vec(), b.tree(&[b.file("x", "x")]))]),
    ("a file that is missing", |_, _| vec![("100644", b"ghost".to_vec(), "2".repeat(40))]),
    ("a folder that is missing", |_, _| vec![("40000", b"ghost".to_vec(), "3".repeat(40))]),
    ("a tree that is cut", |b, _| {
        vec![("40000", b"cut".to_vec(), b.object(gix::objs::Kind::Tree, b"100644 x\0short"))]
    }),
    ("a tree that is noise", |b, _| vec![("40000", b"noise".to_vec(), b.object(gix::objs::Kind::Tree, &[0xaa; 500]))]),
];

/// Returns every file of a folder with its content and mode.
fn contents(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let (at, metadata) = {
                let entry = entry.unwrap();
                (entry.path(), entry.metadata().unwrap())
            };
            if metadata.is_dir() {
                folders.push(at.clone());
            }
            let content = if metadata.is_file() { std::fs::read(&at).unwrap() } else { Vec::new() };
            found.insert(at, (metadata.permissions().mode(), content));
        }
    }
    found
}

/// Uses a working copy as a job does.
async fn use_workspace(workspace: &dyn Workspace, export: &Path) {
    let tree = workspace.tree();
    let files = tree.files().unwrap_or_default();
    tree.read(&files, 1 << 20);
    tree.history(10);
    let _ = workspace.tree_entries().await;
    for file in workspace.list_files("*").await.unwrap_or_default() {
        let _ = workspace.read(&file).await;
    }
    // Through a link in a path nothing is read or written.
    for bad in ["way/escaped", "up/escaped", "upper/escaped", "own/post-checkout", "conf", "README.md", "fd"] {
        let _ = workspace.read(&path(bad)).await;
        let _ = workspace.write(&path(bad), b"written").await;
        let _ = workspace.remove(&path(bad)).await;
    }
    if workspace.write(&path("src/a.py"), b"a = 2\n").await.is_ok()
        && let Ok(commit) = workspace.commit(&[path("src/a.py")], &commit_request()).await
    {
        let _ = workspace.list_changed_files().await;
        let _ = workspace.export(&commit, export).await;
        let _ = workspace.push(&commit, None, credential(PASSWORD).as_ref()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_tree_changes_nothing_outside_of_its_working_copy() {
    install_tls();
    assert!(TREES.len() >= 40);
    let (server, base) = (GitServer::start(), tempfile::tempdir().unwrap());
    let outside = base.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("kept"), "kept\n").unwrap();
    let sentinel = contents(&outside);
    let limits = Limits { files: 100_000, ..Limits::default() };
    for (number, (name, make)) in TREES.iter().enumerate() {
        let full_name = format!("acme/case-{number}");
        server.make_empty(&full_name);
        let builder = Builder::new(server.path(&full_name));
        let mut entries = make(&builder, &outside);
        entries.push(builder.folder("src", &[builder.file("a.py", "a = 1\n")]));
        builder.set_main(&entries);
        let http = format!("{}/{full_name}.git", server.url());
        for (way, url) in [("path", builder.repository.display().to_string()), ("http", http)] {
            let place = base.path().join(format!("{number}-{way}"));
            let (work, store) = (place.join("work"), place.join("store"));
            std::fs::create_dir_all(&place).unwrap();
            let options = GitOptions { limits, ..with_store(&store) };
            // The child is slow to start in a build for tests.
            let child = options.child.clone().filter(|_| way == "http");
            let kept = options.store.clone().map(|store| StoreOptions { history_depth: 0, ..store });
            let git = GixGit::new(GitOptions { child, store: kept, ..options });
            for round in ["first", "second"] {
                let found = git.checkout(request(&url, &work.join(round)), &CancellationToken::new()).await;
                match found {
                    Ok(workspace) => {
                        use_workspace(workspace.as_ref(), &place.join("export").join(round)).await;
                        let config = std::fs::read_to_string(workspace.root().join(".git/config")).unwrap();
                        assert!(
                            config.starts_with("[core]") && !workspace.root().join(".git/hooks").exists(),
                            "{name}"
                        );
                        workspace.close().await;
                    }
                    Err(error) => {
                        let is_named = !matches!(error, GitError::Internal { .. } | GitError::TimedOut { .. });
                        assert!(is_named || way == "path", "{name} over {way}: {error:?}");
                    }
                }
            }
            git.wait_for_background_work().await;
            let strange: Vec<PathBuf> = std::fs::read_dir(&place)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| !["work", "store", "export"].iter().any(|known| path.ends_with(known)))
                .collect();
            assert!(strange.is_empty(), "{name} over {way}: {strange:?}");
            assert_eq!(contents(&outside), sentinel, "{name} over {way}");
            patchwright_core::untrusted_tree::delete_folder(&place).unwrap();
        }
    }
    let names: Vec<String> = std::fs::read_dir(base.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["outside"], "nothing was written beside the working copies");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_checked_out_is_the_repositorys_fault_and_named() {
    install_tls();
    let server = GitServer::start();
    let base = tempfile::tempdir().unwrap();
    for name in [
        "a hook",
        "the parent as a folder",
        ".git with an ignorable character",
        "a link and a folder of one name",
        "a name of 300 bytes",
    ] {
        let (_, make) = TREES.iter().find(|(known, _)| *known == name).unwrap();
        let full_name = format!("acme/{}", name.replace([' ', '.'], "-"));
        server.make_empty(&full_name);
        let builder = Builder::new(server.path(&full_name));
        builder.set_main(&make(&builder, base.path()));
        let url = builder.repository.display().to_string();
        let request = request(&url, &base.path().join(&full_name));
        let error =
            GixGit::new(GitOptions::default()).checkout(request, &CancellationToken::new()).await.err().unwrap();
        assert!(matches!(error, GitError::ContentRefused { .. }), "{name}: {error:?}");
    }
}

/// The configuration of a repository on this machine is its owner's, who may be somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_local_repositorys_configuration_or_hooks_runs() {
    install_tls();
    let (server, base) = (GitServer::start(), tempfile::tempdir().unwrap());
    server.make("acme/demo", &[("src/a.py", "a = 1\n"), (".gitattributes", "* filter=evil\n")]);
    let (repository, proof) = (server.path("acme/demo"), base.path().join("proof"));
    let touch = format!("touch {}", proof.display());
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfsmonitor = {touch}\n\tsshCommand = {touch}\n\thooksPath = {hooks}\n\
         \tworktree = /tmp\n\tpager = {touch}\n\teditor = {touch}\n[filter \"evil\"]\n\tsmudge = {touch}\n\tclean = {touch}\n\
         \trequired = true\n[credential]\n\thelper = !{touch}\n[include]\n\tpath = {include}\n[gpg]\n\tprogram = {touch}\n\
         [uploadpack]\n\tpackObjectsHook = {touch}\n[url \"ext::{touch}\"]\n\tinsteadOf = /\n",
        hooks = repository.join("hooks").display(),
        include = base.path().join("include").display(),
    );
    std::fs::write(base.path().join("include"), format!("[core]\n\tfsmonitor = {touch}\n")).unwrap();
    std::fs::write(repository.join("config"), config).unwrap();
    std::fs::create_dir_all(repository.join("hooks")).unwrap();
    for hook in [
        "post-checkout",
        "reference-transaction",
        "pre-receive",
        "post-receive",
        "update",
        "fsmonitor-watchman",
        "pre-commit",
    ] {
        let file = repository.join("hooks").join(hook);
        std::fs::write(&file, format!("#!/bin/sh\n{touch}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let store = base.path().join("store");
    let git = GixGit::new(with_store(&store));
    let url = repository.display().to_string();
    let found = git.checkout(request(&url, &base.path().join("work")), &CancellationToken::new()).await;
    if let Ok(workspace) = found {
        use_workspace(workspace.as_ref(), &base.path().join("export")).await;
        workspace.close().await;
    }
    assert!(!proof.exists(), "a command of the repository ran");
}
