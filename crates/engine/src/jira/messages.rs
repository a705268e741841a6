//! Comments in Jira before a job exists.

use patchwright_core::jira::JiraPerson;
use patchwright_core::outgoing_text::{OutgoingText, code_span, neutralise_line};
use patchwright_domain::trigger::Translated;

use crate::render::Renderer;

/// How many repositories a question lists.
const SHOWN_REPOSITORIES: usize = 10;

const INACTIVE: Translated = Translated::new(
    "**{app}** is deactivated for this site; an administrator of the server can activate it again.\n",
    "**{app}** 在该站点已停用；服务器管理员可以重新启用。\n",
);
const NOT_LINKED: Translated = Translated::new(
    "{who}, **{app}** does not know your account yet. Link your Atlassian account, then repeat your request: {how}\n",
    "{who}，**{app}** 还不认识你的账号。请先关联你的 Atlassian 账号，然后重新提出请求：{how}\n",
);
const LINK: &str = "{url}/api/v1/jira/link?workspace={site}";
const SETTINGS: Translated = Translated::new("the settings of this server", "本服务器的设置页面");
const NO_PERMISSION: Translated = Translated::new(
    "{who}, you do not have permission to start **{app}**; ask an administrator of the server.\n",
    "{who}，你没有启动 **{app}** 的权限；请联系服务器管理员。\n",
);
const UNREADABLE: Translated = Translated::new(
    "The details of {key} cannot be read ({why}); check that the service account may see it.\n",
    "无法读取 {key} 的详情（{why}）；请检查服务账号是否有权查看。\n",
);
const WHICH_REPOSITORY: Translated = Translated::new(
    "Which repository contains the code of this issue? Reply with its name (`owner/name`) and **{app}** will start.\n",
    "该问题的代码在哪个仓库？请回复仓库名（`owner/name`），**{app}** 就会开始。\n",
);
const AVAILABLE: Translated = Translated::new("\nAvailable repositories:\n\n{list}", "\n可用的仓库：\n\n{list}");
const AND_MORE: Translated = Translated::new("\nand {count} more.\n", "\n以及另外 {count} 个。\n");
const UNKNOWN_REPOSITORY: Translated = Translated::new(
    "The repository {name} is not available on this server, or the server may not read it. An administrator can add \
              repositories; then name it again.\n",
    "仓库 {name} 在本服务器上不可用，或服务器无权读取。管理员可以添加仓库；之后请再次指定。\n",
);
const START_FAILED: Translated = Translated::new(
    "**{app}** could not start: {why}. Try again later.\n",
    "**{app}** 未能启动：{why}。请稍后重试。\n",
);

impl Renderer {
    /// Renders the comment for a deactivated site.
    pub(super) fn inactive_site(&self) -> OutgoingText {
        self.fill_app(INACTIVE, &[])
    }

    /// Renders the comment for an author who has not linked their account.
    pub(super) fn not_linked(&self, person: &JiraPerson, site: &str) -> OutgoingText {
        let how = match self.base_url() {
            Some(url) => OutgoingText::fill(LINK, &[("url", &url), ("site", &neutralise_line(site, 253))]),
            None => self.fill(SETTINGS, &[]),
        };
        self.fill_app(NOT_LINKED, &[("who", &neutralise_line(&person.display_name, 80)), ("how", &how)])
    }

    /// Renders the comment for an author without access.
    pub(super) fn no_permission(&self, person: &JiraPerson) -> OutgoingText {
        self.fill_app(NO_PERMISSION, &[("who", &neutralise_line(&person.display_name, 80))])
    }

    /// Renders the comment for an issue that cannot be read.
    pub(super) fn unreadable_issue(&self, key: &str, why: &str) -> OutgoingText {
        self.fill(UNREADABLE, &[("key", &neutralise_line(key, 100)), ("why", &neutralise_line(why, 200))])
    }

    /// Renders the question for the repository.
    pub(super) fn which_repository(&self, known: &[String]) -> OutgoingText {
        let mut out = self.fill_app(WHICH_REPOSITORY, &[]);
        if !known.is_empty() {
            let line = |name: &String| OutgoingText::fill("- {name}\n", &[("name", &code_span(name))]);
            let lines: Vec<OutgoingText> = known.iter().take(SHOWN_REPOSITORIES).map(line).collect();
            out.push(&self.fill(AVAILABLE, &[("list", &OutgoingText::join(&lines, ""))]));
        }
        if known.len() > SHOWN_REPOSITORIES {
            out.push(&self.fill(AND_MORE, &[("count", &((known.len() - SHOWN_REPOSITORIES) as u64).into())]));
        }
        out
    }

    /// Renders the comment for an unknown repository.
    pub(super) fn unknown_repository(&self, name: &str) -> OutgoingText {
        self.fill(UNKNOWN_REPOSITORY, &[("name", &code_span(name))])
    }

    /// Renders the comment for any other error.
    pub(super) fn start_failed(&self, why: &str) -> OutgoingText {
        self.fill_app(START_FAILED, &[("why", &neutralise_line(why, 300))])
    }
}
