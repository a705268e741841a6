//! Templates of the instructions that a job gets in addition to the issue; operators can replace them.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, Value};
use patchwright_domain::trigger::MAX_INSTRUCTIONS;

/// The fuel of one rendering: how many instructions it may execute.
const FUEL: u64 = 50_000;

/// The instructions of the first job of a conversation, in addition to the message.
const INSTRUCTIONS: &str = "instructions";
/// The message of the first job.
const NEW: &str = "new_conversation";
/// The message of a job that continues a conversation.
const EXISTING: &str = "existing_conversation";

const BUILTIN: [(&str, &str); 3] = [
    (INSTRUCTIONS, include_str!("templates/instructions.j2")),
    (NEW, include_str!("templates/new_conversation.j2")),
    (EXISTING, include_str!("templates/existing_conversation.j2")),
];

/// The variables of a template. All are always defined; unknown ones are empty.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The issue's key, such as `PROJ-12`.
    pub issue_key: String,
    /// The URL of the issue.
    pub issue_url: String,
    /// The issue's title, one line.
    pub issue_title: String,
    /// The issue's description, as Markdown.
    pub issue_description: String,
    /// The comment that made the request, as Markdown; empty if a label was added.
    pub user_message: String,
    /// The display name of its author in Jira.
    pub display_name: String,
    /// The repository, `owner/name`.
    pub repository: String,
    /// The name that users mention.
    pub app_name: String,
}

impl Context {
    fn values(&self) -> Value {
        Value::from_pairs([
            ("issue_key", self.issue_key.as_str()),
            ("issue_url", &self.issue_url),
            ("issue_title", &self.issue_title),
            ("issue_description", &self.issue_description),
            ("user_message", &self.user_message),
            ("display_name", &self.display_name),
            ("repository", &self.repository),
            ("app_name", &self.app_name),
        ])
    }
}

/// A template is invalid.
#[derive(Debug, thiserror::Error)]
#[error("the template `{name}` cannot be used: {detail}")]
pub struct TemplateError {
    /// The template's name.
    pub name: String,
    /// The error and its line.
    pub detail: String,
}

/// The templates of all views.
#[derive(Debug)]
pub struct Templates {
    own: Environment<'static>,
    builtin: Environment<'static>,
}

fn environment(sources: BTreeMap<String, String>) -> Result<Environment<'static>, TemplateError> {
    let mut environment = Environment::new();
    // An unknown name is an error in the template and does not render as empty.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    for (name, source) in sources {
        let failed = |error: minijinja::Error| TemplateError { name: name.clone(), detail: format!("{error:#}") };
        environment.add_template_owned(name.clone(), source).map_err(failed)?;
    }
    Ok(environment)
}

impl Templates {
    /// Returns the names of the templates that can be replaced.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// Returns the built-in templates with those in `own` in place of the ones of the same name.
    ///
    /// # Errors
    /// [`TemplateError`] when one has an unknown name, cannot be parsed, or cannot be rendered.
    pub fn with(own: BTreeMap<String, String>) -> Result<Self, TemplateError> {
        if let Some(name) = own.keys().find(|name| !Self::names().any(|known| known == *name)) {
            let known = Self::names().collect::<Vec<_>>().join(", ");
            return Err(TemplateError { name: name.clone(), detail: format!("the templates are {known}") });
        }
        let builtin: BTreeMap<String, String> =
            BUILTIN.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect();
        let mut all = builtin.clone();
        all.extend(own);
        let templates = Self { own: environment(all)?, builtin: environment(builtin)? };
        // Rendered with and without a message, so that both branches are checked at startup.
        for user_message in ["please", ""] {
            let context = Context { user_message: user_message.to_owned(), ..Context::default() };
            for name in Self::names() {
                let tried = templates.own.get_template(name).and_then(|template| template.render(context.values()));
                tried.map_err(|error| TemplateError { name: name.to_owned(), detail: format!("{error:#}") })?;
            }
        }
        Ok(templates)
    }

    /// Renders the instructions of the first job of a conversation.
    pub(crate) fn first(&self, context: &Context) -> String {
        let parts = [self.render(INSTRUCTIONS, context), self.render(NEW, context)];
        let parts: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
        limited(&parts.join("\n\n"))
    }

    /// Renders the instructions of a job that continues a conversation.
    pub(crate) fn next(&self, context: &Context) -> String {
        limited(self.render(EXISTING, context).trim())
    }

    /// Falls back to the built-in template if the custom one fails with this context: a job must not fail because of
    /// it.
    fn render(&self, name: &str, context: &Context) -> String {
        let own = self.own.get_template(name).and_then(|template| template.render(context.values()));
        own.unwrap_or_else(|error| {
            tracing::error!(
                template = name,
                error = format!("{error:#}"),
                "failed to render the template; using the built-in one"
            );
            let builtin = self.builtin.get_template(name).and_then(|template| template.render(context.values()));
            builtin.unwrap_or_else(|_| context.user_message.clone())
        })
    }
}

fn limited(text: &str) -> String {
    text.chars().take(MAX_INSTRUCTIONS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str, source: &str) -> Result<Templates, TemplateError> {
        Templates::with(BTreeMap::from([(name.to_owned(), source.to_owned())]))
    }

    fn context(message: &str) -> Context {
        Context {
            issue_key: "PROJ-12".into(),
            display_name: "Mia".into(),
            user_message: message.into(),
            ..Context::default()
        }
    }

    #[test]
    fn the_first_job_is_told_more_than_the_next_one() {
        let templates = Templates::with(BTreeMap::new()).unwrap();
        let first = templates.first(&context("only the parser"));
        assert!(first.contains("PROJ-12") && first.ends_with("Mia writes: only the parser"), "{first}");
        assert_eq!(templates.next(&context("and the docs")), "Mia adds: and the docs");
        assert!(templates.first(&context("")).contains("acceptance criteria"));
    }

    #[test]
    fn an_operator_writes_them_anew_and_hears_of_mistakes_before_anybody_waits() {
        let templates = own("existing_conversation", "{{ issue_key }}: {{ user_message|upper }}").unwrap();
        assert_eq!(templates.next(&context("again")), "PROJ-12: AGAIN");
        for (name, source, word) in [
            ("instructions", "{{ nobody_knows }}", "undefined"),
            ("instructions", "{% if %}", "syntax"),
            ("other", "x", "the templates are"),
            ("instructions", "{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}", "fuel"),
            ("instructions", "{% include '/etc/passwd' %}", "include"),
        ] {
            let error = own(name, source).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(word), "{error}");
        }
    }

    #[test]
    fn what_people_say_is_no_template() {
        let templates = Templates::with(BTreeMap::new()).unwrap();
        assert!(templates.next(&context("{{ 7 * 7 }}")).ends_with("{{ 7 * 7 }}"));
        assert_eq!(templates.next(&context(&"x".repeat(20_000))).chars().count(), MAX_INSTRUCTIONS);
    }
}
